"""The difference that McNemar's exact test finds four times in five."""

from __future__ import annotations

import pytest
from scipy.stats import binom, binomtest

from ftbench.statistics.power import mcnemar_detectable


def power(difference: float, share: float, rows: int) -> float:
    """The same, sample by sample of flips, with scipy's own test."""
    lost = (1 - difference / share) / 2
    found = 0.0
    for flips in range(1, rows + 1):
        rejected = [k for k in range(flips // 2 + 1) if binomtest(k, flips).pvalue < 0.05]
        if rejected:
            most = max(rejected)
            found += binom.pmf(flips, rows, share) * binom.cdf(most, flips, lost)
    return found


@pytest.mark.parametrize(("flips", "rows"), [(10, 50), (25, 50)])
def test_power_at_what_is_detectable_is_four_fifths(flips: int, rows: int) -> None:
    least = mcnemar_detectable(flips, rows, 0.05, 0.8)
    share = max(flips / rows + least**2 / 2, least)
    assert power(least, share, rows) == pytest.approx(0.8, abs=1e-6)


def test_without_flips_six_have_to_be_likely_enough() -> None:
    # Six of one kind have a p-value of 1/32; five have 1/16.
    least = mcnemar_detectable(0, 16, 0.05, 0.8)
    assert binom.sf(5, 16, least) == pytest.approx(0.8)


def test_five_rows_can_show_nothing() -> None:
    assert mcnemar_detectable(5, 5, 0.05, 0.8) == 1.0


def test_many_rows_come_near_the_normal_approximation() -> None:
    # 2.8 standard errors of 300,000 flips in a million rows.
    least = mcnemar_detectable(300_000, 1_000_000, 0.05, 0.8)
    assert least == pytest.approx(2.8016 * (0.3 / 1e6) ** 0.5, rel=0.005)
