"""Which differences are tested, on what, and with which verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from scipy.stats import binomtest

from ftbench.comparison import Evaluated, compare
from ftbench.comparison.compare import losses
from ftbench.comparison.testing import MAX_TESTED, TOO_MANY
from ftbench.comparison.values import Standing
from tests.comparison.builders import Told, answered, mmlu, run, single

FEW = "1" * 4 + "0" * 12
MANY = "1" * 14 + "0" * 2


def standing(runs: list[Evaluated], dataset: int = 0) -> Standing:
    return compare(runs, 0).datasets[dataset].line.standings[1]


def test_significant_gain_is_better_with_mcnemars_p_value() -> None:
    found = standing([answered("base", a=FEW), answered("lora", a=MANY)])
    assert found.paired is not None
    assert (found.paired.gained, found.paired.lost, found.paired.rows) == (10, 0, 16)
    assert found.paired.p_value == pytest.approx(binomtest(10, 10).pvalue)
    assert found.paired.verdict == "better"
    assert found.paired.difference == pytest.approx(found.difference and found.difference.value)


def test_loss_is_worse_and_told_as_one() -> None:
    compared = compare([answered("base", a=MANY), answered("lora", a=FEW)], 0)
    assert compared.datasets[0].line.standings[1].paired.verdict == "worse"  # type: ignore[union-attr]
    assert [(loss.dataset, loss.kind) for loss in losses(compared, 1)] == [("a", "dataset")]


def test_equal_answers_are_no_evidence() -> None:
    found = standing([answered("base", a=FEW), answered("lora", a=FEW)])
    assert found.paired is not None
    assert (found.paired.verdict, found.paired.p_value) == ("no evidence", 1.0)


def test_baseline_is_not_tested_against_itself() -> None:
    compared = compare([answered("base", a=FEW), answered("lora", a=MANY)], 0)
    start = compared.datasets[0].line.standings[0]
    assert (start.paired, start.unpaired_why) == (None, "")


def test_holm_corrects_over_the_datasets_of_one_run() -> None:
    before = dict.fromkeys("abcd", "0" * 16)
    after = dict.fromkeys("abcd", "1" * 6 + "0" * 10)
    runs = [answered("base", **before), answered("lora", **after)]
    found = [d.line.standings[1].paired for d in compare(runs, 0).datasets]
    # Six flips of one kind: 2 / 2**6, four times over.
    assert [p.p_value for p in found if p] == pytest.approx([0.03125] * 4)
    assert [p.p_adjusted for p in found if p] == pytest.approx([0.125] * 4)
    assert {p.verdict for p in found if p} == {"no evidence"}
    assert standing([answered("base", a=before["a"]), answered("lora", a=after["a"])]).paired


def test_second_run_does_not_change_the_correction_of_the_first() -> None:
    base, lora = answered("base", a=FEW), answered("lora", a=MANY)
    alone = standing([base, lora]).paired
    beside = standing([base, lora, answered("other", a="0" * 16)]).paired
    assert alone == beside


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"reference": "B"}, "16 questions have another right answer, the first is number 0"),
        ({"rows": {"a": FEW[:15]}}, "15 of 16 answers are recorded"),
        ({"rows": {}}, "its answers are not recorded"),
        ({"rows": {"a": MANY}}, "the score is not the share of right answers"),
    ],
)
def test_answers_that_do_not_match_are_refused(changes: dict[str, Any], reason: str) -> None:
    base, lora = answered("base", a=FEW), answered("lora", a=FEW)
    assert isinstance(lora.answers, Told)
    found = standing([base, replace(lora, answers=replace(lora.answers, **changes))])
    assert (found.paired, found.unpaired_why) == (None, reason)
    other = standing([replace(base, answers=replace(lora.answers, **changes)), lora])
    assert other.paired is None
    assert other.unpaired_why.removeprefix("the baseline: ") == reason


def test_run_without_answers_says_so_and_has_no_verdict() -> None:
    found = standing([answered("base", a=FEW), replace(answered("lora", a=MANY), answers=None)])
    assert (found.paired, found.unpaired_why) == (None, "its answers are not recorded")


def test_scores_that_cannot_be_compared_are_not_tested() -> None:
    other = run("lora", single("a", 25.0, expected=16, prompt_hash="bb" * 8), answers=Told({}))
    found = standing([answered("base", a=FEW), other])
    assert (found.paired, found.unpaired_why) == (None, "")


def test_repeats_are_not_more_questions() -> None:
    base = answered("base", a=f"{FEW} {FEW} {FEW}")
    lora = answered("lora", a=f"{MANY} {MANY} {MANY}")
    found = standing([base, lora]).paired
    assert found is not None
    assert found.rows == 16


def test_groups_and_subsets_are_tested_on_their_own_answers() -> None:
    abbrs = ("mmlu_law", "mmlu_anatomy", "mmlu_virology")
    before = dict(zip(abbrs, ("0" * 8, "1" * 8, "1" * 8), strict=True))
    after = dict(zip(abbrs, ("1" * 8, "0" * 8, "1" * 8), strict=True))
    base = run("base", mmlu(0, 100, 100), answers=Told(before))
    lora = run("lora", mmlu(100, 0, 100), answers=Told(after))
    (dataset,) = compare([base, lora], 0).datasets
    (group,) = (line.standings[1].paired for line in dataset.groups)
    assert group is not None
    assert (group.difference, group.rows, group.lost) == (-50.0, 16, 8)
    subsets = [line.standings[1].paired for line in dataset.subsets]
    assert [p.difference for p in subsets if p] == [100.0, -100.0, 0.0]
    # Three subsets are corrected for: 2 / 2**8 three times over.
    assert subsets[0] is not None
    assert subsets[0].p_adjusted == pytest.approx(3 * 2 / 2**8)
    assert [d.p_value for d in [dataset.line.standings[1].paired] if d] == [1.0]


def test_average_has_an_interval_where_every_dataset_has_one() -> None:
    runs = [answered("base", a=FEW, b=FEW), answered("lora", a=MANY, b=FEW)]
    compared = compare(runs, 0)
    a, b = (d.line.standings[1].paired for d in compared.datasets)
    average = compared.averages[1]
    assert a and b and average.paired and average.difference
    half = ((a.difference - a.low) ** 2 + (b.difference - b.low) ** 2) ** 0.5 / 2
    assert average.paired.low == pytest.approx(average.difference.value - half)
    assert average.paired.difference == pytest.approx(average.difference.value)
    untested = [runs[0], replace(runs[1], answers=Told({"a": MANY}))]
    average = compare(untested, 0).averages[1]
    assert average.difference == compared.averages[1].difference
    assert average.paired is None
    assert average.unpaired_why == "b: its answers are not recorded"


def test_average_is_better_where_its_interval_leaves_out_0() -> None:
    # Six flips of one kind in each of four datasets: after Holm's correction none is better alone.
    before, after = dict.fromkeys("abcd", "0" * 16), dict.fromkeys("abcd", "1" * 6 + "0" * 10)
    compared = compare([answered("base", **before), answered("lora", **after)], 0)
    average = compared.averages[1].paired
    assert average is not None
    assert (average.difference, average.low > 0, average.verdict) == (37.5, True, "better")


def test_of_many_runs_the_best_are_tested() -> None:
    base = answered("base", a="0" * 32)
    others = [answered(f"m{n}", a="1" * n + "0" * (32 - n)) for n in range(1, MAX_TESTED + 3)]
    (dataset,) = compare([base, *others], 0).datasets
    whys = [s.unpaired_why for s in dataset.line.standings]
    assert whys == ["", TOO_MANY, TOO_MANY, *[""] * MAX_TESTED]
