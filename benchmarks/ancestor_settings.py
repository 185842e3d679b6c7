"""The whole command against the ancestor's settings of OpenCompass: tiny model, CPU.

    python benchmarks/ancestor_settings.py [--runs 3] [--sample 2 4] [--rows 8] [--max-out-len 32]

The ancestor ran ``NaivePartitioner`` in both stages with 16 workers: two processes per subset, each
of which loads everything, the model too. All 57 mmlu subsets that way take many minutes and 10 GB,
so that B is measured on its first few subsets, of two numbers; what one subset more costs there
gives the time of all 57. A is the whole command on all 57 of them, measured. ``--sample 57``
measures B in full instead.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

from measuring import (
    Stage,
    Timed,
    finished_run,
    ftbench_command,
    print_bar,
    print_load,
    print_table,
    set_stage,
    timed,
)
from stock_runs import run_stock

BAR = 12.0
"""How many times faster the whole command is, at least."""

SUBSETS = 57

WORKERS = 16


@dataclass(frozen=True)
class Compared:
    """One run of A, and of B on each sample.

    Attributes:
        ours: The whole command on all subsets.
        ancestor: B by number of subsets.
    """

    ours: Timed
    ancestor: dict[int, Timed]

    @property
    def ancestor_s(self) -> float:
        """Seconds of B for all subsets."""
        return for_all({count: took.clock_s for count, took in self.ancestor.items()}, SUBSETS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sample", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--max-out-len", type=int, default=32)
    options = parser.parse_args()
    if options.sample != [SUBSETS] and len(set(options.sample)) != 2:
        parser.error(f"--sample: two numbers of subsets, or {SUBSETS}")
    settings = (
        "datasets=[mmlu]",
        "runtime=local",
        "runtime.cpu_threads=1",
        f"backend.max_out_len={options.max_out_len}",
    )
    with tempfile.TemporaryDirectory() as temporary:
        stage = set_stage(Path(temporary), options.rows)
        runs = [measure(stage, run, settings, options.sample) for run in range(options.runs)]
    samples = [f"ancestor, {count} subsets" for count in options.sample]
    print_table(
        ["run", f"ours, {SUBSETS} subsets", *samples, f"ancestor, {SUBSETS}", "times faster"],
        [
            (
                number,
                run.ours.clock_s,
                *(run.ancestor[count].clock_s for count in options.sample),
                run.ancestor_s,
                run.ancestor_s / run.ours.clock_s,
            )
            for number, run in enumerate(runs, 1)
        ],
    )
    ratios = [run.ancestor_s / run.ours.clock_s for run in runs]
    print_bar("times faster than the ancestor's settings", ratios, BAR, at_least=True)
    print_load()


def for_all(seconds: dict[int, float], subsets: int) -> float:
    """The seconds of all subsets, on the line through what one or two samples took."""
    if subsets in seconds:
        return seconds[subsets]
    (few, short_s), (more, long_s) = sorted(seconds.items())
    return long_s + (long_s - short_s) / (more - few) * (subsets - more)


def measure(stage: Stage, run: int, settings: tuple[str, ...], samples: list[int]) -> Compared:
    """Runs A, then B on the first subsets of what A evaluated."""
    workspace = stage.folder / f"workspace{run}"
    ours, _ = timed(ftbench_command(stage, workspace, *settings), stage.folder)
    files = finished_run(workspace, ["mmlu"])
    ancestor = {}
    for count in samples:
        arguments = ("--workers", str(WORKERS), "--subsets", str(count))
        folder = stage.folder / f"ancestor{run}-{count}"
        ancestor[count], found = run_stock(stage, files, folder, *arguments)
        scored = len(list(found.results.rglob("*.json")))
        assert scored == count, f"the ancestor's settings scored {scored} of {count} subsets"
    return Compared(ours, ancestor)


if __name__ == "__main__":
    main()
