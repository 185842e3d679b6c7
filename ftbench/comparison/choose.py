"""Which run ``base`` and ``best`` mean, and which runs of many ask the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ftbench.comparison import fitting
from ftbench.comparison.comparable import incomplete, questions, why_not
from ftbench.comparison.evaluated import Evaluated


def fitting_base(candidates: Sequence[Evaluated], others: Sequence[Evaluated]) -> Evaluated | None:
    """The base model's run that fits others, as ``fitting`` says; None where none fits.

    Args:
        candidates: Runs to choose from.
        others: At least one.
    """
    found = fitting.fitting_base([run.facts for run in candidates], [run.facts for run in others])
    return None if found is None else candidates[found]


def best_fitting(candidates: Sequence[Evaluated], others: Sequence[Evaluated]) -> Evaluated | None:
    """The run with the highest average that can be compared.

    Args:
        candidates: Runs to choose from.
        others: What it is compared with; with none, runs that ask what most candidates ask are
            compared among themselves.

    Returns:
        None where no candidate can be compared.
    """
    if not candidates:
        return None
    reference = others[0] if others else most_common(candidates)[0]
    names = [d.name for d in reference.result.datasets if not incomplete(d)]
    averages = [(_average(run, reference, names), run) for run in candidates]
    known = [(score, run) for score, run in averages if score is not None]
    return max(known, key=lambda pair: (pair[0], pair[1].started_ms), default=(0.0, None))[1]


def most_common(runs: Sequence[Evaluated]) -> list[Evaluated]:
    """The largest group of complete runs that ask the same questions, or else all runs.

    Of groups of one size it is the one with the newest run.
    """
    groups: dict[object, list[Evaluated]] = {}
    for run in runs:
        if run.result.is_complete and run.result.average is not None:
            groups.setdefault(questions(run.result.datasets), []).append(run)
    if not groups:
        return list(runs)
    return max(groups.values(), key=lambda group: (len(group), max(r.started_ms for r in group)))


def best_average(runs: Sequence[Evaluated]) -> Evaluated:
    """Of runs that ask the same, the one with the highest average; the newest of equal ones."""
    return max(runs, key=lambda run: (run.result.average or 0.0, run.started_ms))


def _average(run: Evaluated, reference: Evaluated, names: Sequence[str]) -> float | None:
    own = {d.name: d for d in run.result.datasets}
    theirs = {d.name: d for d in reference.result.datasets}
    if not names or any(why_not(own.get(name), theirs[name]) for name in names):
        return None
    return math.fsum(own[name].score or 0.0 for name in names) / len(names)
