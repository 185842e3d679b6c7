"""Gives every score of a result its uncertainty, from the samples in the run folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from ftbench.aggregates import leaf_weights
from ftbench.outcomes import DatasetOutcomes, UnknownOutcomes, read_outcomes
from ftbench.schema import OK, DatasetResult, Result, RunFiles, Uncertainty
from ftbench.statistics import uncertainty


def with_error_bars(files: RunFiles, result: Result) -> Result:
    """The result with an uncertainty beside every score; one without a score has none.

    A dataset that is ok and has one keeps it: it was made from the same samples.

    Args:
        files: The run folder, which has ``samples/<abbr>.jsonl``.
        result: Collected.
    """
    datasets = tuple(
        d if d.status == OK and d.uncertainty is not None else _with_error_bars(files, d)
        for d in result.datasets
    )
    return replace(result, datasets=datasets)


def _with_error_bars(files: RunFiles, dataset: DatasetResult) -> DatasetResult:
    outcomes = read_outcomes(files, dataset)
    weights = leaf_weights(dataset)
    return replace(
        dataset,
        uncertainty=_of(dataset.score, weights[""], outcomes),
        groups=tuple(
            replace(group, uncertainty=_of(group.score, weights[group.name], outcomes))
            for group in dataset.groups
        ),
        subsets=tuple(
            replace(subset, uncertainty=_of(subset.score, {subset.abbr: 1.0}, outcomes))
            for subset in dataset.subsets
        ),
    )


def _of(
    score: float | None, weights: Mapping[str, float], outcomes: DatasetOutcomes
) -> Uncertainty | None:
    if score is None or not math.isfinite(score):
        return None
    try:
        return uncertainty(outcomes.weighted(weights))
    except UnknownOutcomes as exc:
        return Uncertainty(why_not=str(exc))
