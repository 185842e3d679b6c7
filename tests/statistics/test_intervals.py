"""The intervals that scores are made of, against statsmodels' own."""

from __future__ import annotations

import pytest
from statsmodels.stats.proportion import proportion_confint

from ftbench.statistics.intervals import FEW, proportion

ROWS = (1, 2, 5, 16, 97.3, 1319, 14042)
SHARES = (0.0, 0.002, 0.25, 0.5, 0.8, 0.998, 1.0)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("share", SHARES)
def test_proportion_is_wilsons_widened_to_the_exact_one(share: float, rows: float) -> None:
    low, high = proportion_confint(share * rows, rows, method="wilson")
    if min(share, 1 - share) * rows < FEW:
        exact_low, exact_high = proportion_confint(share * rows, rows, method="beta")
        low = 0.0 if share == 0 else min(low, exact_low)
        high = 1.0 if share == 1 else max(high, exact_high)
    assert proportion(share, rows) == pytest.approx((low, high), rel=1e-9, abs=1e-12)
