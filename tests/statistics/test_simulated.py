"""A small edition of benchmarks/error_bars.py: intervals hold the truth, tests do not cry wolf."""

from __future__ import annotations

import pytest
from error_bars import (
    average_coverage,
    average_designs,
    coverage,
    interval_designs,
    pair_designs,
    shares_of_pairs,
)
from scipy.stats import binom

# Of 400 evaluations 95 % is seen as 95 % +- 2.1 %; 98.4 % is attained at 50 rows and 2 %, exactly.
INTERVALS = {design.name: design for design in interval_designs()}
PAIRS_MADE = 200
PAIRS = {design.name: design for design in pair_designs()}


@pytest.mark.parametrize(
    "name",
    [
        "right/wrong, 200 rows, 50 %",
        "4 strata of 30 to 240 rows",
        "50 rows, 4 repeats, difficulty varies",
        "57 topics of 20 to 500 rows, spread 15 points",
        "20 topics, half of them weighing threefold",
    ],
)
def test_intervals_hold_the_truth(name: str) -> None:
    share, _, _ = coverage(INTERVALS[name], 400, seed=20)
    assert 0.92 <= share <= 0.98


@pytest.mark.parametrize("number", [1, 4])
def test_intervals_of_averages_hold_the_truth(number: int) -> None:
    share, _, _ = average_coverage(average_designs()[number], 400, seed=20)
    assert 0.92 <= share <= 0.98


@pytest.mark.parametrize("name", ["right/wrong, 200 rows", "4 strata of 30 to 240 rows"])
def test_tests_find_nothing_where_nothing_is(name: str) -> None:
    # A test at its level finds more than this in one of a thousand simulations of this size.
    most = binom.ppf(0.999, PAIRS_MADE, 0.05) / PAIRS_MADE
    assert shares_of_pairs(PAIRS[name], 0.0, PAIRS_MADE, seed=20).found <= most
