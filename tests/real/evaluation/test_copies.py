"""Several copies of the model answer one stream, on the CPU: no GPU is needed, nor tried."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ftbench.schema import Result, RunFiles
from tests.real.evaluation.conftest import ABBR, Program

DATASETS = "gsm8k,race"
ONE_COPY = {"DATA_PARALLEL": ""}
TWO_COPIES = {"DATA_PARALLEL": "2"}


def run(program: Program, output: Path, **variables: str) -> Result:
    exit_code, printed, result = program.run(output, DATASETS, **variables)
    assert exit_code == 0, printed
    return result


def predictions(output: Path) -> dict[str, object]:
    folder = RunFiles(output).predictions / ABBR
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def scores(result: Result) -> list[tuple[str, float | None]]:
    return [(s.abbr, s.score) for dataset in result.datasets for s in dataset.subsets]


def answers(output: Path) -> int:
    journal = RunFiles(output).predictions / ABBR / "answers.jsonl"
    return journal.read_bytes().count(b"\n") if journal.is_file() else 0


def workers_of(pid: int) -> list[int]:
    """Processes of the copies that a program has started."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    pids = [int(child) for child in found.stdout.split()]
    return [child for child in pids if b"parallel.worker" in command_line(child)]


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture(scope="module")
def one(program: Program, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    output = tmp_path_factory.mktemp("one") / "output"
    return output, run(program, output, **ONE_COPY)


def test_two_copies_answer_what_one_does(
    program: Program, one: tuple[Path, Result], tmp_path: Path
) -> None:
    result = run(program, tmp_path, **TWO_COPIES)
    assert predictions(tmp_path) == predictions(one[0])
    assert scores(result) == scores(one[1])
    assert result.model.adapter_tensors == one[1].model.adapter_tensors > 0
    assert (result.model.parallel, one[1].model.parallel) == ("2 copies on the CPU", "")
    assert "The model answers as 2 copies on the CPU, as was asked." in result.model.notes


def test_sampling_does_not_depend_on_who_answers(program: Program, tmp_path: Path) -> None:
    sampled = {"TEMPERATURE": "1.0", "MAX_OUT_LEN": "8"}
    for name, copies in (("one", ONE_COPY), ("two", TWO_COPIES)):
        run(program, tmp_path / name, **copies, **sampled)
    assert predictions(tmp_path / "one") == predictions(tmp_path / "two")


def test_a_copy_that_is_killed_costs_no_answer(
    program: Program,
    one: tuple[Path, Result],
    tmp_path: Path,
    wait_for: Callable[[Callable[[], bool]], None],
) -> None:
    process = program.start(tmp_path, DATASETS, **TWO_COPIES)
    wait_for(lambda: len(workers_of(process.pid)) == 2 or process.poll() is not None)
    worker = workers_of(process.pid)[0]
    # Its first line is written when all copies are loaded, before anything is asked.
    wait_for(lambda: answers(tmp_path) > 0 or process.poll() is not None)
    os.kill(worker, signal.SIGSTOP)  # in its first batch, while the other one goes on
    wait_for(lambda: answers(tmp_path) > 5 or process.poll() is not None)
    os.kill(worker, signal.SIGKILL)
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 0, printed
    assert "a worker process was killed by SIGKILL" in printed
    assert predictions(tmp_path) == predictions(one[0])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_copies_end_with_the_program(
    number: signal.Signals,
    program: Program,
    tmp_path: Path,
    wait_for: Callable[[Callable[[], bool]], None],
) -> None:
    process = program.start(tmp_path, DATASETS, **TWO_COPIES)
    wait_for(lambda: len(workers_of(process.pid)) == 2 or process.poll() is not None)
    workers = workers_of(process.pid)
    assert len(workers) == 2
    process.send_signal(number)
    process.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while any(b"parallel.worker" in command_line(pid) for pid in workers):
        assert time.monotonic() < deadline, "a worker outlives its program"
        time.sleep(0.1)


def test_a_model_that_no_copy_can_load_fails_the_evaluation(
    program: Program, tmp_path: Path
) -> None:
    adapter = {"ADAPTER_PATH": str(program.checkpoints / "adapter-foreign")}
    exit_code, printed, result = program.run(tmp_path, DATASETS, **TWO_COPIES, **adapter)
    assert exit_code == 1, printed
    assert result.failure is not None
    assert result.failure.kind == "adapter"
