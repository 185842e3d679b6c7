"""Tiny checkpoints and data, and the evaluation program run as a process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ftbench.schema import Result, RunFiles, read_result
from tests.made_once import made_once

ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / "docker" / "opencompass" / "eval_entrypoint.py"
ABBR = "tiny-ft-0123abcd"
FINGERPRINT = "0123abcd" * 8

FINISHED_DATASETS = "gsm8k,race,race:ppl,aime2025"
"""Of the run that several modules look at."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the evaluation environment."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.opencompass)


@pytest.fixture(scope="session")
def checkpoints(eval_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What make_checkpoints.py makes."""
    script = Path(__file__).parent / "make_checkpoints.py"

    def make(folder: Path) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run([eval_python, script, folder], check=True, env=environment)

    return made_once(tmp_path_factory, "checkpoints", make)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few rows of each dataset in OpenCompass's layout; "B" is right for some of race."""
    return made_once(tmp_path_factory, "data", write_rows)


def write_rows(folder: Path) -> None:
    for split in ("validation", "test"):
        for name, rows in (("middle", 8), ("high", 5)):
            questions = [
                {
                    "article": f"Ann has {i} cats.",
                    "question": "How many?",
                    "options": [str(i + j) for j in range(4)],
                    "answer": "ABCD"[(i * i + 1) % 4],
                }
                for i in range(rows)
            ]
            write_lines(folder / "data" / "race" / split / f"{name}.jsonl", questions)
    for split in ("train", "test"):
        problems = [
            {"question": f"Tom has {i} and gets 2 more?", "answer": f"So.\n#### {i + 2}"}
            for i in range(12)
        ]
        write_lines(folder / "data" / "gsm8k" / f"{split}.jsonl", problems)
    sums: list[dict[str, object]] = [
        {"question": f"What is {i} + {i}?", "answer": str(2 * i)} for i in range(3)
    ]
    write_lines(folder / "data" / "aime2025" / "aime2025.jsonl", sums)


def write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def kept_answers(output: Path) -> list[dict[str, Any]]:
    """The whole lines of what the model has answered so far, without those that head them."""
    journal = output / "predictions" / ABBR / "answers.jsonl"
    if not journal.is_file():
        return []
    lines = journal.read_text(encoding="utf-8").split("\n")[:-1]
    return [line for line in map(json.loads, lines) if "at" in line]


@dataclass(frozen=True)
class Program:
    """Runs the evaluation program with the checkpoints and data of these tests.

    Attributes:
        command: The program and its arguments; the python comes before it.
    """

    python: Path
    checkpoints: Path
    data: Path
    home: Path
    command: tuple[str | Path, ...] = (PROGRAM,)

    def environment(self, output: Path, datasets: str, **variables: str) -> dict[str, str]:
        """The variables of a run; nothing of the tests' own environment but PATH.

        LIMIT is no variable of the contract: it stands for the option of that name of each dataset.
        """
        if limit := variables.pop("LIMIT", ""):
            options = {name: {"limit": int(limit)} for name in datasets.split(",")}
            variables["DATASET_OPTIONS"] = json.dumps(options)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(PROGRAM.parent)]),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "BENCHMARK_DATASETS": datasets,
            "BASE_MODEL": str(self.checkpoints / "base"),
            "ADAPTER_PATH": str(self.checkpoints / "adapter"),
            "MODEL_ABBR": ABBR,
            "MAX_OUT_LEN": "8",
            "BATCH_SIZE": "4",
            "NUM_GPUS": "0",
            "FINGERPRINT": FINGERPRINT,
            "OUTPUT_PATH": str(output),
            "COMPASS_DATA_CACHE": str(self.data),
            **variables,
        }

    def start(self, output: Path, datasets: str, **variables: str) -> subprocess.Popen[str]:
        """Starts a run."""
        return subprocess.Popen(
            [self.python, *self.command],
            env=self.environment(output, datasets, **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, output: Path, datasets: str, **variables: str) -> tuple[int, str, Result]:
        """Runs to the end.

        Returns:
            Exit code, what was printed, and ``result.json``.
        """
        process = self.start(output, datasets, **variables)
        printed, _ = process.communicate(timeout=900)
        return process.returncode, printed, read_result(RunFiles(output).result)


@pytest.fixture(scope="session")
def program(
    eval_python: Path, checkpoints: Path, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Program:
    return Program(eval_python, checkpoints, data, tmp_path_factory.mktemp("home"))


@dataclass(frozen=True)
class Finished:
    """A whole run that several tests look at."""

    output: Path
    printed: str
    result: Result


@pytest.fixture(scope="session")
def finished(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Scored by rules of three kinds, and race by perplexity too, with a secret at hand."""

    def make(folder: Path) -> None:
        secrets = folder / "secrets"
        secrets.mkdir()
        (secrets / "HF_TOKEN").write_text("hf_plantedSecretToken123\n")
        exit_code, printed, _ = program.run(
            folder / "output", FINISHED_DATASETS, SECRETS_PATH=str(secrets)
        )
        assert exit_code == 0, printed
        (folder / "printed.txt").write_text(printed)

    folder = made_once(tmp_path_factory, "finished", make)
    output = folder / "output"
    result = read_result(RunFiles(output).result)
    return Finished(output, (folder / "printed.txt").read_text(), result)


@pytest.fixture(scope="session")
def wait_for() -> Callable[[Callable[[], bool]], None]:
    """Waits until a condition holds, at most five minutes."""
    import time

    def wait(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 300
        while not holds():
            assert time.monotonic() < deadline, "it did not happen within five minutes"
            time.sleep(0.05)

    return wait
