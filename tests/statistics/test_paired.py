"""Paired tests and intervals, against published numbers and numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ftbench.statistics import Paired, SubsetOutcomes, holm, paired


def pair(
    both: int, gained: int, lost: int, neither: int, abbr: str = "a", weight: float = 1.0
) -> tuple[SubsetOutcomes, SubsetOutcomes]:
    """A fourfold table as the answers of two models."""
    ours = [1] * (both + gained) + [0] * (lost + neither)
    theirs = [1] * both + [0] * gained + [1] * lost + [0] * neither
    tables = (100.0 * np.array(each)[:, None] for each in (ours, theirs))
    mine, other = (SubsetOutcomes(abbr, table, weight) for table in tables)
    return mine, other


def compare(*pairs: tuple[SubsetOutcomes, SubsetOutcomes], seed: int = 0) -> Paired:
    return paired([mine for mine, _ in pairs], [other for _, other in pairs], seed)


def random_pairs(subsets: int, rows: int = 40, repeats: int = 1, seed: int = 0) -> list:
    rng = np.random.default_rng(seed)
    return [
        tuple(
            SubsetOutcomes(str(i), 100.0 * (rng.random((rows, repeats)) < p), 1 / subsets)
            for p in (0.6, 0.55)
        )
        for i in range(subsets)
    ]


def test_mcnemar_and_bonett_price_of_a_published_table() -> None:
    # Cavo et al. 2012: 59, 6, 16, 80. Source: tests of the R package contingencytables 3.0
    # (Fagerland, Lydersen & Laake, Statistical Analysis of Contingency Tables, chapter 8).
    found = compare(pair(59, 6, 16, 80))
    assert found.p_value == pytest.approx(0.052479, abs=1e-6)
    assert (found.low, found.high) == pytest.approx((-11.95, -0.32), abs=0.005)
    assert found.difference == pytest.approx(-6.21, abs=0.005)
    assert (found.test, found.gained, found.lost, found.rows) == ("McNemar exact", 6, 16, 161)
    assert found.verdict == "no evidence"


def test_bonett_price_of_its_authors_example() -> None:
    # ci.prop.ps(.05, 12, 4, 26, 6) of the R package statpsych gives 0.2548067 to 0.6251933.
    found = compare(pair(6, 26, 4, 12))
    assert (found.low, found.high) == pytest.approx((25.48067, 62.51933), abs=1e-4)
    assert found.verdict == "better"


def test_mcnemar_worked_out_by_hand() -> None:
    # Five flips one way: 2 / 2^5; six: 2 / 2^6.
    assert compare(pair(10, 5, 0, 10)).p_value == 0.0625
    assert compare(pair(10, 0, 6, 10)).p_value == 0.03125
    assert compare(pair(10, 0, 6, 10)).verdict == "worse"


@pytest.mark.parametrize("subsets", [1, 2, 12])
def test_equal_answers_give_no_evidence_and_an_interval_of_some_width(subsets: int) -> None:
    tables = [pair(30, 0, 0, 20, str(i), 1 / subsets) for i in range(subsets)]
    found = compare(*tables)
    assert (found.difference, found.p_value, found.verdict) == (0.0, 1.0, "no evidence")
    assert found.low < 0 < found.high
    assert found.standard_error > 0
    assert found.detectable > 0


def test_strata_are_tested_by_the_mean_of_subsets() -> None:
    # Three flips in each half, all one way: 2 / 2^6, though the halves weigh unlike.
    found = compare(pair(10, 3, 0, 5, "a", 0.5), pair(20, 3, 0, 50, "b", 0.5))
    assert found.p_value == 0.03125
    assert found.test == "paired permutation of 91 rows in 2 subsets"
    assert found.difference == pytest.approx(50 * (3 / 18 + 3 / 73))


def test_clusters_are_tested_by_their_differences() -> None:
    # Ten subsets that all gain: 2 / 2^10.
    found = compare(*(pair(10, 1 + i % 3, 0, 10, str(i), 0.1) for i in range(10)))
    assert found.p_value == pytest.approx(2 / 1024)
    assert found.test == "paired permutation of 10 subsets"
    assert found.verdict == "better"


@pytest.mark.parametrize(("subsets", "repeats"), [(1, 1), (1, 4), (3, 1), (3, 3), (20, 1), (20, 2)])
def test_the_other_way_round_gives_the_negative(subsets: int, repeats: int) -> None:
    pairs = random_pairs(subsets, repeats=repeats)
    there, back = compare(*pairs), compare(*((other, mine) for mine, other in pairs))
    assert back.difference == pytest.approx(-there.difference)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))
    assert back.p_value == there.p_value
    assert (back.gained, back.lost) == (there.lost, there.gained)


@pytest.mark.parametrize("subsets", [1, 3, 20])
def test_order_does_not_matter(subsets: int) -> None:
    pairs = random_pairs(subsets, repeats=2)
    order = np.random.default_rng(5).permutation(40)
    shuffled = [
        tuple(replace(each, values=each.values[order]) for each in both) for both in reversed(pairs)
    ]
    first, second = compare(*pairs), compare(*shuffled)
    assert second.p_value == first.p_value
    assert (second.low, second.high) == pytest.approx((first.low, first.high))


def test_repeats_are_no_further_rows() -> None:
    mine, other = pair(59, 6, 16, 80)
    often = [replace(each, values=np.repeat(each.values, 5, axis=1)) for each in (mine, other)]
    found = paired([often[0]], [often[1]])
    assert found.rows == 161
    assert (found.gained, found.lost) == (None, None)
    # McNemar's exact one is 0.0525; five times the rows would be far below 0.001.
    assert found.p_value == pytest.approx(0.0525, abs=0.01)


def test_what_does_not_match_is_refused() -> None:
    mine, other = pair(5, 3, 2, 5)
    with pytest.raises(ValueError, match="not the same rows"):
        paired([mine], [replace(other, values=other.values[:-1])])
    with pytest.raises(ValueError, match="not the same rows"):
        paired([mine], [replace(other, values=np.repeat(other.values, 2, axis=1))])
    with pytest.raises(ValueError, match="same subsets"):
        paired([mine], [replace(other, abbr="b")])
    with pytest.raises(ValueError, match="count alike"):
        paired([mine], [replace(other, right=1.0)])


def test_too_few_rows_can_show_nothing() -> None:
    assert compare(pair(2, 1, 0, 2)).detectable == 100.0


def test_holm_worked_out_by_hand() -> None:
    # 0.01 * 4, 0.02 * 3, max(0.03 * 2, 0.06), max(0.04, 0.06).
    one = compare(pair(10, 6, 0, 10))
    found = holm([replace(one, p_value=p) for p in (0.03, 0.01, 0.04, 0.02)])
    assert [each.p_adjusted for each in found] == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert [each.verdict for each in found] == ["no evidence", "better"] + ["no evidence"] * 2
    assert holm([]) == []
