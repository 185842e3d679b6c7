"""Error bars of scores, against published numbers and numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ftbench.schema import Uncertainty
from ftbench.statistics import SubsetOutcomes, uncertainty


def answers(right: int, rows: int, abbr: str = "a", weight: float = 1.0) -> SubsetOutcomes:
    """A subset with its right answers first, each row asked once."""
    return SubsetOutcomes(abbr, 100.0 * (np.arange(rows)[:, None] < right), weight)


def ends(found: Uncertainty) -> tuple[float, float]:
    assert found.low is not None and found.high is not None
    return found.low, found.high


def test_one_subset_has_wilsons_interval() -> None:
    # 81 of 263. Source: Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
    found = uncertainty([answers(81, 263)])
    assert ends(found) == (pytest.approx(25.53, abs=0.01), pytest.approx(36.62, abs=0.01))
    assert found.standard_error == pytest.approx(100 * math.sqrt(81 * 182 / 263**3))
    assert found.method == "Wilson score interval of 263 rows"


def test_few_right_answers_get_the_exact_interval_where_it_is_wider() -> None:
    # 1 of 29: Wilson 0.0061 to 0.1718, Clopper-Pearson 0.0009 to 0.1776. Source: as above.
    found = uncertainty([answers(1, 29)])
    assert ends(found) == (pytest.approx(0.09, abs=0.01), pytest.approx(17.76, abs=0.01))


@pytest.mark.parametrize("right", [0, 20])
def test_no_interval_is_of_no_width(right: int) -> None:
    # 0 of 20: Wilson 0 to 0.1611, Clopper-Pearson 0 to 0.1684. Source: as above.
    low, high = ends(found := uncertainty([answers(right, 20)]))
    assert (low, high) == pytest.approx((0, 16.84) if right == 0 else (83.16, 100), abs=0.01)
    assert found.standard_error == pytest.approx((high - low) / 3.92, abs=0.01)


def test_many_subsets_are_clusters() -> None:
    # Scores 0, 10, ..., 90: mean 45, standard deviation 30.277, t(9) = 2.262.
    found = uncertainty([answers(i, 10, str(i), 0.1) for i in range(10)])
    error = 30.2765 / math.sqrt(10)
    assert found.standard_error == pytest.approx(error, abs=1e-4)
    assert ends(found) == pytest.approx((45 - 2.26216 * error, 45 + 2.26216 * error), abs=1e-3)
    assert found.method == "t interval of 10 subsets as clusters"


def test_clusters_that_agree_fall_back_to_their_rows() -> None:
    low, high = ends(uncertainty([answers(10, 10, str(i), 0.1) for i in range(10)]))
    assert 85 < low < 95
    assert high == pytest.approx(100)


def test_the_score_of_a_subset_will_do_where_subsets_are_clusters() -> None:
    scores = [SubsetOutcomes(str(i), np.array([[float(i)]]), 0.1) for i in range(10)]
    assert uncertainty(scores).standard_error == pytest.approx(3.02765 / math.sqrt(10), abs=1e-5)
    lone = uncertainty([SubsetOutcomes("bleu", np.array([[31.5]]), 1.0)])
    assert lone == Uncertainty(why_not="bleu has a single number to go by")


def test_few_subsets_are_strata() -> None:
    found = uncertainty([answers(60, 100, "a", 0.5), answers(90, 100, "b", 0.5)])
    # Half the root of 0.6 * 0.4 / 100 + 0.9 * 0.1 / 100.
    assert found.standard_error == pytest.approx(2.8723, abs=1e-4)
    # Wilson: 60 of 100 is 50.20 to 69.06, 90 of 100 is 82.56 to 94.48; MOVER joins the lengths.
    down, up = math.hypot(9.80, 7.44) / 2, math.hypot(9.06, 4.48) / 2
    assert ends(found) == pytest.approx((75 - down, 75 + up), abs=0.01)


def test_equal_repeats_say_no_more_than_one() -> None:
    once = answers(60, 100)
    often = SubsetOutcomes("a", np.repeat(once.values, 4, axis=1), 1.0)
    low, high = ends(uncertainty([often]))
    wilson = ends(uncertainty([once]))
    assert low == pytest.approx(wilson[0], abs=0.2)
    assert high == pytest.approx(wilson[1], abs=0.2)


def test_rows_may_stand_in_any_order() -> None:
    values = answers(60, 100).values
    shuffled = np.random.default_rng(1).permutation(values)
    assert uncertainty([SubsetOutcomes("a", shuffled, 1.0)]) == uncertainty([answers(60, 100)])


def test_nothing_known_says_so() -> None:
    assert uncertainty([]) == Uncertainty(why_not="no answers are known")
    with pytest.raises(ValueError, match="add up to 1"):
        uncertainty([answers(1, 2, weight=0.5)])
