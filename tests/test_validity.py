"""Counts of answers and the flags that follow from them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ftbench.aggregates import aggregate, unscored
from ftbench.schema import FAILED, DatasetResult, Group, Result, Sample, SubsetResult
from ftbench.validity import (
    AnswerCounts,
    Count,
    count_answers,
    flagged,
    flags,
    labels,
    notes,
    percent,
    trouble,
    validity_of,
)
from tests.builders import scored


def sample(prediction: str, extracted: str | None, truncated: bool | None = False) -> Sample:
    tokens = None if truncated is None else len(prediction)
    return Sample(
        "s", 0, "", prediction, extracted=extracted, truncated=truncated, output_tokens=tokens
    )


def answered(
    truncated: int | None = 0,
    empty: int | None = 0,
    unextracted: int | None = 0,
    rows: int = 20,
    tokens: float | None = None,
) -> SubsetResult:
    counts = AnswerCounts(truncated, empty, unextracted, tokens)
    return replace(scored("s", "s", 50.0, rows), **vars(counts))


def test_count_answers_counts_each_kind() -> None:
    samples = [sample("A", "A"), sample(" \n", ""), sample("long", "", truncated=True)]
    assert count_answers(samples) == AnswerCounts(1, 1, 2, (1 + 2 + 4) / 3)


def test_count_answers_does_not_know_what_no_sample_tells() -> None:
    assert count_answers([sample("A", None, None)] * 2) == AnswerCounts(None, 0, None, None)
    assert count_answers([]) == AnswerCounts()


def test_count_answers_of_some_known_is_at_least_so_many() -> None:
    assert count_answers([sample("A", ""), sample("B", None)]).unextracted == 1
    # None among the known ones says nothing about the others.
    assert count_answers([sample("A", "A"), sample("B", None)]).unextracted is None


def test_validity_adds_up_what_is_known() -> None:
    subsets = [answered(7, 1, None, 16, 100.0), answered(None, 2, 3, 4, 20.0), answered(rows=0)]
    found = validity_of(subsets)
    assert (found.truncated, found.empty, found.unextracted) == (
        Count(7, 16),
        Count(3, 20),
        Count(3, 4),
    )
    assert found.mean_output_tokens == (16 * 100 + 4 * 20) / 20
    assert found.shares() == {
        "truncated_share": 0.4375,
        "empty_share": 0.15,
        "unextracted_share": 0.75,
    }


def test_validity_leaves_out_subsets_without_a_score() -> None:
    lost = replace(answered(20, 20, 20), status=FAILED, score=None)
    assert validity_of([lost, answered(1)]).truncated == Count(1, 20)
    assert validity_of([lost]).truncated is None


def test_flags_are_sentences_with_numbers() -> None:
    assert flags([answered(7, 0, 9, rows=16)], 0.05) == (
        "7 of 16 answers (44 %) reached the generation limit",
        "from 9 of 16 answers (56 %) the evaluator took nothing",
    )
    assert flags([answered(0, 3, 4, rows=16)], 0.05) == (
        "3 of 16 answers (19 %) are empty",
        "from 4 of 16 answers (25 %) the evaluator took nothing",
    )


def test_flags_do_not_tell_an_empty_answer_twice() -> None:
    assert flags([answered(0, 3, 3, rows=16)], 0.05) == ("3 of 16 answers (19 %) are empty",)


@pytest.mark.parametrize(
    ("truncated", "threshold", "is_flagged"),
    [
        (1, 0.05, False),  # exactly the threshold
        (2, 0.05, True),
        (0, 0.0, False),
        (1, 0.0, True),
        (20, 1.0, False),
        (3, 0.15, False),
        (None, 0.0, False),
    ],
)
def test_a_score_is_flagged_above_the_threshold(
    truncated: int | None, threshold: float, is_flagged: bool
) -> None:
    assert bool(flags([answered(truncated)], threshold)) == is_flagged


def test_flags_name_different_metrics_and_labels() -> None:
    f1 = replace(answered(), metric="f1", label="rule-only")
    assert flags([answered(), f1], 0.05) == (
        "it is a mean over different metrics (accuracy, f1)",
        "1 of 2 scores are rule-only: what the rules do not accept counts as wrong",
    )
    assert flags([f1], 0.05) == (
        "its score is rule-only: what the rules do not accept counts as wrong",
    )
    assert labels([f1, answered(), f1]) == ("rule-only",)


def test_a_judges_name_is_a_label_and_no_flag() -> None:
    judged = replace(answered(), label="judged by small-judge")
    assert flags([judged], 0.05) == ()
    assert labels([judged]) == ("judged by small-judge",)


def test_flagged_marks_dataset_groups_and_subsets() -> None:
    bad, good = replace(answered(4), abbr="a"), replace(answered(rows=80), abbr="b")
    groups = unscored([Group("g", ("a",)), Group("h", ("b",))])
    result = Result(datasets=(aggregate(DatasetResult("d", subsets=(bad, good), groups=groups)),))
    sentence = "4 of 20 answers (20 %) reached the generation limit"

    (dataset,) = flagged(result, 0.05).datasets
    assert dataset.flags == ()  # 4 of 100
    assert [group.flags for group in dataset.groups] == [(sentence,), ()]
    assert [subset.flags for subset in dataset.subsets] == [(sentence,), ()]

    # Another threshold replaces what there was.
    assert flagged(flagged(result, 0.05), 0.5) == flagged(result, 0.5)
    (dataset,) = flagged(result, 0.01).datasets
    assert dataset.flags == ("4 of 100 answers (4 %) reached the generation limit",)


def test_notes_say_what_is_not_known() -> None:
    unknown = replace(answered(), correct_known=5, unknown_why="it is a rouge")
    assert notes([answered()]) == ()
    assert notes([unknown, answered()]) == (
        "whether 15 of 40 samples are correct is not known: it is a rouge",
    )
    assert notes([replace(unknown, unknown_why="")]) == (
        "whether 15 of 20 samples are correct is not known",
    )


def test_trouble_is_short_and_silent_without_any() -> None:
    assert trouble([answered(7, 1, 9)]) == "7 truncated, 1 empty, 9 unextracted"
    assert trouble([answered(None, 0, 2)]) == "2 unextracted"
    assert trouble([answered()]) == ""


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0 %"), (0.0012, "0.12 %"), (0.0625, "6.2 %"), (0.4375, "44 %"), (1.0, "100 %")],
)
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text
