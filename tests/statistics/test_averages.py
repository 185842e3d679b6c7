"""Means over datasets: their intervals and verdicts, derived by hand."""

from __future__ import annotations

import pytest

from ftbench.schema import Uncertainty
from ftbench.statistics import Paired, mean_uncertainty, paired_mean
from ftbench.statistics.values import BETTER, NO_EVIDENCE, WORSE


def pair(difference: float, down: float, up: float, verdict: str = NO_EVIDENCE) -> Paired:
    ends = (difference, 3.0, difference - down, difference + up)
    return Paired(*ends, 0.5, 0.5, "a test", "a method", 9.0, 50, None, None, verdict)


def test_mean_uncertainty_combines_the_ends_not_the_standard_errors() -> None:
    # Down sqrt(6² + 8²) / 2 = 5, up sqrt(5² + 12²) / 2 = 6.5.
    parts = [("a", 50.0, Uncertainty(3.0, 44.0, 55.0)), ("b", 60.0, Uncertainty(4.0, 52.0, 72.0))]
    found = mean_uncertainty(parts)
    assert (found.low, found.high) == pytest.approx((50.0, 61.5))
    assert found.standard_error == pytest.approx(2.5)


def test_mean_uncertainty_of_one_dataset_is_its_own() -> None:
    own = Uncertainty(3.0, 44.0, 55.0, "Wilson score interval of 90 rows")
    assert mean_uncertainty([("a", 50.0, own)]) == own


@pytest.mark.parametrize("lacking", [None, Uncertainty(), Uncertainty(why_not="BLEU")])
def test_mean_uncertainty_is_not_known_where_one_is_not(lacking: Uncertainty | None) -> None:
    found = mean_uncertainty([("a", 50.0, Uncertainty(3.0, 44.0, 55.0)), ("b", 60.0, lacking)])
    assert (found.standard_error, found.low, found.high) == (None, None, None)
    why = (lacking.why_not if lacking else "") or "it has no interval"
    assert found.why_not == f"b: {why}"


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [((6.0, 5.0), BETTER), ((-6.0, -5.0), WORSE), ((6.0, 3.0), NO_EVIDENCE)],
)
def test_paired_mean_is_told_by_its_interval(differences: tuple[float, ...], verdict: str) -> None:
    # sqrt(6² + 8²) / 2 = 5 both ways.
    found = paired_mean([pair(differences[0], 6.0, 6.0), pair(differences[1], 8.0, 8.0)])
    assert found.difference == sum(differences) / 2
    assert (found.low, found.high) == pytest.approx(
        (found.difference - 5.0, found.difference + 5.0)
    )
    assert found.verdict == verdict


def test_paired_mean_of_one_dataset_has_its_verdict() -> None:
    # Its test decides, whatever the interval says.
    found = paired_mean([pair(6.0, 2.0, 2.0, NO_EVIDENCE)])
    assert (found.low, found.high, found.verdict) == (4.0, 8.0, NO_EVIDENCE)
