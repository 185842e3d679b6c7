"""The one run that an evaluation is to be compared with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ftbench.comparison import Evaluated
from ftbench.comparison.choose import best_fitting
from ftbench.comparison.comparable import incomplete
from ftbench.errors import ComparisonError, Problem
from ftbench.plan import DatasetPlan
from ftbench.references.concrete import find_concrete, follow_folders
from ftbench.references.finder import EVALUATIONS, MAX_LISTED, Finder, newest
from ftbench.tracking.names import sqlite_path
from ftbench.tracking.reading import load_runs

_MAX_CHOICE = 60
"""Runs among which the best is chosen, the newest."""


def find_one(name: str, uri: str, is_given: bool, cwd: Path) -> Evaluated:
    """The run that a name means: an id, a name, a page, a run folder or workspace.

    Args:
        name: As people typed it.
        uri: Tracking URI without credentials.
        is_given: Somebody said which tracker it is.
        cwd: Folder that relative paths start from.

    Raises:
        ComparisonError: It leads to no run, or to several.
        ReadingError: The tracker cannot be asked.
    """
    finder = Finder(uri, None, cwd, is_given)
    follow_folders([name], finder)
    runs = find_concrete([name], finder)[name]
    if len(runs) == 1:
        return runs[0]
    listed = ", ".join(f"{run.short_key} ({run.name})" for run in runs[:MAX_LISTED])
    happened = f"it stands for {len(runs)} runs: {listed}"
    raise ComparisonError(Problem(name, happened, "name one of them"))


def best_run(uri: str, experiment: str | None, ours: Evaluated) -> Evaluated | None:
    """The run with the highest average that another one can be compared with; None without one.

    Args:
        uri: Tracking URI without credentials.
        experiment: Name or id of the experiment to look in; None: in all.
        ours: The other one; its own evaluation does not count.

    Raises:
        ReadingError: The tracker cannot be asked.
    """
    path = sqlite_path(uri)
    if path is not None and not path.is_file():
        return None
    finder = Finder(uri, experiment, Path.cwd())
    where = f"{EVALUATIONS} AND metrics.`bench/avg` > -1000000"
    found = newest(finder.tracker().search(where, finder.experiment_ids()))
    others = [run for run in found if run.fingerprint != ours.result.fingerprint]
    return best_fitting(load_runs(finder.tracker(), others[:_MAX_CHOICE], finder.notes), [ours])


def never_comparable(theirs: Evaluated, datasets: Sequence[DatasetPlan]) -> str:
    """Why no score of a run can be compared with those of a plan, as far as that is certain.

    Args:
        theirs: The run.
        datasets: What is to be evaluated.

    Returns:
        A reason, or empty: whether prompts and rows are the same shows when there are scores.
    """
    results = {dataset.name: dataset for dataset in theirs.result.datasets}
    shared = [(planned, results[planned.name]) for planned in datasets if planned.name in results]
    if not shared:
        return f"it did not evaluate {', '.join(d.name for d in datasets)}"
    whole = [(planned, result) for planned, result in shared if not incomplete(result)]
    if not whole:
        return f"its {shared[0][1].name} is {incomplete(shared[0][1])}"
    # Which subsets a Python config of the user's has, only its evaluation tells.
    alike = [
        planned.name
        for planned, result in whole
        if not planned.subsets or set(planned.subsets) == {s.abbr for s in result.subsets}
    ]
    return "" if alike else f"its {whole[0][1].name} has other subsets"
