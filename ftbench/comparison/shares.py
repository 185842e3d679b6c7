"""Which subsets stand behind a score, and what each counts in it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ftbench.comparison.values import Share
from ftbench.schema import DatasetResult, GroupResult


def dataset_shares(dataset: DatasetResult) -> tuple[Share, ...]:
    """The subsets of a dataset, which count alike."""
    count = len(dataset.subsets)
    return tuple(Share(subset.abbr, 1 / count) for subset in dataset.subsets)


def group_shares(dataset: DatasetResult) -> dict[str, tuple[Share, ...]]:
    """The subsets of every group, by the group's name.

    A group of groups averages those, so that a subset of a small group counts more in it than one
    of a large group.
    """
    found: dict[str, Mapping[str, float]] = {}
    for group in dataset.groups:
        found[group.name] = _weights(group, found)
    return {
        name: tuple(Share(abbr, weight) for abbr, weight in weights.items() if weight)
        for name, weights in found.items()
    }


def _weights(group: GroupResult, inner: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    own = group.weights or (1.0,) * len(group.members)
    total = math.fsum(own)
    weights: dict[str, float] = {}
    for member, weight in zip(group.members, own, strict=True):
        for abbr, share in inner.get(member, {member: 1.0}).items():
            weights[abbr] = weights.get(abbr, 0.0) + share * (weight / total if total else 0.0)
    return weights
