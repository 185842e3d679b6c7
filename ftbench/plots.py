"""Stub until the page branch lands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scored:
    label: str
    scores: Mapping[str, float]
    subsets: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    is_base: bool = False
    params: Mapping[str, str] = field(default_factory=dict)
    step: int | None = None


def score_bars(models: Sequence[Scored]) -> str:
    return "<svg/>"


def subset_heatmap(models: Sequence[Scored], dataset: str) -> str:
    return "<svg/>"


def score_over_steps(models: Sequence[Scored]) -> str:
    return "<svg/>"


def parallel_coordinates(models: Sequence[Scored]) -> str:
    return "<svg/>"
