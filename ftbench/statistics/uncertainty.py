"""How far chance alone can move a score: its standard error and 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence

from ftbench.schema import Uncertainty
from ftbench.statistics.intervals import (
    Estimate,
    floored,
    of_clusters,
    of_score,
    of_strata,
)
from ftbench.statistics.rows import MIN_CLUSTERS, Rows, read_rows
from ftbench.statistics.values import SubsetOutcomes


def uncertainty(subsets: Sequence[SubsetOutcomes]) -> Uncertainty:
    """The uncertainty of the weighted mean of subsets.

    At least MIN_CLUSTERS subsets are a sample of topics, and vary as clusters; fewer are fixed
    parts. Repeats are a mean within their row, and never more rows.

    Args:
        subsets: Of one score; their weights add up to 1.

    Raises:
        ValueError: The weights do not, or a subset has no rows.
    """
    if not subsets:
        return Uncertainty(why_not="no answers are known")
    parts = read_rows(subsets)
    means = [part.mean for part in parts]
    if len(parts) >= MIN_CLUSTERS and min(means) < max(means):
        found = of_clusters(means, [part.weight for part in parts])
        return _made(found, f"t interval of {len(parts)} subsets as clusters", parts)
    alone = next((part for part in parts if len(part.means) < 2), None)
    if alone is not None:
        return Uncertainty(why_not=f"{alone.abbr} has a single number to go by")
    try:
        each = [of_score(part) for part in parts]
    except ValueError as exc:
        return Uncertainty(why_not=str(exc))
    return _made(of_strata(each, [part.weight for part in parts]), _in_words(parts), parts)


def _made(found: Estimate, method: str, parts: Sequence[Rows]) -> Uncertainty:
    found = floored(found)
    low, high = found.low, found.high
    if all(part.is_bounded for part in parts):
        low = max(low, 0.0)
        high = min(high, sum(part.weight * part.right for part in parts))
    return Uncertainty(found.standard_error, low, high, method)


def _in_words(parts: Sequence[Rows]) -> str:
    if all(part.is_binary for part in parts):
        name = "Wilson score interval"
    elif all(part.is_bounded for part in parts):
        name = "Wilson score interval by effective sample size"
    else:
        name = "t interval"
    repeats = sorted({part.repeats for part in parts})
    rows = "rows" if repeats == [1] else f"rows, means of {' or '.join(map(str, repeats))} runs"
    if len(parts) == 1:
        return f"{name} of {len(parts[0].means)} {rows}"
    return f"{name}s of {len(parts)} subsets as strata, combined by MOVER; {rows}"
