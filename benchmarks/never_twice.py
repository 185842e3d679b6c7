"""What an evaluation costs that was done before: whole, in part, and only in MLflow.

    python benchmarks/never_twice.py [--runs 3] [--runtime local]

57 mmlu subsets of 8 rows and 16 gsm8k rows on the demo's untrained model, on the CPU, recorded in
an sqlite store. Seconds are of the whole command; processor seconds include its children.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ftbench.compose import override
from ftbench.demo.data import write_benchmarks, write_examples
from ftbench.demo.training import SCRIPT
from ftbench.environment import ensure_environment
from ftbench.host import read_host


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--runtime", default="local", choices=("local", "docker"))
    options = parser.parse_args()
    python = ensure_environment("cpu", None, read_host().cache_dir, os.environ, print).python
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_examples(folder / "examples")
        write_benchmarks(folder)
        models = folder / "models"
        make = [python, SCRIPT, folder / "examples", models, "--untrained"]
        subprocess.run(make, check=True, capture_output=True)

        print(f"{'':<42}{'seconds':>9}{'processor s':>13}", flush=True)

        def measure(name: str, datasets: str, runs: int = 1, is_deleted: bool = False) -> None:
            measured = []
            for _ in range(runs):
                if is_deleted:
                    shutil.rmtree(folder / "workspace")
                measured.append(timed(folder, datasets, options.runtime))
            wall, cpu = (statistics.median(each[i] for each in measured) for i in (0, 1))
            print(f"{name:<42}{wall:>9.1f}{cpu:>13.1f}", flush=True)

        measure("mmlu, new", "mmlu")
        measure("mmlu,gsm8k after it: only gsm8k runs", "mmlu,gsm8k")
        measure("the same again", "mmlu,gsm8k", options.runs)
        measure("gsm8k alone, reused", "gsm8k")
        measure("workspace deleted: from MLflow", "mmlu,gsm8k", options.runs, is_deleted=True)


def timed(folder: Path, datasets: str, runtime: str) -> tuple[float, float]:
    """Seconds and processor seconds of one command."""
    command = [
        *(sys.executable, "-m", "ftbench.run", f"datasets=[{datasets}]", "runtime.num_gpus=0"),
        "baseline=none",
        *(f"runtime={runtime}", "backend.max_out_len=8"),
        override("model.adapter", folder / "models" / "tiny-qwen2-lora"),
        override("data_dir", folder),
        override("workspace", folder / "workspace"),
        override("tracking.uri", f"sqlite:///{folder}/mlflow.db"),
    ]
    before, started = os.times(), time.monotonic()
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    seconds, after = time.monotonic() - started, os.times()
    used = after.children_user + after.children_system
    return seconds, used - before.children_user - before.children_system


if __name__ == "__main__":
    main()
