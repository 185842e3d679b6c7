"""Which numbers become metrics."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from ftbench.aggregates import aggregate
from ftbench.schema import (
    FAILED,
    OK,
    PARTIAL,
    SKIPPED,
    TIMEOUT,
    Canary,
    DatasetResult,
    Reason,
    Result,
    Uncertainty,
)
from ftbench.tracking.scores import (
    Score,
    coverage_percent,
    details,
    headlines,
    of_canary,
    overall_status,
)
from tests.tracking_fixtures import (
    cut_off_gsm8k,
    dataset,
    grouped_mmlu,
    gsm8k,
    mmlu,
    result_of,
    subset,
)


def broken_mmlu() -> DatasetResult:
    """mmlu with the last two of its 57 subsets failed."""
    whole = mmlu(4)
    lost = [subset(s.abbr, s.name, None, rows=8, status=FAILED) for s in whole.subsets[-2:]]
    return dataset("mmlu", (*whole.subsets[:-2], *lost), status=PARTIAL)


def unreached(name: str) -> DatasetResult:
    """A dataset that the timeout kept from starting."""
    empty = replace(subset(name, name, None, rows=0, status=TIMEOUT), data_hash="")
    return dataset(name, (empty,), status=TIMEOUT)


def test_headlines_of_a_complete_result_start_with_the_average() -> None:
    # 19 of 57 subsets have 5 of 8 right, 38 have 4: (19 * 62.5 + 38 * 50) / 57.
    mean = (19 * 62.5 + 38 * 50.0) / 57

    scores = headlines(result_of(mmlu(4), gsm8k(25.0)))

    assert [(s.key, s.dataset, s.of_model) for s in scores] == [
        ("bench/avg", "", True),
        ("bench/mmlu", "mmlu", True),
        ("bench/gsm8k", "gsm8k", True),
        ("coverage/mmlu", "mmlu", False),
        ("coverage/gsm8k", "gsm8k", False),
    ]
    assert [s.value for s in scores] == pytest.approx([(mean + 25) / 2, mean, 25.0, 100.0, 100.0])


def test_headlines_have_the_error_bar_of_the_average_where_every_dataset_has_one() -> None:
    known = [replace(d, uncertainty=Uncertainty(3.0, 20.0, 30.0)) for d in (mmlu(4), gsm8k(25.0))]
    found = {score.key: score.value for score in headlines(result_of(*known))}
    assert found["standard_error/avg"] == pytest.approx(4.5**0.5)
    assert found["ci_low/avg"] < found["bench/avg"] < found["ci_high/avg"]
    lacking = replace(known[1], uncertainty=Uncertainty(why_not="BLEU"))
    keys = {score.key for score in headlines(result_of(known[0], lacking))}
    assert keys.isdisjoint({"standard_error/avg", "ci_low/avg", "ci_high/avg"})


def test_details_have_the_error_bar_of_the_dataset_where_it_is_known() -> None:
    known = replace(gsm8k(25.0), uncertainty=Uncertainty(1.5, 22.0, 28.0, "a method"))
    found = {score.key: score.value for score in details(known)}
    assert found["standard_error/gsm8k"] == 1.5
    assert (found["ci_low/gsm8k"], found["ci_high/gsm8k"]) == (22.0, 28.0)
    unknown = replace(gsm8k(25.0), uncertainty=Uncertainty(why_not="BLEU"))
    assert {score.key for score in details(unknown)}.isdisjoint(
        {"standard_error/gsm8k", "ci_low/gsm8k", "ci_high/gsm8k"}
    )


def test_headlines_of_a_partial_result_have_coverage_and_no_average() -> None:
    scores = headlines(result_of(broken_mmlu(), gsm8k(25.0)))

    assert [s.key for s in scores] == [
        "bench/mmlu",
        "bench/gsm8k",
        "coverage/mmlu",
        "coverage/gsm8k",
    ]
    assert scores[2].value == 100 * 55 / 57


def test_headlines_leave_out_what_has_no_score() -> None:
    assert headlines(result_of(unreached("gsm8k"))) == []
    assert headlines(result_of(replace(gsm8k(), score=math.nan, status=FAILED))) == []


def test_coverage_counts_subsets_when_sizes_are_unknown() -> None:
    half = dataset("mmlu", (mmlu().subsets[0], unreached("gsm8k").subsets[0]), status=TIMEOUT)

    assert coverage_percent(half) == 50.0


def test_details_have_one_score_per_subset_where_there_are_several() -> None:
    scores = details(mmlu(4))

    assert len(scores) == 1 + 57 + 1
    assert scores[0] == Score("validity/mmlu/truncated_share", 0.0, "mmlu")
    assert scores[1] == Score("subset/mmlu/subject_00", 62.5, "mmlu")
    assert scores[-1] == Score("seconds/mmlu", 28.5, "mmlu")


def test_details_of_a_single_subset_do_not_repeat_its_score() -> None:
    assert details(gsm8k()) == [
        Score("validity/gsm8k/truncated_share", 0.0, "gsm8k"),
        Score("seconds/gsm8k", 0.5, "gsm8k"),
    ]


def test_details_have_the_other_mean_and_the_groups() -> None:
    assert details(grouped_mmlu())[:4] == [
        Score("weighted/mmlu", 57.0, "mmlu"),
        Score("group/mmlu/mmlu-stem", 62.5, "mmlu"),
        Score("group/mmlu/mmlu-other", 10.0, "mmlu"),
        Score("group/mmlu/mmlu-all", 36.25, "mmlu"),
    ]


def test_details_leave_out_groups_that_are_not_complete() -> None:
    whole = grouped_mmlu()
    lost = subset("lukaemon_mmlu_law", "law", None, 8, status=FAILED)
    part = aggregate(replace(whole, subsets=(*whole.subsets[:2], lost)))

    assert [(s.key, s.value) for s in details(part)][:2] == [
        ("weighted/mmlu", 68.75),
        ("group/mmlu/mmlu-stem", 62.5),
    ]
    assert not [s for s in details(part) if s.key in ("group/mmlu/mmlu-all", "subset/mmlu/law")]


def test_details_have_what_the_answers_are_like() -> None:
    assert details(cut_off_gsm8k())[:3] == [
        Score("validity/gsm8k/truncated_share", 0.4375, "gsm8k"),
        Score("validity/gsm8k/empty_share", 0.0, "gsm8k"),
        Score("validity/gsm8k/mean_output_tokens", 140.0, "gsm8k"),
    ]


def test_details_have_the_further_metrics_of_each_subset() -> None:
    further = {"accuracy": 25.0, "pass@1": 30.0, "broken": math.inf}
    single = dataset("gsm8k", (replace(gsm8k().subsets[0], metrics=further),))
    double = dataset("mmlu", (replace(mmlu().subsets[0], metrics=further), mmlu().subsets[1]))

    assert details(single)[1] == Score("metric/gsm8k/pass_at_1", 30.0, "gsm8k")
    assert [s.key for s in details(double)] == [
        "validity/mmlu/truncated_share",
        "subset/mmlu/subject_00",
        "subset/mmlu/subject_01",
        "metric/mmlu/subject_00.pass_at_1",
        "seconds/mmlu",
    ]


def test_names_that_become_equal_do_not_hide_each_other() -> None:
    first, second = mmlu().subsets[0], mmlu().subsets[1]
    both = dataset("mmlu", (replace(first, name="a+b"), replace(second, name="a=b")))

    assert [s.key for s in details(both)][1:3] == ["subset/mmlu/a_b", "subset/mmlu/a_b-2"]


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (result_of(mmlu(), gsm8k()), OK),
        (result_of(broken_mmlu(), gsm8k()), PARTIAL),
        (result_of(gsm8k(), unreached("gsm8k")), PARTIAL),
        (result_of(unreached("gsm8k")), TIMEOUT),
        (result_of(replace(gsm8k(), status=FAILED, score=None)), FAILED),
        (result_of(failure=Reason("model", "no weights")), FAILED),
        (result_of(), SKIPPED),
    ],
)
def test_overall_status(result: Result, status: str) -> None:
    assert overall_status(result) == status


def test_the_canary_is_logged_as_far_as_it_was_measured() -> None:
    asked = Canary(prompts=8, changed=6, max_logprob_difference=1.5, noise=0.0)
    assert of_canary(asked) == [
        Score("canary/changed_fraction", 0.75),
        Score("canary/max_logprob_difference", 1.5),
    ]
    merged = Canary(weights=40, changed_weights=10)
    assert of_canary(merged) == [Score("canary/changed_weights_fraction", 0.25)]
    assert of_canary(Canary(skipped="canary=false")) == of_canary(None) == []
