"""What the pictures are drawn from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

AVERAGE = "average"
"""Name of the mean over datasets, beside the datasets' own names."""


@dataclass(frozen=True)
class Scored:
    """One evaluated model in one setting.

    Attributes:
        label: What people call it; unique among the models of a picture.
        scores: Percent by dataset name, in the order to show; a dataset without a score is absent.
        subsets: By dataset name, percent by subset name.
        is_base: It is the base model that the others are compared with.
        params: What it was trained and asked with, as text. ``setting`` tells curves over steps
            apart.
        step: Training step of its checkpoint, or None.
    """

    label: str
    scores: Mapping[str, float]
    subsets: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    is_base: bool = False
    params: Mapping[str, str] = field(default_factory=dict)
    step: int | None = None


def dataset_names(models: Sequence[Scored]) -> list[str]:
    """Every dataset with a score, in the order of first appearance."""
    return list(dict.fromkeys(name for model in models for name in finite(model.scores)))


def with_average(models: Sequence[Scored]) -> dict[str, list[float | None]]:
    """Scores by dataset, one per model in their order; the average first where there are several.

    The average of a model that lacks a dataset is None: it would be compared with averages of all.
    """
    names = dataset_names(models)
    table = {name: [finite(model.scores).get(name) for model in models] for name in names}
    if len(names) < 2:
        return table
    return {AVERAGE: [average(model, names) for model in models], **table}


def average(model: Scored, names: Sequence[str]) -> float | None:
    """Unweighted mean over datasets, in percent; None where one has no score."""
    scores = finite(model.scores)
    if not names or any(name not in scores for name in names):
        return None
    return sum(scores[name] for name in names) / len(names)


def best_first(models: Sequence[Scored]) -> list[Scored]:
    """Models by falling average; those without one keep their order at the end."""
    names = dataset_names(models)

    def rank(model: Scored) -> float:
        value = average(model, names)
        return math.inf if value is None else -value

    return sorted(models, key=rank)


def base_of(models: Sequence[Scored]) -> Scored | None:
    """The base model; None when there is none, or more than one."""
    bases = [model for model in models if model.is_base]
    return bases[0] if len(bases) == 1 else None


def finite(scores: Mapping[str, float]) -> dict[str, float]:
    """The scores that are numbers."""
    return {name: value for name, value in scores.items() if math.isfinite(value)}
