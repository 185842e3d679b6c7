"""Averages over datasets: which datasets count, the order that they give, their intervals.

The interval of a difference of averages comes from those of the datasets in it. Datasets are asked
different questions, so that chance moves their differences independently; the two models are the
same in all of them and are no chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ftbench.comparison.evaluated import Evaluated
from ftbench.comparison.labels import short_labels
from ftbench.comparison.values import Average, DatasetLines, Difference, Standing
from ftbench.statistics import paired_mean


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
    """The averages with ``paired`` or ``unpaired_why`` wherever there is a difference.

    Args:
        averages: One per run.
        datasets: Tested lines.
        averaged: Names of the datasets behind the averages.
    """
    lines = [dataset.line for dataset in datasets if dataset.name in averaged]
    return [
        _with_interval(average, [(line.name, line.standings[run]) for line in lines])
        for run, average in enumerate(averages)
    ]


def _with_interval(average: Average, standings: Sequence[tuple[str, Standing]]) -> Average:
    if average.difference is None:
        return average
    untested = next(((name, s.unpaired_why) for name, s in standings if s.paired is None), None)
    if untested is not None:
        name, why = untested
        return replace(average, unpaired_why=f"{name}: {why}")
    made = paired_mean([s.paired for _, s in standings if s.paired is not None])
    return replace(average, paired=made)


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
