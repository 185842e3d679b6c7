"""How long the whole command takes: 57 mmlu subsets of 8 rows and 16 gsm8k rows, tiny model, CPU.

    python benchmarks/whole_command.py [--runs 3] [--runtime local] [--rows 8] [--max-out-len 32]

The model is the demo's, untrained: it writes until its limit, so that generation costs what it
costs a model that explains itself. mmlu stops at --max-out-len tokens, gsm8k at its preset's 512.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from measuring import (
    MMLU_AND_GSM8K,
    Stage,
    finished_run,
    ftbench_command,
    inference_seconds,
    print_load,
    print_table,
    set_stage,
    timed,
)

from ftbench.schema import RunFiles, read_result, read_samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--runtime", default="local", choices=("local", "docker"))
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--max-out-len", type=int, default=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        stage = set_stage(Path(temporary), options.rows)
        rows = [measure(stage, options, run) for run in range(options.runs)]
    medians = [statistics.median(row[i] for row in rows) for i in (0, 1)]
    print_table(
        ["run", "whole command", "inside inference", "output tokens"],
        [*((number, *row) for number, row in enumerate(rows, 1)), ("median", *medians, "")],
    )
    print_load()


def measure(stage: Stage, options: argparse.Namespace, run: int) -> tuple[float, float, int]:
    """One evaluation: seconds of the whole command, seconds inside inference, output tokens."""
    workspace = stage.folder / f"workspace{run}"
    settings = (
        "datasets=[mmlu,gsm8k]",
        f"runtime={options.runtime}",
        f"backend.max_out_len={options.max_out_len}",
    )
    whole, _ = timed(ftbench_command(stage, workspace, *settings), stage.folder)
    files = finished_run(workspace, MMLU_AND_GSM8K)
    return whole.clock_s, inference_seconds(files), count_output_tokens(files)


def count_output_tokens(files: RunFiles) -> int:
    """Tokens that the model wrote in a run."""
    return sum(
        sample.output_tokens or 0
        for dataset in read_result(files.summary).datasets
        for subset in dataset.subsets
        for sample in read_samples(files.samples(subset.abbr))
    )


if __name__ == "__main__":
    main()
