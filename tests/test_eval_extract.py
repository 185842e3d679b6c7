"""Metrics and samples from OpenCompass's files.

``eval_captures`` holds what OpenCompass 0.5.4 wrote for three rows of four datasets (the few-shot
turns of the gsm8k prompts are shortened), one for each shape of its details.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ftbench_eval.extract import (
    Unscored,
    count_tokens,
    headline,
    read_metrics,
    read_scored,
    reproduces,
)

from ftbench.schema import Sample

CAPTURES = Path(__file__).parent / "eval_captures"


def capture(abbr: str) -> tuple[dict[str, Any], dict[str, Any]]:
    results = json.loads((CAPTURES / f"{abbr}.results.json").read_text())
    return results, json.loads((CAPTURES / f"{abbr}.predictions.json").read_text())


def test_read_scored_details_with_is_correct() -> None:
    scored = read_scored("race-middle", *capture("race-middle"), 1, compares_text=False)
    assert (scored.metric, scored.score) == ("accuracy", 66.66666666666666)
    assert [s.correct for s in scored.samples] == [True, False, True]
    assert scored.correct_known == 3
    assert scored.samples[1] == Sample(
        subset="race-middle",
        index=1,
        prompt="Read the article, and answer the question by replying A, B, C or D.\n\nArticle:\n"
        "Ann has 1 cats.\n\nQ: How many?\n\nA. 1\nB. 2\nC. 3\nD. 4\n",
        prediction="ANSWERANSWERANSWER: B",
        extracted="B",
        reference="C",
        correct=False,
    )


def test_read_scored_details_with_correct() -> None:
    scored = read_scored("gsm8k", *capture("gsm8k"), 1, compares_text=False)
    assert scored.score == 0.0
    first = scored.samples[0]
    assert (first.extracted, first.reference, first.correct) == ("NULL", "25", False)
    assert first.prompt.startswith("HUMAN: Question: A group of 4 fruit baskets")
    assert first.prompt.endswith(
        "\n\nHUMAN: Question: Tom has 14 apples and buys 11. How many?\n"
        "Let's think step by step\nAnswer:\n"
    )


def test_read_scored_perplexity() -> None:
    scored = read_scored("race", *capture("race-middle-ppl"), 1, compares_text=False)
    assert [s.correct for s in scored.samples] == [True, False, True]
    assert [s.prediction for s in scored.samples] == ["B", "B", "B"]
    assert [s.reference for s in scored.samples] == ["B", "C", "B"]


def test_read_scored_compares_text_where_the_evaluator_does() -> None:
    scored = read_scored("mmlu", *capture("lukaemon_mmlu_anatomy"), 1, compares_text=True)
    assert [s.correct for s in scored.samples] == [False, False, False]
    assert [s.extracted for s in scored.samples] == ["", "", ""]


def test_read_scored_is_silent_where_nothing_says_what_is_correct() -> None:
    scored = read_scored("mmlu", *capture("lukaemon_mmlu_anatomy"), 1, compares_text=False)
    assert [s.correct for s in scored.samples] == [None, None, None]
    assert scored.correct_known == 0
    assert scored.samples[0].extracted == ""


def test_read_scored_drops_correctness_that_does_not_give_the_metric() -> None:
    results, predictions = capture("race-middle")
    results["accuracy"] = 50.0
    scored = read_scored("race-middle", results, predictions, 1, compares_text=False)
    assert scored.score == 50.0
    assert [s.correct for s in scored.samples] == [None, None, None]


def test_read_scored_does_not_trust_details_that_lost_a_row() -> None:
    results, predictions = capture("race-middle")
    del results["details"][0]
    scored = read_scored("race-middle", results, predictions, 1, compares_text=False)
    assert [(s.extracted, s.correct) for s in scored.samples] == [(None, None)] * 3


def test_read_scored_repeats_are_copies_one_after_the_other() -> None:
    predictions = {str(i): {"prediction": str(i), "gold": "g"} for i in range(4)}
    details = [{"correct": [True, False]}, {"correct": [False, False]}]
    result = {"accuracy (2 runs average)": 25.0, "details": details}
    scored = read_scored("aime", result, predictions, 2, compares_text=False)
    rows = [(s.index, s.repeat, s.prediction, s.correct) for s in scored.samples]
    assert rows == [(0, 0, "0", True), (1, 0, "1", False), (0, 1, "2", False), (1, 1, "3", False)]


def test_read_metrics_keeps_numbers_only() -> None:
    result = {"type": 1, "accuracy": 1, "f1": float("nan"), "flag": True, "text": "4", "x": 2.5}
    assert read_metrics(result) == {"accuracy": 1, "x": 2.5}


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"error": "different length"}, "the evaluator reported: different length"),
        ({"accuracy": "43.1"}, "no numeric metric among accuracy"),
        ({}, "no numeric metric among nothing"),
        (None, "the result is not a JSON object"),
    ],
)
def test_read_metrics_refuses(result: Any, message: str) -> None:
    with pytest.raises(Unscored, match=message):
        read_metrics(result)


def test_headline_is_opencompass_preference_then_the_first() -> None:
    assert headline({"f1": 1.0, "accuracy": 2.0}) == "accuracy"
    assert headline({"Prompt-level-strict-accuracy": 1.0, "Inst-level": 2.0}) == (
        "Prompt-level-strict-accuracy"
    )


@pytest.mark.parametrize(
    ("correct", "score", "expected"),
    [
        ([True, False, False], 100 / 3, True),
        ([True, False, False], 33.33, True),
        ([True, False, False], 1 / 3, True),
        ([True, False, False], 33.3, False),
        ([True, None], 100.0, False),
        ([], 0.0, False),
    ],
)
def test_reproduces(correct: list[bool | None], score: float, expected: bool) -> None:
    assert reproduces(correct, score) is expected


def test_count_tokens_marks_outputs_that_filled_the_limit() -> None:
    samples = [Sample("s", i, "", "x" * i) for i in range(3)]
    counted = count_tokens(samples, lambda texts: [len(text) for text in texts], 2)
    assert [(s.output_tokens, s.truncated) for s in counted] == [(0, False), (1, False), (2, True)]
