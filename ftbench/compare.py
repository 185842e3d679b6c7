"""Which model is best, where, and by how much: ``python -m ftbench.compare RUN RUN ...``.

Reads finished evaluations out of MLflow or from disk, and needs no GPU and no engine. A score is
compared only with scores that mean the same, and called better or worse only where a paired test on
the same questions says so. A comparison of recorded runs is put on those runs as an artifact.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from ftbench.comparison import Comparison, compare
from ftbench.comparison.as_json import comparison_json
from ftbench.comparison.markdown import comparison_markdown
from ftbench.comparison.terminal import print_comparison
from ftbench.errors import EXIT_OK, ComparisonError, FtbenchError, Problem
from ftbench.references import Finder, Named, add_finder_options, find_runs, make_finder
from ftbench.schema import write_atomically
from ftbench.tracking.comparisons import record_comparison
from ftbench.tracking.store import ui_command

STDOUT = "-"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compares runs and shows the comparison.

    Returns:
        0; 2 where a run is not found; 6 where the tracker cannot be read.
    """
    options = _parser().parse_args(arguments)
    outputs = {"--markdown": options.markdown, "--html": options.html, "--json": options.json}
    try:
        _check_outputs(outputs)
        finder = make_finder(options.tracking_uri, options.experiment)
        named = find_runs(options.runs, options.baseline, finder)
        comparison = compare(
            named.runs,
            named.baseline,
            is_leaderboard=named.is_leaderboard,
            notes=_notes(named, finder),
        )
        rendered = _Rendered(comparison)
        if STDOUT not in outputs.values():
            print_comparison(Console(), comparison)
        for flag, target in outputs.items():
            if target:
                _write(flag, target, rendered.text(flag))
        if not (options.no_record or named.is_leaderboard):
            _record(comparison, rendered)
    except FtbenchError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return EXIT_OK


def _notes(named: Named, finder: Finder) -> list[str]:
    notes = list(named.notes)
    command = ui_command(finder.uri)
    if command and any(run.link for run in named.runs):
        notes += [f"The links answer while this runs: {command}"]
    return notes


class _Rendered:
    """A comparison in every form, each made once: pictures take a while."""

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison
        self._texts: dict[str, str] = {}

    def text(self, flag: str) -> str:
        """The text of ``--markdown``, ``--html`` or ``--json``."""
        if flag not in self._texts:
            self._texts[flag] = _FORMS[flag](self._comparison)
        return self._texts[flag]


def _page(comparison: Comparison) -> str:
    from ftbench.comparison.drawings import drawings
    from ftbench.comparison.page import comparison_page

    return comparison_page(comparison, drawings(comparison))


_FORMS: dict[str, Callable[[Comparison], str]] = {
    "--markdown": comparison_markdown,
    "--html": _page,
    "--json": comparison_json,
}


def _record(comparison: Comparison, rendered: _Rendered) -> None:
    """Puts the comparison on every compared run that is in the baseline's tracker.

    What the tracker does not take is a note: the comparison itself is done.
    """
    uri = comparison.runs[comparison.baseline].tracking_uri
    others = [comparison.runs[i] for i in comparison.others]
    run_ids = [run.key for run in others if uri and run.tracking_uri == uri]
    if not run_ids:
        return
    texts = {"md": "--markdown", "html": "--html", "json": "--json"}
    try:
        where = record_comparison(
            uri,
            run_ids,
            comparison.baseline_name,
            {ending: rendered.text(flag) for ending, flag in texts.items()},
        )
    except FtbenchError as error:
        print(f"note: the comparison was not recorded: {error}", file=sys.stderr)
        return
    runs = "1 run" if len(run_ids) == 1 else f"{len(run_ids)} runs"
    print(f"recorded as {where}.html, .md and .json of {runs}", file=sys.stderr)


def _check_outputs(outputs: dict[str, str | None]) -> None:
    problems = []
    on_stdout = [flag for flag, target in outputs.items() if target == STDOUT]
    if len(on_stdout) > 1:
        happened = "only one of them can go to standard output"
        problems += [Problem(" ".join(f"{flag} -" for flag in on_stdout), happened, "name a file")]
    for flag, target in outputs.items():
        if target and target != STDOUT and not Path(target).absolute().parent.is_dir():
            problems += [Problem(f"{flag} {target}", "its folder is not there", "make it first")]
        elif target and target != STDOUT and Path(target).is_dir():
            problems += [Problem(f"{flag} {target}", "that is a folder", "name a file in it")]
    if problems:
        raise ComparisonError(problems)


def _write(flag: str, target: str, text: str) -> None:
    if target == STDOUT:
        sys.stdout.write(text)
        return
    path = Path(target)
    try:
        # What is no file, such as /dev/stderr, is written to: a move into place would remove it.
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
        else:
            write_atomically(path, text)
    except OSError as exc:
        happened = f"it cannot be written: {exc.strerror or exc}"
        raise ComparisonError(Problem(f"{flag} {target}", happened, "choose another file")) from exc
    print(f"wrote {shlex.quote(target)}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ftbench.compare",
        description="Compares benchmark runs: which model is best, where, and by how much. "
        "Without any RUN: all benchmark runs of the experiment, best first.",
    )
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help="an MLflow run id (or at least 8 digits of its beginning), a run's or adapter's name, "
        "a run's page, a run folder or workspace; base: the base model's run that fits the "
        "others; best: the highest average that can be compared; sweep:ID: the jobs of a sweep; "
        "a training run: the evaluations of all its checkpoints",
    )
    parser.add_argument(
        "--baseline",
        metavar="RUN",
        help="differences start from it; default: the base model's run among them, else the first",
    )
    add_finder_options(parser)
    parser.add_argument(
        "--no-record",
        action="store_true",
        help="do not put the comparison on the compared runs in MLflow",
    )
    for flag, what in (
        ("--markdown", "Markdown"),
        ("--html", "one HTML page that loads nothing"),
        ("--json", "JSON"),
    ):
        parser.add_argument(flag, metavar="FILE", help=f"write {what}; - for standard output")
    return parser


if __name__ == "__main__":
    sys.exit(main())
