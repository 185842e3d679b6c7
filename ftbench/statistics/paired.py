"""Is one model better than another on the same samples: test, interval, what could be found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ftbench.statistics.intervals import Estimate, floored, of_clusters, of_difference, of_strata
from ftbench.statistics.permutation import flip_rows, flip_subsets
from ftbench.statistics.power import mcnemar_detectable
from ftbench.statistics.rows import MIN_CLUSTERS, Rows, read_rows
from ftbench.statistics.values import BETTER, NO_EVIDENCE, WORSE, Paired, SubsetOutcomes

if TYPE_CHECKING:
    import numpy.typing as npt

LEVEL = 0.05
"""Two-sided."""

POWER = 0.8


def paired(
    ours: Sequence[SubsetOutcomes], theirs: Sequence[SubsetOutcomes], seed: int = 0
) -> Paired:
    """Compares two models by their answers to the same rows.

    Args:
        ours, theirs: The same subsets, in any order, with the same rows in the same order.
        seed: Of the permutations, where there are too many to try all.

    Raises:
        ValueError: The two do not have the same subsets, rows, repeats and weights, or there are
            too few numbers to go by. Nothing is paired by position after a mismatch.
    """
    pairs = _matched(ours, theirs)
    differences = [mine.means - other.means for mine, other in pairs]
    weights = [mine.weight for mine, _ in pairs]
    design = _Design(pairs, differences, weights)
    if not design.is_clustered and any(len(each) < 2 for each in differences):
        raise ValueError("a subset has a single number to go by")
    found = floored(_estimate(design))
    test, p_value = _tested(design, seed)
    made = Paired(
        difference=found.value,
        standard_error=found.standard_error,
        low=found.low,
        high=found.high,
        p_value=p_value,
        p_adjusted=p_value,
        test=test,
        method=_in_words(design),
        detectable=_detectable(found, design),
        rows=design.rows,
        gained=design.flips(1) if design.is_binary else None,
        lost=design.flips(-1) if design.is_binary else None,
        verdict=NO_EVIDENCE,
    )
    return replace(made, verdict=_verdict(made))


def holm(compared: Sequence[Paired]) -> list[Paired]:
    """Corrects the p-values of one comparison's datasets by Holm's method, and the verdicts.

    Source: Holm 1979, as statsmodels has it.
    """
    from statsmodels.stats.multitest import multipletests

    if not compared:
        return []
    _, adjusted, _, _ = multipletests([each.p_value for each in compared], LEVEL, "holm")
    corrected = [
        replace(each, p_adjusted=float(p)) for each, p in zip(compared, adjusted, strict=True)
    ]
    return [replace(each, verdict=_verdict(each)) for each in corrected]


@dataclass(frozen=True)
class _Design:
    """The rows of both models, subset by subset.

    Attributes:
        differences: Ours minus theirs, one per row, for each subset.
        weights: Of the subsets.
    """

    pairs: Sequence[tuple[Rows, Rows]]
    differences: Sequence[npt.NDArray[Any]]
    weights: Sequence[float]

    @property
    def is_clustered(self) -> bool:
        return len(self.pairs) >= MIN_CLUSTERS

    @property
    def is_binary(self) -> bool:
        return all(mine.is_binary and other.is_binary for mine, other in self.pairs)

    @property
    def is_mcnemar(self) -> bool:
        return len(self.pairs) == 1 and self.is_binary

    @property
    def rows(self) -> int:
        return sum(map(len, self.differences))

    def flips(self, sign: int) -> int:
        """Rows that differ in one direction."""
        return int(sum((sign * each > 0).sum() for each in self.differences))

    def means(self) -> list[float]:
        """The difference of each subset."""
        return [float(each.mean()) for each in self.differences]


def _matched(
    ours: Sequence[SubsetOutcomes], theirs: Sequence[SubsetOutcomes]
) -> list[tuple[Rows, Rows]]:
    by_abbr = {subset.abbr: subset for subset in theirs}
    if len(by_abbr) != len(ours) or {subset.abbr for subset in ours} != by_abbr.keys():
        raise ValueError("the two do not have the same subsets")
    ordered = [by_abbr[subset.abbr] for subset in ours]
    for mine, other in zip(ours, ordered, strict=True):
        if mine.values.shape != other.values.shape:
            raise ValueError(
                f"{mine.abbr} has {_shape(mine)} here and {_shape(other)} there: not the same rows"
            )
        if abs(mine.weight - other.weight) > 1e-9 or mine.right != other.right:
            raise ValueError(f"{mine.abbr} does not count alike in the two scores")
    return list(zip(read_rows(ours), read_rows(ordered), strict=True))


def _shape(subset: SubsetOutcomes) -> str:
    return " x ".join(map(str, subset.values.shape)) + " answers"


def _has_spread(design: _Design) -> bool:
    means = design.means()
    return design.is_clustered and min(means) < max(means)


def _estimate(design: _Design) -> Estimate:
    if _has_spread(design):
        return of_clusters(design.means(), design.weights)
    parts = [
        of_difference(each, mine.right, is_binary=mine.is_binary and other.is_binary)
        for each, (mine, other) in zip(design.differences, design.pairs, strict=True)
    ]
    return of_strata(parts, design.weights)


def _in_words(design: _Design) -> str:
    count = len(design.pairs)
    if _has_spread(design):
        return f"t interval of {count} subsets' differences as clusters"
    name = "Bonett-Price interval" if design.is_binary else "t interval"
    if count == 1:
        return f"{name} of {design.rows} rows"
    return f"{name}s of {count} subsets as strata, combined by MOVER"


def _tested(design: _Design, seed: int) -> tuple[str, float]:
    """Name and p-value of the test that fits."""
    if design.is_clustered:
        p_value = flip_subsets(design.means(), design.weights, seed)
        return f"paired permutation of {len(design.pairs)} subsets", p_value
    if design.is_mcnemar:
        return "McNemar exact", mcnemar_exact(design.flips(1), design.flips(-1))
    p_value = flip_rows(design.differences, design.weights, seed)
    inside = f" in {len(design.pairs)} subsets" if len(design.pairs) > 1 else ""
    return f"paired permutation of {design.rows} rows{inside}", p_value


def mcnemar_exact(gained: int, lost: int) -> float:
    """p-value of McNemar's exact test, two-sided."""
    from statsmodels.stats.contingency_tables import mcnemar

    return min(1.0, float(mcnemar([[0, gained], [lost, 0]], exact=True).pvalue))


def _detectable(found: Estimate, design: _Design) -> float:
    from scipy.special import betaincinv

    scale = math.fsum(mine.weight * mine.right for mine, _ in design.pairs)
    if design.is_mcnemar:
        flips = design.flips(1) + design.flips(-1)
        return scale * mcnemar_detectable(flips, design.rows, LEVEL, POWER)
    from statsmodels.stats.power import NormalIndPower, TTestPower

    count = len(design.pairs) if design.is_clustered else design.rows
    if design.is_clustered:
        effect = TTestPower().solve_power(nobs=count, alpha=LEVEL, power=POWER)
    else:
        effect = NormalIndPower().solve_power(nobs1=count, alpha=LEVEL, power=POWER, ratio=0)
    least = float(effect) * found.standard_error * math.sqrt(count)
    if design.is_binary and not design.is_clustered:
        # Five flips one way and none back have a p-value of 0.06: six must be likely enough.
        least = max(least, scale * float(betaincinv(6, count - 5, POWER)) if count > 5 else scale)
    return min(least, scale)


def _verdict(made: Paired) -> str:
    if made.p_adjusted >= LEVEL or not made.difference:
        return NO_EVIDENCE
    return BETTER if made.difference > 0 else WORSE
