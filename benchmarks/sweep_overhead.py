"""What one more job of a sweep costs beyond its inference: tiny model, 16 gsm8k rows, CPU.

    python benchmarks/sweep_overhead.py [--jobs 3] [--runs 1] [--runtime local]

A sweep of one job and a sweep of several on the same base are run one after the other, recorded in
MLflow. The difference of their times, for each job more, without the seconds inside inference, is
the overhead. Processor seconds are those of all processes together: on a machine that has other
work to do they say more than the clock, and with two free processors they are above it.
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
from dataclasses import dataclass
from pathlib import Path

from ftbench.compose import override
from ftbench.demo.data import write_benchmarks, write_examples
from ftbench.demo.training import SCRIPT
from ftbench.environment import ensure_environment
from ftbench.host import read_host
from ftbench.schema import RunFiles, read_result
from ftbench.workspace import run_dirs


@dataclass(frozen=True)
class Measured:
    """One sweep: seconds on the clock, of the processors, and inside inference."""

    clock_s: float
    processor_s: float
    inference_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--runtime", default="local", choices=("local", "docker"))
    options = parser.parse_args()
    python = ensure_environment("cpu", None, read_host().cache_dir, os.environ, print).python
    print("run  jobs  clock    processors  inside inference")
    overheads = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_examples(folder / "examples")
        write_benchmarks(folder)
        make = [python, SCRIPT, folder / "examples", folder / "models", "--untrained"]
        subprocess.run(make, check=True, capture_output=True)
        for run in range(options.runs):
            one, many = (
                measure(folder, folder / f"run{run}-{jobs}", jobs, options.runtime)
                for jobs in (1, options.jobs)
            )
            for jobs, sweep in ((1, one), (options.jobs, many)):
                times = f"{sweep.clock_s:>5.1f} s  {sweep.processor_s:>8.1f} s"
                print(f"{run + 1:>3}  {jobs:>4}  {times}  {sweep.inference_s:>14.1f} s")
            overheads.append(overhead(one, many, options.jobs - 1))
    clock, processors = (statistics.median(pair[i] for pair in overheads) for i in (0, 1))
    print(f"one more job beyond its inference: {clock:.1f} s, {processors:.1f} processor seconds")


def overhead(one: Measured, many: Measured, more: int) -> tuple[float, float]:
    """Seconds that each further job takes beside its inference: on the clock, of processors."""
    inference_s = many.inference_s - one.inference_s
    clock_s = many.clock_s - one.clock_s - inference_s
    processor_s = many.processor_s - one.processor_s - inference_s
    return clock_s / more, processor_s / more


def measure(folder: Path, workspace: Path, jobs: int, runtime: str) -> Measured:
    """Runs one sweep over ``jobs`` seeds."""
    command = [
        *(sys.executable, "-m", "ftbench.run", "-m", "datasets=[gsm8k]", "runtime.num_gpus=0"),
        "baseline=none",
        f"runtime={runtime}",
        "backend.max_out_len=32",
        f"backend.seed={','.join(map(str, range(jobs)))}",
        override("model.adapter", folder / "models" / "tiny-qwen2-lora"),
        override("data_dir", folder),
        override("workspace", workspace),
        override("tracking.uri", f"sqlite:///{folder}/mlflow.db"),
        "reuse=never",
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    clock_s = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    results = [read_result(RunFiles(run_dir).summary) for run_dir in run_dirs(workspace)]
    assert len(results) == jobs and all(result.is_complete for result in results)
    return Measured(
        clock_s,
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        sum(dataset.seconds for result in results for dataset in result.datasets),
    )


if __name__ == "__main__":
    main()
