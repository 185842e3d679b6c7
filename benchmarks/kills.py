"""Kills one evaluation many times; what it leaves must be that of an undisturbed one.

    python benchmarks/kills.py [--kills 30] [--runtime local] [--seed 0] [--batch-size 2]

Each time the launcher alone, the evaluation program (the container, or the local process and its
children), or both receive SIGKILL: while it starts, within a random batch, or after the last one.
The same command is then given again, until it ends by itself. A model that counts what it is asked
tells what was computed twice. With --folder everything stays there for a look.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from killing import Evaluation, Killer, damage, make_counted_model, write_race
from measuring import Stage, print_load, print_table, set_stage

from ftbench.compose import override


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--runtime", default="local", choices=("local", "docker"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--datasets", default="race,race:ppl")
    parser.add_argument("--rows", type=int, default=20, help="of each subset")
    parser.add_argument("--num-runs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--delay", type=float, default=1.0, help="seconds of a batch, at least")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        return report(set_stage(folder), options)


def report(stage: Stage, options: argparse.Namespace) -> int:
    """Runs both evaluations and prints how they differ; 0 when they do not."""
    write_race(stage.folder, options.rows)
    make_counted_model(stage.base, stage.folder / "counted", options.delay)
    undisturbed = Evaluation(command(stage, options), stage.folder / "undisturbed")
    started = time.monotonic()
    code = undisturbed.run()
    if code:
        sys.exit(f"exit code {code}: {undisturbed.folder / 'printed.log'}")
    undisturbed_s = time.monotonic() - started
    batches = len(undisturbed.asked)
    print(f"undisturbed: {batches} batches in {undisturbed_s:.1f} s", flush=True)
    killer = Killer(
        Evaluation(command(stage, options), stage.folder / "killed"),
        options.kills,
        batches,
        options.seed,
        lambda line: print(line, flush=True),
    )
    started = time.monotonic()
    code = killer.run()
    killed_s = time.monotonic() - started
    if code:
        sys.exit(f"exit code {code}: {killer.evaluation.folder / 'printed.log'}")
    kills = len(killer.done)
    found = damage(killer.evaluation, undisturbed, kills, options.batch_size)
    print_table(
        "kills|seconds|differing files|scores|rows asked|asked again|at most|leftovers".split("|"),
        [
            (
                kills,
                killed_s,
                len(found.differing),
                "others" if found.scores_differ else "the same",
                sum(map(len, undisturbed.asked)),
                found.asked_again,
                found.bound,
                len(found.leftovers),
            )
        ],
    )
    for name in (*found.differing, *found.leftovers):
        print(f"  {name}")
    print("met" if found.is_none and kills == options.kills else "MISSED")
    print_load()
    return 0 if found.is_none else 1


def command(stage: Stage, options: argparse.Namespace) -> tuple[str, ...]:
    """The command that is given again and again, without its workspace."""
    return (
        *(sys.executable, "-m", "ftbench.run", "baseline=none", "runtime.num_gpus=0"),
        f"datasets=[{options.datasets}]",
        f"runtime={options.runtime}",
        f"limit={options.rows}",
        *([f"num_runs={options.num_runs}"] if options.num_runs > 1 else []),
        f"backend.batch_size={options.batch_size}",
        "backend.max_out_len=16",
        "model.trust_remote_code=true",
        override("model.base", stage.folder / "counted"),
        override("data_dir", stage.folder),
    )


if __name__ == "__main__":
    sys.exit(main())
