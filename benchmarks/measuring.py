"""What the measuring scripts share: a tiny model, small data, timed commands, bars.

Each script prints one table. Where it compares A with B, both run in turns in one call, and their
ratio says more than either figure on a machine that has other work to do.
"""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ftbench
from ftbench.compose import override
from ftbench.demo.data import MMLU_ROWS, write_benchmarks, write_examples
from ftbench.demo.training import SCRIPT
from ftbench.environment import ensure_environment
from ftbench.host import read_host
from ftbench.schema import OK, RunFiles, read_result
from ftbench.tracking.store import open_store
from ftbench.workspace import run_dirs

ROOT = Path(__file__).parents[1]

MMLU_AND_GSM8K = ("mmlu", "gsm8k")
"""The datasets of most scripts."""


@dataclass(frozen=True)
class Stage:
    """What is evaluated, and with which Python the evaluation runs.

    Attributes:
        folder: Holds ``data``, the models and ``mlflow.db``.
        python: Of the evaluation environment.
    """

    folder: Path
    python: Path

    @property
    def base(self) -> Path:
        return self.folder / "models" / "tiny-qwen2"

    @property
    def adapter(self) -> Path:
        return self.folder / "models" / "tiny-qwen2-lora"


def set_stage(folder: Path, rows: int = MMLU_ROWS) -> Stage:
    """Makes the demo's model, untrained, and its data.

    Untrained, it writes until its limit, so that generation costs what it costs a model that
    explains itself. The tracking database is made too: that happens once in a user's life.

    Args:
        folder: Receives all of it.
        rows: Of each of the 57 mmlu subsets; gsm8k has 16.
    """
    require_own_code()
    python = ensure_environment("cpu", None, read_host().cache_dir, os.environ, print).python
    write_examples(folder / "examples")
    write_benchmarks(folder)
    for path in sorted((folder / "data" / "mmlu" / "test").glob("*.csv")):
        path.write_text(with_rows(path.read_text(encoding="utf-8"), rows), encoding="utf-8")
    make = [python, SCRIPT, folder / "examples", folder / "models", "--untrained"]
    subprocess.run(make, check=True, capture_output=True)
    open_store(tracking_uri(folder))
    return Stage(folder, python)


def require_own_code() -> None:
    """Ends the script unless the ftbench that is measured is the one beside it."""
    found = Path(ftbench.__file__).parents[1]
    if found != ROOT:
        sys.exit(f"ftbench comes from {found}. To measure this checkout: PYTHONPATH={ROOT}")


def with_rows(text: str, rows: int) -> str:
    """A CSV file of questions with so many of them; the same ones again differ by a number."""
    given = list(csv.reader(io.StringIO(text)))
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    for index in range(rows):
        question, *rest = given[index % len(given)]
        again = index // len(given)
        writer.writerow([f"{question} (Version {again + 1}.)" if again else question, *rest])
    return written.getvalue()


def tracking_uri(folder: Path) -> str:
    """Of the database in this folder."""
    return f"sqlite:///{folder / 'mlflow.db'}"


def ftbench_command(stage: Stage, workspace: Path, *settings: str) -> list[str]:
    """The whole command, which never reuses what another one left."""
    return [
        *(
            sys.executable,
            "-m",
            "ftbench.run",
            "baseline=none",
            "runtime.num_gpus=0",
            "reuse=never",
        ),
        override("model.adapter", stage.adapter),
        override("data_dir", stage.folder),
        override("workspace", workspace),
        override("tracking.uri", tracking_uri(stage.folder)),
        *settings,
    ]


@dataclass(frozen=True)
class Timed:
    """Seconds on the clock, and of all processors, children included."""

    clock_s: float
    processor_s: float


def timed(
    command: Sequence[str | Path], cwd: Path, env: Mapping[str, str] | None = None
) -> tuple[Timed, str]:
    """Runs a command to its end, which must be a good one.

    Returns:
        What it took, and what it printed.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    ran = subprocess.run(
        command,
        cwd=cwd,
        env=None if env is None else dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    clock_s = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ran.returncode:
        sys.exit(f"exit code {ran.returncode} of {' '.join(map(str, command))}\n{ran.stdout}")
    processor_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Timed(clock_s, processor_s), ran.stdout


def finished_run(workspace: Path, datasets: Sequence[str]) -> RunFiles:
    """The one run folder of a workspace, in which every dataset must be ok."""
    (run_dir,) = run_dirs(workspace)
    files = RunFiles(run_dir)
    found = [(dataset.name, dataset.status) for dataset in read_result(files.summary).datasets]
    assert found == [(name, OK) for name in datasets], found
    return files


def inference_seconds(files: RunFiles) -> float:
    """Seconds that the run spent in inference, by its own account."""
    return sum(dataset.seconds for dataset in read_result(files.summary).datasets)


def evaluation_environment(stage: Stage, files: RunFiles) -> dict[str, str]:
    """The variables that the evaluation program of a run had, for a program beside it."""
    plan = json.loads(files.plan.read_text(encoding="utf-8"))
    path = os.pathsep.join([str(stage.python.parent), os.environ.get("PATH", os.defpath)])
    home = stage.folder / "home"
    home.mkdir(exist_ok=True)
    own = {"PATH": path, "HOME": str(home), "TOKENIZERS_PARALLELISM": "false"}
    return plan["environment"] | own


def read_folder(folder: Path) -> dict[str, Any]:
    """Every JSON file of a folder, by its stem."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")}


def count_differing(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[int, int]:
    """How many predictions differ in their text, and how many there are.

    Args:
        ours, theirs: Content of ``predictions/<model>``, by subset.
    """
    assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
    pairs = [
        (rows[key]["prediction"], theirs[abbr].get(key, {}).get("prediction"))
        for abbr, rows in ours.items()
        for key in rows
    ]
    return sum(mine != other for mine, other in pairs), len(pairs)


def scores_of(results: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The numeric metrics of ``results/<model>``, unrounded, by subset."""
    return {
        abbr: {key: value for key, value in result.items() if isinstance(value, int | float)}
        for abbr, result in results.items()
    }


def model_folder(folder: Path) -> Path:
    """The only model's folder in ``predictions`` or ``results``."""
    (found,) = (path for path in folder.iterdir() if path.is_dir())
    return found


def print_table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints right-aligned columns; floats with one digit."""
    cells = [list(titles), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(titles))]
    for row in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


def print_bar(what: str, values: Sequence[float], bar: float, at_least: bool = False) -> None:
    """Prints a median against its bar."""
    value = statistics.median(values)
    is_met = value >= bar if at_least else value <= bar
    limit = f"{'at least' if at_least else 'at most'} {bar:g}"
    print(f"{what}: {value:.2f} (bar: {limit}): {'met' if is_met else 'MISSED'}")


def print_load() -> None:
    """Prints how busy the machine was: the figures of a busy one are worth less."""
    loads = " ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"load over 1, 5 and 15 minutes: {loads}, {os.cpu_count()} processors")


def _cell(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)
