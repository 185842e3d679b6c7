"""Rows as the formulas need them: checked, repeats averaged away, subsets in one order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftbench.statistics.values import SubsetOutcomes

if TYPE_CHECKING:
    import numpy.typing as npt

MIN_CLUSTERS = 10
"""So many subsets are a sample of topics; fewer are fixed parts of the dataset."""


@dataclass(frozen=True)
class Rows:
    """The rows of one subset, each once.

    Attributes:
        means: One per row, over its repeats.
        weight: Share of the subset in the score.
        right: What a right answer is worth.
        is_binary: Every row was answered once, right or wrong.
        is_bounded: No answer is worth more than a right one, or less than a wrong one.
        repeats: How often every row was asked.
    """

    abbr: str
    means: npt.NDArray[Any]
    weight: float
    right: float
    is_binary: bool
    is_bounded: bool
    repeats: int

    @property
    def mean(self) -> float:
        """Of the subset."""
        return float(self.means.mean())


def read_rows(subsets: Sequence[SubsetOutcomes]) -> list[Rows]:
    """Checks outcomes and averages their repeats; a subset of no weight counts for nothing.

    Raises:
        ValueError: There are no subsets, a subset has no rows or a number that is none, or the
            weights do not add up to 1.
    """
    if abs(sum(subset.weight for subset in subsets) - 1.0) > 1e-6:
        raise ValueError("the weights of the subsets do not add up to 1")
    return [_read(subset) for subset in subsets if subset.weight]


def _read(subset: SubsetOutcomes) -> Rows:
    import numpy as np

    values = np.asarray(subset.values, dtype=float)
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"{subset.abbr} has no table of finite rows x repeats")
    return Rows(
        subset.abbr,
        values.mean(axis=1),
        subset.weight,
        subset.right,
        is_binary=values.shape[1] == 1 and bool(np.isin(values, (0.0, subset.right)).all()),
        is_bounded=bool((values >= 0).all() and (values <= subset.right).all()),
        repeats=values.shape[1],
    )
