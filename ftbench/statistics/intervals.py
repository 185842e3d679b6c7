"""The 95 % intervals that scores and differences are made of.

Sources: Wilson 1927 and Clopper & Pearson 1934; Korn & Graubard 1998 for an effective
sample size in an interval of a proportion; Zou & Donner 2008 (MOVER) for sums of estimates with
intervals of their own; Bonett & Price 2012 for a difference of paired proportions; Bell & McCaffrey
2002 for few clusters. ``docs/statistics.md`` says which is used where.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftbench.statistics.rows import Rows

if TYPE_CHECKING:
    import numpy.typing as npt

Z = 1.959963984540054
"""The 97.5 % point of the normal distribution."""

FEW = 5
"""With fewer right or wrong answers a score interval may be too short, and the exact one counts."""


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error, the ends of its 95 % interval and its degrees of freedom.

    ``df`` is infinite where the normal distribution is used.
    """

    value: float
    standard_error: float
    low: float
    high: float
    df: float = math.inf


def proportion(share: float, rows: float) -> tuple[float, float]:
    """Interval of a share of right answers, 0 to 1; never of no width.

    Wilson's, widened to Clopper and Pearson's where fewer than FEW are right, or wrong.

    Args:
        share: 0 to 1.
        rows: That the share is of; an effective number need not be whole.
    """
    # As statsmodels' proportion_confint, which takes two seconds to import; a test compares them.
    from scipy.special import betaincinv

    right, wrong = share * rows, (1 - share) * rows
    center = (right + Z**2 / 2) / (rows + Z**2)
    half = Z * math.sqrt(rows * share * (1 - share) + Z**2 / 4) / (rows + Z**2)
    low, high = center - half, center + half
    if min(right, wrong) < FEW:
        # At no right answer, and at none wrong, one of the exact ends is not a number.
        low = 0.0 if share == 0 else min(low, betaincinv(right, wrong + 1, 0.025))
        high = 1.0 if share == 1 else max(high, betaincinv(right + 1, wrong, 0.975))
    return max(0.0, float(low)), min(1.0, float(high))


def of_score(rows: Rows) -> Estimate:
    """The score of one subset of at least two rows.

    Raises:
        ValueError: Its values know no bounds and are all alike.
    """
    count, mean = len(rows.means), rows.mean
    share = min(1.0, max(0.0, mean / rows.right))
    if rows.is_binary:
        error = rows.right * math.sqrt(share * (1 - share) / count)
        low, high = proportion(share, count)
        return Estimate(mean, error, rows.right * low, rows.right * high)
    if rows.is_bounded:
        error = _standard_error(rows.means)
        low, high = proportion(share, _effective_rows(rows, share))
        return Estimate(mean, error, rows.right * low, rows.right * high)
    if not _standard_error(rows.means):
        raise ValueError(f"all rows of {rows.abbr} have the same value")
    return _t_interval(rows.means)


def of_difference(differences: npt.NDArray[Any], right: float, *, is_binary: bool) -> Estimate:
    """The mean of the differences of one subset's rows; its interval is never of no width.

    Args:
        differences: One per row, in the score's own unit.
        right: What a right answer is worth.
        is_binary: They are differences of right and wrong answers to rows that were asked once.
    """
    if is_binary or not _standard_error(differences):
        return bonett_price(differences, right)
    return _t_interval(differences)


def bonett_price(differences: npt.NDArray[Any], right: float) -> Estimate:
    """Adjusted Wald interval of a paired difference: as with two more rows, one flipped each way.

    Args:
        differences: As of ``of_difference``.
        right: What a right answer is worth.
    """
    import numpy as np

    count, flips = len(differences), differences / right
    more = np.append(flips, (1.0, -1.0))
    half = Z * math.sqrt(float(more.var()) / len(more))
    low, high = max(-1.0, float(more.mean()) - half), min(1.0, float(more.mean()) + half)
    error = math.sqrt(float(flips.var()) / count)
    return Estimate(float(differences.mean()), right * error, right * low, right * high)


def of_strata(parts: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """Weighted sum of independent estimates: MOVER."""
    value = math.fsum(w * part.value for w, part in zip(weights, parts, strict=True))
    down, up, error = (
        math.sqrt(math.fsum((w * length) ** 2 for w, length in zip(weights, lengths, strict=True)))
        for lengths in (
            [part.value - part.low for part in parts],
            [part.high - part.value for part in parts],
            [part.standard_error for part in parts],
        )
    )
    return Estimate(value, error, value - down, value + up)


def of_clusters(values: Sequence[float], weights: Sequence[float]) -> Estimate:
    """Weighted mean of subsets that are a sample of topics: cluster-robust, with t.

    With equal weights this is the t interval of the subsets' scores. Unequal ones get the unbiased
    variance and the degrees of freedom of Bell & McCaffrey (CR2) for topics that vary alike.
    """
    import numpy as np
    from scipy.special import stdtrit

    scores, shares = np.asarray(values, dtype=float), np.asarray(weights, dtype=float)
    value = float(shares @ scores)
    scale = shares**2 / (1 - 2 * shares + shares @ shares)
    error = math.sqrt(float(scale @ (scores - value) ** 2))
    residual = np.eye(len(scores)) - shares
    form = residual.T @ (scale[:, None] * residual)
    df = float(np.trace(form) ** 2 / (form * form).sum())
    half = float(stdtrit(df, 0.975)) * error
    return Estimate(value, error, value - half, value + half, df)


def floored(estimate: Estimate) -> Estimate:
    """An estimate whose standard error is that of its interval where no answer differs at all."""
    if estimate.standard_error:
        return estimate
    error = (estimate.high - estimate.low) / (2 * Z)
    return Estimate(estimate.value, error, estimate.low, estimate.high, estimate.df)


def _t_interval(values: npt.NDArray[Any]) -> Estimate:
    from scipy.special import stdtrit

    mean, error = float(values.mean()), _standard_error(values)
    half = float(stdtrit(len(values) - 1, 0.975)) * error
    return Estimate(mean, error, mean - half, mean + half, len(values) - 1)


def _standard_error(values: npt.NDArray[Any]) -> float:
    # A sum of equal numbers may be off by a rounding, which would pass for a spread.
    if values.min() == values.max():
        return 0.0
    return math.sqrt(float(values.var(ddof=1)) / len(values))


def _effective_rows(rows: Rows, share: float) -> float:
    """Rows asked once, right or wrong, that would say as much; not fewer than there are."""
    from scipy.special import stdtrit

    count = len(rows.means)
    spread = (_standard_error(rows.means) / rows.right) ** 2 * count
    gain = max(1.0, share * (1 - share) / spread) if spread else 1.0
    return count * gain * float(Z / stdtrit(count - 1, 0.975)) ** 2
