"""The whole command against the stock ``opencompass`` command: tiny model, CPU.

    python benchmarks/stock_command.py [--runs 1] [--rows 8] [--max-out-len 32] [--threads 1]

A is the whole command on 57 mmlu subsets of --rows rows and 16 gsm8k rows. B is ``opencompass`` on
the same models and datasets with its default partitioners and runners: one process that asks all,
and one more for each subset's score. B takes 10 minutes and more. Every prediction and every
unrounded score of the two is compared.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

from measuring import (
    MMLU_AND_GSM8K,
    Stage,
    Timed,
    count_differing,
    finished_run,
    ftbench_command,
    model_folder,
    print_bar,
    print_load,
    print_table,
    read_folder,
    scores_of,
    set_stage,
    timed,
)
from stock_runs import run_stock

BAR = 15.0
"""How many times faster the whole command is, at least."""


@dataclass(frozen=True)
class Pair:
    """One run of A and of B.

    Attributes:
        differing: Predictions that are not the same text, of ``samples``.
        other_scores: Subsets with another unrounded metric, of ``subsets``.
    """

    ours: Timed
    stock: Timed
    differing: int
    samples: int
    other_scores: int
    subsets: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--max-out-len", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    settings = (
        "datasets=[mmlu,gsm8k]",
        "runtime=local",
        f"runtime.cpu_threads={options.threads}",
        f"backend.max_out_len={options.max_out_len}",
    )
    with tempfile.TemporaryDirectory() as temporary:
        stage = set_stage(Path(temporary), options.rows)
        pairs = [measure(stage, run, settings) for run in range(options.runs)]
    print_table(
        "run|ours|its processors|stock|its processors|times faster|differing predictions|"
        "differing scores".split("|"),
        [
            (
                number,
                pair.ours.clock_s,
                pair.ours.processor_s,
                pair.stock.clock_s,
                pair.stock.processor_s,
                pair.stock.clock_s / pair.ours.clock_s,
                f"{pair.differing} of {pair.samples}",
                f"{pair.other_scores} of {pair.subsets}",
            )
            for number, pair in enumerate(pairs, 1)
        ],
    )
    ratios = [pair.stock.clock_s / pair.ours.clock_s for pair in pairs]
    print_bar("times faster than the stock command", ratios, BAR, at_least=True)
    print_load()


def measure(stage: Stage, run: int, settings: tuple[str, ...]) -> Pair:
    """Runs A, then B on what A evaluated."""
    workspace = stage.folder / f"workspace{run}"
    ours, _ = timed(ftbench_command(stage, workspace, *settings), stage.folder)
    files = finished_run(workspace, MMLU_AND_GSM8K)
    stock, stock_files = run_stock(stage, files, stage.folder / f"stock{run}")
    differing, samples = count_differing(
        read_folder(model_folder(files.predictions)),
        read_folder(model_folder(stock_files.predictions)),
    )
    our_scores = scores_of(read_folder(model_folder(files.results)))
    stock_scores = scores_of(read_folder(model_folder(stock_files.results)))
    assert our_scores.keys() == stock_scores.keys()
    other = sum(our_scores[abbr] != stock_scores[abbr] for abbr in our_scores)
    return Pair(ours, stock, differing, samples, other, len(our_scores))


if __name__ == "__main__":
    main()
