"""Averages over datasets: which datasets count, the order that they give, their intervals.

The interval of a difference of averages comes from those of the datasets in it. Datasets are asked
different questions, so that chance moves their differences independently; the two models are the
same in all of them and are no chance. The ends of the intervals are combined, not standard errors:
the intervals need not be symmetric.

Source: Zou and Donner, "Construction of confidence limits about effect measures: a general
approach", Statistics in Medicine 27 (2008), the method of variance estimates recovery (MOVER).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ftbench.comparison.evaluated import Evaluated
from ftbench.comparison.labels import short_labels
from ftbench.comparison.values import Average, DatasetLines, Difference, Standing
from ftbench.statistics import Paired


def averaged_datasets(
    datasets: Sequence[DatasetLines],
    runs: Sequence[Evaluated],
    baseline: int,
    is_leaderboard: bool,
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Datasets that the averages are over, and the others with why."""
    averaged, left_out = [], []
    labels = short_labels(runs)
    for dataset in datasets:
        reasons = [(baseline, dataset.line.standings[baseline].why_not)]
        if not is_leaderboard:
            reasons += [(i, s.why_not) for i, s in enumerate(dataset.line.standings)]
        found = next(((i, reason) for i, reason in reasons if reason), None)
        if found is None:
            averaged += [dataset.name]
        else:
            index, reason = found
            left_out += [(dataset.name, f"{labels[index]}: {reason}")]
    return tuple(averaged), tuple(left_out)


def averages_of(
    datasets: Sequence[DatasetLines], averaged: Sequence[str], count: int, baseline: int
) -> list[Average]:
    """The average of every run over the datasets that count, with its difference."""
    counted = [d for d in datasets if d.name in averaged]
    averages = [_average([(d.name, d.line.standings[i]) for d in counted]) for i in range(count)]
    start = averages[baseline].score
    return [
        replace(average, difference=Difference(average.score - start))
        if index != baseline and average.score is not None and start is not None
        else average
        for index, average in enumerate(averages)
    ]


def ranking_of(averages: Sequence[Average]) -> tuple[int, ...]:
    """Indices of the runs that have an average, best first."""
    ranked = [(a.score, i) for i, a in enumerate(averages) if a.score is not None]
    return tuple(i for _, i in sorted(ranked, key=lambda pair: (-pair[0], pair[1])))


def with_intervals(
    averages: Sequence[Average], datasets: Sequence[DatasetLines], averaged: Sequence[str]
) -> list[Average]:
    """The averages with the intervals of their differences, where every dataset has one.

    Args:
        averages: One per run.
        datasets: Tested lines.
        averaged: Names of the datasets behind the averages.
    """
    lines = [dataset.line for dataset in datasets if dataset.name in averaged]
    return [
        _with_interval(average, [line.standings[run].paired for line in lines])
        for run, average in enumerate(averages)
    ]


def _with_interval(average: Average, tests: Sequence[Paired | None]) -> Average:
    made = [test for test in tests if test is not None]
    difference = average.difference
    if difference is None or not made or len(made) < len(tests):
        return average
    below = math.hypot(*(test.difference - test.low for test in made)) / len(made)
    above = math.hypot(*(test.high - test.difference for test in made)) / len(made)
    low, high = difference.value - below, difference.value + above
    return replace(average, difference=replace(difference, low=low, high=high))


def _average(standings: Sequence[tuple[str, Standing]]) -> Average:
    if not standings:
        return Average(why_not="no dataset can be compared")
    missing = [f"{name}: {s.why_not}" for name, s in standings if s.why_not]
    if missing:
        return Average(why_not="; ".join(missing))
    scores = [s.score for _, s in standings if s.score is not None]
    return Average(
        score=math.fsum(scores) / len(scores),
        is_flagged=any(s.flags for _, s in standings),
    )
