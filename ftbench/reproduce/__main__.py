"""The command line: ``python -m ftbench.reproduce RUN``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ftbench.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_RESULT, FtbenchError, PreflightError
from ftbench.host import Host, command_line, read_host
from ftbench.plan import read_plan
from ftbench.printing import say
from ftbench.process import Terminated, stop_on_signals
from ftbench.provenance import read_provenance
from ftbench.references import add_finder_options, make_finder
from ftbench.reproduce.command import Wanted, wanted_of
from ftbench.reproduce.original import Original, find_original, recorded_id
from ftbench.reproduce.surroundings import Surroundings, differences_after, look_around
from ftbench.reproduce.verdict import Verdict, judge, lines, verdict_json
from ftbench.schema import RunFiles, read_result, write_atomically
from ftbench.tracking.recorded_run import tag_run
from ftbench.workspace import run_dirs

EXIT_DIFFERENT = 1

REPRODUCES_TAG = "ftbench.reproduces"
"""On the repetition: the benchmark run (or run folder) that it repeats."""
REPRODUCED_TAG = "ftbench.reproduced"
"""On the repetition: ``same`` or ``different``."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Repeats an evaluation and says whether the scores came out the same.

    Returns:
        0: the same to the last digit, or nothing but the command was asked for. 1: not the same.
        Else as ``ftbench.run``: 2 no such evaluation, 3 it cannot be repeated here, 4 and 5 the
        repetition failed, 6 the tracker.
    """
    options = _parser().parse_args(arguments)
    console = Console()
    try:
        return _reproduce(options, read_host(), console)
    except FtbenchError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _reproduce(options: argparse.Namespace, host: Host, console: Console) -> int:
    with tempfile.TemporaryDirectory(prefix="ftbench-reproduce-") as scratch:
        finder = make_finder(options.tracking_uri, options.experiment)
        original = find_original(options.run, finder, Path(scratch))
        for note in finder.notes:
            say(console, f"note: {note}")
        workspace = _workspace(options.workspace, original, host)
        wanted = wanted_of(original, host, workspace, is_recorded=not options.no_record)
        around = look_around(original, wanted, host)
        _announce(original, around, console)
        if around.problems:
            raise PreflightError(around.problems)
        if options.dry_run:
            return EXIT_OK
        known = set(run_dirs(workspace))
        code = _run(around.wanted)
        made = [folder for folder in run_dirs(workspace) if folder not in known]
        if not made:
            return code or EXIT_RESULT
        told = _conclude(original, around, made[-1], console)
        return code or told


def _announce(original: Original, around: Surroundings, console: Console) -> None:
    say(console, f"reproducing {original.name}: {original.plan.model_abbr}")
    told = original.provenance.get("determinism") or {}
    if told:
        say(console, f"determinism: {told.get('level')}: {told.get('why')}")
    for note in around.notes:
        say(console, f"note: {note}")
    for difference in around.differences:
        say(console, f"otherwise now: {difference}")
    say(console, command_line(around.wanted.command))


def _run(wanted: Wanted) -> int:
    """Runs the command, in this folder and with these variables, to its end."""
    with stop_on_signals():
        process = subprocess.Popen([sys.executable, *wanted.command[1:]])
        while True:
            try:
                code = process.wait()
                return code if code >= 0 else EXIT_INTERRUPTED
            except Terminated as stop:
                process.send_signal(stop.signum)
            except KeyboardInterrupt:
                continue  # the terminal has told the whole group


def _conclude(original: Original, around: Surroundings, run_dir: Path, console: Console) -> int:
    files = RunFiles(run_dir)
    try:
        result = read_result(files.summary)
    except (OSError, ValueError):
        return EXIT_RESULT  # it ended before it had a result, and has said why
    differences = differences_after(original.provenance, read_provenance(files))
    verdict = judge(original, result, files, differences)
    value = verdict_json(verdict, original, around.wanted.command)
    place = files.root / "reproduction.json"
    write_atomically(place, json.dumps(value, ensure_ascii=False, indent=1) + "\n")
    say(console, "")
    for line in lines(verdict):
        say(console, line)
    _tag(original, files, verdict)
    return EXIT_OK if verdict.is_same else EXIT_DIFFERENT


def _tag(original: Original, files: RunFiles, verdict: Verdict) -> None:
    tracking = read_plan(files.root).tracking
    run_id = recorded_id(files)
    if tracking.kind == "none" or not run_id:
        return
    told = "same" if verdict.is_same else "different"
    tag_run(tracking.uri, run_id, {REPRODUCES_TAG: original.name, REPRODUCED_TAG: told})


def _workspace(given: str | None, original: Original, host: Host) -> Path:
    if given:
        return host.path(given).absolute()
    stamp = time.strftime("%Y%m%d_%H%M%S")
    folder = host.path("ftbench_workspace/reproduced") / original.plan.model_abbr
    names = [stamp, *(f"{stamp}_{n}" for n in range(1, 1000))]
    return next(path for name in names if not (path := folder / name).exists())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ftbench.reproduce",
        description="Repeats a finished evaluation with everything as it was, and says whether the "
        "scores came out the same. Exit codes: 0 the same to the last digit, 1 not the same, 2 no "
        "such evaluation, 3 it cannot be repeated here, 4 or 5 the repetition failed, 6 the "
        "tracker.",
    )
    parser.add_argument(
        "run",
        metavar="RUN",
        help="an MLflow run id (or at least 8 digits of its beginning), a run's or adapter's name, "
        "a run's page, a run folder or workspace",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check and print the command, start nothing"
    )
    parser.add_argument("--no-record", action="store_true", help="leave the tracker as it is")
    parser.add_argument(
        "--workspace",
        metavar="DIR",
        help="folder for the repetition; default: a new one in ftbench_workspace/reproduced",
    )
    add_finder_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
