from dataclasses import replace
from typing import Any

import pytest

from ftbench.comparison.comparable import incomplete, questions, why_not, why_not_subset
from ftbench.schema import DatasetResult
from tests.comparison.builders import mmlu, single, subset


def gsm8k(**changes: Any) -> DatasetResult:
    return single("gsm8k", 50.0, **changes)


def test_equal_questions_can_be_compared() -> None:
    assert why_not(single("gsm8k", 25.0), single("gsm8k", 75.0)) == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"prompt_hash": "c3d4" + "0" * 12}, "other prompt (c3d4 vs aaaa)"),
        ({"prompt_hash": "aaaa" + "b" * 12}, "other prompt (aaaabbbb vs aaaaaaaa)"),
        ({"data_hash": "c3d4" + "0" * 12}, "other questions (c3d4 vs d0d0)"),
        ({"expected": 16, "data_hash": "c3" * 8}, "other number of rows (16 vs 8)"),
        ({"expected": 32, "repeats": 4}, "asked another number of times (4 vs 1)"),
        ({"metric": "score"}, "other metric (score vs accuracy)"),
        ({"label": "rule-only"}, "scored otherwise (rule-only vs none)"),
        (
            {"data_hash": "c3" * 8, "prompt_hash": "e5" * 8},
            "other questions (c3c3 vs d0d0); other prompt (e5e5 vs aaaa)",
        ),
    ],
)
def test_every_reason_is_said_in_words(changes: dict[str, Any], reason: str) -> None:
    assert why_not(gsm8k(**changes), gsm8k()) == reason


def test_unrecorded_questions_are_not_taken_for_equal_ones() -> None:
    unknown = gsm8k(data_hash="", prompt_hash="")
    assert why_not(unknown, unknown) == "what was asked is not recorded"


def test_partial_scores_are_not_compared_from_either_side() -> None:
    whole, partial = mmlu(10, 20, 30), mmlu(10, 20, None)
    assert why_not(partial, whole) == "partial: 2 of 3 subsets"
    assert why_not(whole, partial) == "the baseline is partial: 2 of 3 subsets"


def test_missing_datasets_are_said_to_be_missing() -> None:
    assert why_not(None, gsm8k()) == "not evaluated"
    assert why_not(gsm8k(), None) == "the baseline did not evaluate it"


def test_failed_dataset_has_its_status_as_reason() -> None:
    assert why_not(single("gsm8k", None), gsm8k()) == "failed"


def test_other_subsets_are_counted_or_named() -> None:
    whole = mmlu(10, 20, 30)
    fewer = replace(whole, subsets=whole.subsets[:2], subsets_done=2)
    other = replace(whole, subsets=(*whole.subsets[:2], subset("mmlu_math", 1.0)))
    assert why_not(fewer, whole) == "other subsets (2 vs 3)"
    assert why_not(other, whole) == "other subsets (mmlu_math vs mmlu_virology)"


def test_one_other_subset_of_several_is_named() -> None:
    whole = mmlu(10, 20, 30)
    changed = replace(
        whole, subsets=(replace(whole.subsets[0], prompt_hash="bb" * 8), *whole.subsets[1:])
    )
    assert why_not(changed, whole) == "other prompt in 1 of 3 subsets (law: bbbb vs aaaa)"


def test_subset_can_be_compared_where_its_dataset_cannot() -> None:
    whole, partial = mmlu(10, 20, 30), mmlu(10, 20, None)
    reasons = [why_not_subset(a, b) for a, b in zip(partial.subsets, whole.subsets, strict=True)]
    assert reasons == ["", "", "failed"]


def test_coverage_of_a_single_subset_is_its_samples() -> None:
    cut_short = replace(single("gsm8k", 50.0, completed=3), status="timeout")
    assert incomplete(cut_short) == "timeout: 3 of 8 samples"


def test_questions_are_equal_for_scores_that_can_be_compared_and_only_those() -> None:
    assert questions([mmlu(1, 2, 3), gsm8k()]) == questions([gsm8k(), mmlu(4, 5, 6)])
    assert questions([gsm8k()]) != questions([gsm8k(prompt_hash="bb" * 8)])
    assert questions([gsm8k()]) != questions([gsm8k(), mmlu(1, 2, 3)])
