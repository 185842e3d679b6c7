"""What a command costs beside inference: answers without a model, a re-run, and the container.

    python benchmarks/start.py [--runs 3] [--image NAME] [--no-docker]

Whole processes, medians. Each of the two evaluations that are compared answers one gsm8k question
with the demo's untrained model and is recorded in MLflow; local and docker alternate, so that a
busy machine slows both. Processor seconds are those of the command and of what it waits for: a
container's are not among them, its engine starts it.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ftbench.compose import override
from ftbench.demo.data import write_benchmarks, write_examples
from ftbench.demo.training import SCRIPT
from ftbench.engine import connect
from ftbench.environment import ensure_environment
from ftbench.host import read_host
from ftbench.image import image_name
from ftbench.schema import RunFiles, read_result
from ftbench.workspace import run_dirs


@dataclass(frozen=True)
class Cost:
    """One process: seconds on the clock and of the processors."""

    clock_s: float
    processor_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--image", default=image_name("cpu"))
    parser.add_argument("--no-docker", action="store_true")
    options = parser.parse_args()
    print("what                                  clock    processors")
    with world() as folder:
        for name, arguments in (
            ("--version", ["--version"]),
            ("--help", ["--help"]),
            ("dry_run=true", [*evaluation(folder, folder / "dry"), "dry_run=true"]),
        ):
            show(name, [run(arguments, folder) for _ in range(options.runs)])
        again = evaluation(folder, folder / "again")
        # The first makes the database, too.
        run(again, folder)
        show("re-run, equal fingerprint", [run(again, folder) for _ in range(options.runs)])
        if options.no_docker:
            return
        pairs = [compare(folder, number, options.image) for number in range(options.runs)]
    local, docker, inference = ([pair[i] for pair in pairs] for i in range(3))
    show("one question, runtime=local", local)
    show("one question, runtime=docker", docker)
    added = statistics.median(d.clock_s - x.clock_s for d, x in zip(docker, local, strict=True))
    ratio = statistics.median(d.clock_s / x.clock_s for d, x in zip(docker, local, strict=True))
    print(f"the container adds {added:.1f} s to local ({ratio:.2f} times its clock)")
    print(f"of it inside inference: {statistics.median(inference):+.1f} s")
    size = connect(os.environ).images.get(options.image).attrs["Size"]
    print(f"image {options.image}: {size / 1e9:.2f} GB")


@contextmanager
def world() -> Iterator[Path]:
    """A folder with a tiny model and a few rows."""
    python = ensure_environment("cpu", None, read_host().cache_dir, os.environ, print).python
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_examples(folder / "examples")
        write_benchmarks(folder)
        make = [python, SCRIPT, folder / "examples", folder / "models", "--untrained"]
        subprocess.run(make, check=True, capture_output=True)
        yield folder


def evaluation(folder: Path, workspace: Path, *more: str) -> list[str]:
    """The arguments of an evaluation of one question."""
    return [
        *("datasets=[gsm8k]", "limit=1", "runtime=local", "runtime.num_gpus=0"),
        override("model.adapter", folder / "models" / "tiny-qwen2-lora"),
        override("data_dir", folder),
        override("workspace", workspace),
        override("tracking.uri", f"sqlite:///{folder}/mlflow.db"),
        *more,
    ]


def compare(folder: Path, number: int, image: str) -> tuple[Cost, Cost, float]:
    """Both runtimes, the one after the other, and the difference of their inference seconds."""
    costs, inference = [], []
    chosen = {"local": ["runtime=local"], "docker": ["runtime=docker", f"runtime.image={image}"]}
    for runtime, settings in chosen.items():
        workspace = folder / f"{runtime}{number}"
        # Else MLflow would bring back what the first run found.
        arguments = evaluation(folder, workspace, *settings, "reuse=never", "baseline=none")
        costs.append(run(arguments, folder))
        (run_dir,) = run_dirs(workspace)
        result = read_result(RunFiles(run_dir).summary)
        assert result.is_complete
        inference.append(sum(dataset.seconds for dataset in result.datasets))
    return costs[0], costs[1], inference[1] - inference[0]


def run(arguments: Sequence[str], folder: Path) -> Cost:
    """One whole command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    command = [sys.executable, "-m", "ftbench.run", *arguments]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    clock_s = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(clock_s, used)


def show(name: str, costs: Sequence[Cost]) -> None:
    """One row: medians."""
    clock = statistics.median(cost.clock_s for cost in costs)
    processor = statistics.median(cost.processor_s for cost in costs)
    print(f"{name:<34} {clock:>6.1f} s  {processor:>9.1f} s", flush=True)


if __name__ == "__main__":
    main()
