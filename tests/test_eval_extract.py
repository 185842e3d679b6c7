"""Metrics and samples from OpenCompass's files.

``eval_captures`` holds what OpenCompass 0.5.4 wrote for three rows of four datasets (the few-shot
turns of the gsm8k prompts are shortened), and for hand-made samples of some evaluators; these
files are what ``tests/real/evaluators/run_evaluators.py`` leaves, and its tests compare them.
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
from tests.real.evaluators.cases import Case, read_cases

CAPTURES = Path(__file__).parent / "eval_captures"


def capture(abbr: str) -> tuple[dict[str, Any], dict[str, Any]]:
    results = json.loads((CAPTURES / f"{abbr}.results.json").read_text())
    return results, json.loads((CAPTURES / f"{abbr}.predictions.json").read_text())


def test_read_scored_details_with_is_correct() -> None:
    scored = read_scored("race-middle", *capture("race-middle"), 1, "AccwithDetailsEvaluator")
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
    scored = read_scored("gsm8k", *capture("gsm8k"), 1, "Gsm8kEvaluator")
    assert scored.score == 0.0
    first = scored.samples[0]
    assert (first.extracted, first.reference, first.correct) == ("", "25", False)
    assert first.prompt.startswith("HUMAN: Question: A group of 4 fruit baskets")
    assert first.prompt.endswith(
        "\n\nHUMAN: Question: Tom has 14 apples and buys 11. How many?\n"
        "Let's think step by step\nAnswer:\n"
    )


def test_read_scored_perplexity() -> None:
    scored = read_scored("race", *capture("race-middle-ppl"), 1, "AccEvaluator")
    assert [s.correct for s in scored.samples] == [True, False, True]
    assert [s.prediction for s in scored.samples] == ["B", "B", "B"]
    assert [s.reference for s in scored.samples] == ["B", "C", "B"]


def test_read_scored_compares_text_where_the_evaluator_does() -> None:
    scored = read_scored("mmlu", *capture("lukaemon_mmlu_anatomy"), 1, "AccEvaluator")
    assert [s.correct for s in scored.samples] == [False, False, False]
    assert [s.extracted for s in scored.samples] == ["", "", ""]


def test_read_scored_is_silent_where_nothing_says_what_is_correct() -> None:
    scored = read_scored("mmlu", *capture("lukaemon_mmlu_anatomy"), 1, "SomeEvaluator")
    assert [s.correct for s in scored.samples] == [None, None, None]
    assert scored.correct_known == 0
    assert scored.samples[0].extracted is None
    assert scored.unknown_why == "SomeEvaluator does not say which samples are right"


def test_read_scored_drops_correctness_that_does_not_give_the_metric() -> None:
    results, predictions = capture("race-middle")
    results["accuracy"] = 50.0
    scored = read_scored("race-middle", results, predictions, 1, "AccwithDetailsEvaluator")
    assert scored.score == 50.0
    assert [s.correct for s in scored.samples] == [None, None, None]
    assert (
        scored.unknown_why
        == scored.samples[0].unknown_why
        == ("the verdicts on single samples give 66.67 %, where OpenCompass reports accuracy 50.00")
    )


def test_read_scored_does_not_trust_details_that_lost_a_row() -> None:
    results, predictions = capture("race-middle")
    del results["details"][0]
    scored = read_scored("race-middle", results, predictions, 1, "AccwithDetailsEvaluator")
    assert [(s.extracted, s.correct) for s in scored.samples] == [(None, None)] * 3
    assert scored.unknown_why == "its details have 2 rows for 3 samples"


def test_read_scored_does_not_trust_details_in_another_order() -> None:
    results, predictions = capture("race-middle")
    results["ftbench"] = {"shuffled": True}
    scored = read_scored("race-middle", results, predictions, 1, "AccwithDetailsEvaluator")
    assert [(s.extracted, s.correct) for s in scored.samples] == [(None, None)] * 3
    assert scored.unknown_why == "its details stand in another order than the samples"


def test_read_scored_knows_all_verdicts_or_none() -> None:
    results, predictions = capture("race-middle")
    results["details"][0]["is_correct"] = [None]
    scored = read_scored("race-middle", results, predictions, 1, "AccwithDetailsEvaluator")
    assert scored.correct_known == 0
    assert scored.unknown_why == "AccwithDetailsEvaluator judged 2 of 3 samples"
    assert scored.samples[1].extracted == "B"


def test_read_scored_degree_is_no_verdict() -> None:
    result = {"rouge1": 100.0, "details": {"0": {"predictions": "a", "references": "a"}}}
    scored = read_scored("x", result, {"0": {"prediction": "a"}}, 1, "RougeEvaluator")
    assert scored.samples[0].correct is None
    assert scored.unknown_why == "RougeEvaluator gives a degree, not right or wrong"


def test_read_scored_cascade_that_asked_no_judge() -> None:
    rows = [{"pred": "[]", "answer": "4", "correct": c} for c in (False, True)]
    details = [{"rule_evaluation": [row]} for row in rows]
    predictions = {str(i): {"prediction": "p"} for i in range(2)}
    result = {"accuracy": 50.0, "details": details}
    scored = read_scored("x", result, predictions, 1, "CascadeEvaluator")
    assert [(s.correct, s.extracted, s.reference) for s in scored.samples] == [
        (False, "", "4"),
        (True, "", "4"),
    ]


def test_read_scored_several_generations_are_text() -> None:
    predictions = {"0": {"prediction": ["a", "b"], "gold": ["x", 1]}}
    scored = read_scored("x", {"pass@1": 50.0}, predictions, 1, "SomeEvaluator")
    assert (scored.samples[0].prediction, scored.samples[0].reference) == ('["a", "b"]', '["x", 1]')


CASES = [case for case in read_cases() if (CAPTURES / f"{case.name}.results.json").is_file()]


def test_there_are_captures() -> None:
    assert len(CASES) == 13


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_read_scored_gives_the_verdicts_of_a_reader(case: Case) -> None:
    scored = read_scored(case.name, *capture(case.name), 1, case.kind)
    assert [s.correct for s in scored.samples] == (case.correct or [None] * case.count)
    assert all(bool(s.unknown_why) is (case.correct is None) for s in scored.samples)
    if case.extracted is not None:
        assert [s.extracted for s in scored.samples] == case.extracted


def test_read_scored_repeats_are_copies_one_after_the_other() -> None:
    predictions = {str(i): {"prediction": str(i), "gold": "g"} for i in range(4)}
    details = [{"correct": [True, False]}, {"correct": [False, False]}]
    result = {"accuracy (2 runs average)": 25.0, "details": details}
    scored = read_scored("aime", result, predictions, 2, "MATHVerifyEvaluator")
    rows = [(s.index, s.repeat, s.prediction, s.correct) for s in scored.samples]
    assert rows == [(0, 0, "0", True), (1, 0, "1", False), (0, 1, "2", False), (1, 1, "3", False)]


def test_read_metrics_keeps_numbers_only() -> None:
    result = {"type": 1, "accuracy": 1, "f1": float("nan"), "flag": True, "text": "4", "x": 2.5}
    assert read_metrics(result) == {"accuracy": 1, "x": 2.5}


@pytest.mark.parametrize(
    ("result", "metrics"),
    [
        # numpy's float32 is no Python number: BaseEvaluator.evaluate leaves it in its list.
        ({"BLEU": [31.5], "details": []}, {"BLEU": 31.5}),
        ({"accuracy": "43.1", "note": "good"}, {"accuracy": 43.1}),
        ({"accuracy": "43.1", "f1": 1.0}, {"f1": 1.0}),
    ],
)
def test_read_metrics_reads_what_upstream_calls_unknown(
    result: Any, metrics: dict[str, float]
) -> None:
    assert read_metrics(result) == metrics


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"error": "different length"}, "the evaluator reported: different length"),
        ({"accuracy": "good"}, "no numeric metric among accuracy"),
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
        # round(share, 4) * 100, as CrowspairsEvaluator rounds
        ([True, True, *[False] * 5], 28.57, True),
        ([False], 0.0, True),
        ([True, None], 100.0, False),
        ([], 0.0, False),
    ],
)
def test_reproduces(correct: list[bool | None], score: float, expected: bool) -> None:
    assert reproduces(correct, score) is expected


def test_reproduces_weighs_samples() -> None:
    assert reproduces([True, False], 25.0, [1, 3])
    assert not reproduces([True, False], 50.0, [1, 3])
    assert not reproduces([True, False], 50.0, [1])


def test_count_tokens_marks_outputs_that_filled_the_limit() -> None:
    samples = [Sample("s", i, "", "x" * i) for i in range(3)]
    counted = count_tokens(samples, lambda texts: [len(text) for text in texts], 2)
    assert [(s.output_tokens, s.truncated) for s in counted] == [(0, False), (1, False), (2, True)]
