"""The average over a result's datasets: how far chance alone can move it."""

from __future__ import annotations

from ftbench.schema import OK, Result, Uncertainty
from ftbench.statistics import mean_uncertainty


def average_uncertainty(result: Result) -> Uncertainty | None:
    """The uncertainty of ``Result.average``, from those of its datasets; None without an average.

    An average that lacks one dataset's interval has none, and says which and why.
    """
    averaged = [(d, d.score) for d in result.datasets if d.status == OK and d.score is not None]
    if not averaged:
        return None
    return mean_uncertainty([(d.name, score, d.uncertainty) for d, score in averaged])
