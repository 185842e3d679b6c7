"""Means over datasets, which ask other questions and are independent of each other.

The ends of the datasets' intervals are combined (MOVER), not their standard errors: the intervals
need not be symmetric. Source: Zou & Donner 2008.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ftbench.schema import Uncertainty
from ftbench.statistics.intervals import Estimate, of_strata
from ftbench.statistics.values import BETTER, NO_EVIDENCE, WORSE, Paired


@dataclass(frozen=True)
class PairedMean:
    """The mean of several datasets' differences, all of the same two models.

    Attributes:
        difference: Unweighted mean, in the scores' own unit.
        standard_error: Of the difference.
        low, high: Ends of its 95 % interval.
        verdict: ``better`` or ``worse`` where the interval leaves out 0, else ``no evidence``; of
            one dataset its own.
        method: Of the interval, in words.
    """

    difference: float
    standard_error: float
    low: float
    high: float
    verdict: str
    method: str


def mean_uncertainty(parts: Sequence[tuple[str, float, Uncertainty | None]]) -> Uncertainty:
    """The uncertainty of the unweighted mean of datasets' scores.

    Args:
        parts: Of each dataset its name, score and uncertainty.

    Returns:
        That of a single dataset as it is. Where one lacks its interval there is none.
    """
    if len(parts) == 1 and parts[0][2] is not None:
        return parts[0][2]
    estimates = []
    for name, score, found in parts:
        if found is None or found.low is None or found.high is None or found.standard_error is None:
            why = (found.why_not if found else "") or "it has no interval"
            return Uncertainty(why_not=f"{name}: {why}")
        estimates.append(Estimate(score, found.standard_error, found.low, found.high))
    if not estimates:
        return Uncertainty(why_not="no dataset has a score")
    mean = _mean(estimates)
    return Uncertainty(mean.standard_error, mean.low, mean.high, _in_words(len(estimates)))


def paired_mean(parts: Sequence[Paired]) -> PairedMean:
    """The unweighted mean of datasets' differences.

    Args:
        parts: At least one. Each has been tested for itself; this mean is a hypothesis of its own
            and is corrected for none of them.
    """
    if len(parts) == 1:
        (one,) = parts
        ends = (one.difference, one.standard_error, one.low, one.high)
        return PairedMean(*ends, one.verdict, one.method)
    mean = _mean([Estimate(p.difference, p.standard_error, p.low, p.high) for p in parts])
    verdict = BETTER if mean.low > 0 else WORSE if mean.high < 0 else NO_EVIDENCE
    ends = (mean.value, mean.standard_error, mean.low, mean.high)
    return PairedMean(*ends, verdict, _in_words(len(parts)))


def _mean(estimates: Sequence[Estimate]) -> Estimate:
    return of_strata(estimates, [1 / len(estimates)] * len(estimates))


def _in_words(count: int) -> str:
    return f"intervals of {count} datasets, combined by MOVER"
