"""Paired permutation tests: under no difference, either model might have given either answer.

The tests are scipy's. Exact where all choices of signs can be tried; else a seeded sample of them,
and the p-value counts the observed one among them (Phipson & Smyth 2010).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

RESAMPLES = 9999

_MAX_DRAWS = 100_000_000
"""Signs drawn at most: a second or two. More than 10,000 rows that all differ by other amounts, as
right and wrong answers never do, get fewer resamples, and never fewer than a tenth."""


def flip_subsets(differences: Sequence[float], weights: Sequence[float], seed: int) -> float:
    """p-value of the weighted sum of subset differences, whose signs are exchangeable."""
    import numpy as np

    return _flip(np.asarray(differences, dtype=float) * np.asarray(weights, dtype=float), seed)


def flip_rows(
    differences: Sequence[npt.NDArray[Any]], weights: Sequence[float], seed: int
) -> float:
    """p-value of the weighted mean over subsets of their rows' differences.

    Rows that do not differ take no part: their sign changes nothing. Rows that count alike are
    drawn together, by how many of them have a plus: the same distribution, in a fraction of the
    time.
    """
    import numpy as np

    parts = [w / len(each) * each for w, each in zip(weights, differences, strict=True)]
    amounts = np.concatenate(parts)
    largest = float(np.abs(amounts).max())
    if not largest:
        return 1.0
    # Means of repeats are thirds and sevenths: equal amounts may differ in their last digit.
    sizes = np.round(np.abs(amounts) / largest, 12)
    amounts, sizes = amounts[sizes > 0], sizes[sizes > 0]
    if 2 ** min(len(amounts), 60) <= RESAMPLES:
        return _flip(amounts, seed)
    size, group, count = np.unique(sizes, return_inverse=True, return_counts=True)
    plus = np.bincount(group, weights=amounts > 0)
    if (size * (2 * plus - count)).sum() < 0:
        plus = count - plus
    return _draw_counts(size, count, plus, seed)


def _flip(amounts: npt.NDArray[Any], seed: int) -> float:
    import numpy as np
    from scipy.stats import permutation_test

    if not amounts.any():
        return 1.0
    # One order and one direction: the p-value depends on neither, even where signs are drawn.
    ordered = np.sort(amounts if amounts.sum() >= 0 else -amounts)
    found = permutation_test(
        (ordered / 2, -ordered / 2),
        lambda ours, theirs, axis: (ours - theirs).sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def _draw_counts(
    size: npt.NDArray[Any], count: npt.NDArray[Any], plus: npt.NDArray[Any], seed: int
) -> float:
    """The test where ``plus`` of ``count`` rows of each size are positive."""
    import numpy as np
    from scipy.stats import monte_carlo_test

    rng = np.random.default_rng(seed)
    is_single = bool((count == 1).all())

    def draw(size: tuple[int, ...]) -> Any:
        if not is_single:
            return rng.binomial(count, 0.5, size=size)
        total = math.prod(size)
        drawn = np.frombuffer(rng.bytes(-(-total // 8)), dtype=np.uint8)
        return np.unpackbits(drawn, count=total).reshape(size)

    found = monte_carlo_test(
        plus,
        draw,
        lambda drawn, axis: drawn @ (2 * size) - count @ size,
        vectorized=True,
        n_resamples=min(RESAMPLES, max(RESAMPLES // 10, _MAX_DRAWS // len(size))),
        batch=max(1, 10_000_000 // len(size)),
    )
    return float(found.pvalue)
