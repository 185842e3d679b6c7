"""How large a difference has to be for McNemar's exact test to find it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_STEPS = 30
"""Halvings of the whole scale: to a billionth of it."""


def mcnemar_detectable(flips: int, rows: int, level: float, power: float) -> float:
    """The least true difference that McNemar's exact test finds so often, 0 to 1.

    As many rows flip as were seen to, and those that the difference itself brings: half its square
    where it moves every row's chance alike, and never fewer than it takes. How many do in another
    sample is left to chance (the unconditional power). With few flips the test can reject for few
    outcomes only, which the normal approximation does not know.

    Args:
        flips: Rows that one model answers right and the other wrong.
        rows: All rows.
        level: Of the two-sided test.
        power: Share of samples in which it is found.

    Returns:
        1 where even a difference as large as the scale is not.

    Source: Duffy 1984, "Asymptotic and exact power for the McNemar test and its analogue with R
    controls per case", Biometrics 40.
    """
    share = flips / rows
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        flipping = min(1.0, max(share + middle**2 / 2, middle))
        if _power(middle, flipping, rows, level) < power:
            low = middle
        else:
            high = middle
    return high


def _power(difference: float, share: float, rows: int, level: float) -> float:
    """How often a difference is found, in its own direction."""
    import numpy as np
    from scipy.special import bdtr

    # Beyond eight standard deviations nothing happens that a double could tell.
    reach = 8 * (rows * share * (1 - share)) ** 0.5 + 1
    least = max(0, int(rows * share - reach))
    counts = np.arange(least, min(rows, int(rows * share + reach) + 1) + 1)
    below = np.where(counts > 0, bdtr(np.maximum(counts - 1, 0), rows, share), 0.0)
    likely = bdtr(counts, rows, share) - below
    most = _critical(counts, level)
    lost = (1 - difference / share) / 2
    found = np.where(most >= 0, bdtr(np.maximum(most, 0), np.maximum(counts, 1), lost), 0.0)
    return float(likely @ found)


def _critical(counts: npt.NDArray[np.int64], level: float) -> npt.NDArray[np.int64]:
    """Of so many flips the most the other way with which the test rejects; -1: it never does."""
    import numpy as np
    from scipy.special import bdtr, ndtri

    # The normal distribution's quantile is hardly one off: from below it, and then up.
    most = np.floor((counts + ndtri(level / 2) * np.sqrt(counts)) / 2).astype(np.int64) - 3
    for _ in range(6):
        up = np.maximum(most + 1, 0)
        fits = 2 * bdtr(np.minimum(up, counts), counts, 0.5) < level
        most = np.where(fits, up, most)
    return np.where(most < 0, -1, most)
