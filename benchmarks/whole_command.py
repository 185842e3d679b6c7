"""How long the whole command takes: 57 mmlu subsets of 8 rows and 16 gsm8k rows, tiny model, CPU.

    python benchmarks/whole_command.py [--runs 3] [--runtime local] [--max-out-len 32]

The model is the demo's, untrained: it writes until its limit, so that generation costs what it
costs a model that explains itself. mmlu stops at --max-out-len tokens, gsm8k at its preset's 512.
"""

from __future__ import annotations

import argparse
import os
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
from ftbench.schema import OK, RunFiles, read_result, read_samples
from ftbench.workspace import run_dirs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--runtime", default="local", choices=("local", "docker"))
    parser.add_argument("--max-out-len", type=int, default=32)
    options = parser.parse_args()
    python = ensure_environment("cpu", None, read_host().cache_dir, os.environ, print).python
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_examples(folder / "examples")
        write_benchmarks(folder)
        models = folder / "models"
        make = [python, SCRIPT, folder / "examples", models, "--untrained"]
        subprocess.run(make, check=True, capture_output=True)
        rows = [measure(folder, models, options, run) for run in range(options.runs)]
    print("run  whole command  inside inference  output tokens")
    for number, (whole_s, inference_s, tokens) in enumerate(rows, 1):
        print(f"{number:>3}  {whole_s:>11.1f} s  {inference_s:>14.1f} s  {tokens:>13}")
    whole, inference = (statistics.median(row[i] for row in rows) for i in (0, 1))
    print(f"median {whole:>9.1f} s  {inference:>14.1f} s")


def measure(
    folder: Path, models: Path, options: argparse.Namespace, run: int
) -> tuple[float, float, int]:
    """One evaluation: seconds of the whole command, seconds inside inference, output tokens."""
    workspace = folder / f"workspace{run}"
    command = [
        *(sys.executable, "-m", "ftbench.run", "datasets=[mmlu,gsm8k]", "runtime.num_gpus=0"),
        f"runtime={options.runtime}",
        f"backend.max_out_len={options.max_out_len}",
        override("model.adapter", models / "tiny-qwen2-lora"),
        override("data_dir", folder),
        override("workspace", workspace),
        override("tracking.uri", f"sqlite:///{folder}/mlflow.db"),
        "reuse=never",
    ]
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    seconds = time.monotonic() - started
    (run_dir,) = run_dirs(workspace)
    files = RunFiles(run_dir)
    result = read_result(files.summary)
    assert [(d.name, d.status) for d in result.datasets] == [("mmlu", OK), ("gsm8k", OK)]
    tokens = sum(
        sample.output_tokens or 0
        for dataset in result.datasets
        for subset in dataset.subsets
        for sample in read_samples(files.samples(subset.abbr))
    )
    return seconds, sum(dataset.seconds for dataset in result.datasets), tokens


if __name__ == "__main__":
    main()
