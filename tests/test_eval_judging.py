"""Which configs a judge scores, and what is read of its verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ftbench_eval.extract import Scored
from ftbench_eval.judged import (
    NOT_THE_METRIC,
    SCORE_ONLY,
    count_unjudged,
    lacks_verdicts,
    with_verdicts,
)
from ftbench_eval.judging import forget_transcripts, judge_part, reply_form
from ftbench_eval.reasons import Refused

from ftbench.schema import Sample

JUDGE = {
    "type": "opencompass.evaluator.GenericLLMEvaluator",
    "dict_postprocessor": {"type": "opencompass.datasets.generic_llmjudge_postprocess"},
    "prompt_template": {"template": {"round": [{"prompt": "A: CORRECT\nB: INCORRECT"}]}},
}


def config_of(evaluator: dict[str, Any]) -> dict[str, Any]:
    return {"eval_cfg": {"evaluator": evaluator}}


def test_judge_part_finds_the_judge() -> None:
    cascade = {"type": "CascadeEvaluator", "rule_evaluator": {}, "llm_evaluator": JUDGE}
    assert judge_part(config_of(JUDGE)) is JUDGE
    assert judge_part(config_of(cascade)) is JUDGE
    assert judge_part(config_of({"type": "AccEvaluator"})) is None
    assert judge_part({}) is None


def test_reply_form_refuses_what_nobody_can_read() -> None:
    assert reply_form(JUDGE)
    with pytest.raises(Refused, match="read with arenahard_postprocess"):
        reply_form(JUDGE | {"dict_postprocessor": {"type": "arenahard_postprocess"}})
    with pytest.raises(Refused, match="read in a way of its own"):
        reply_form({"type": "GenericLLMEvaluator"})


def test_forget_transcripts_leaves_other_files(tmp_path: Path) -> None:
    gone = ["a_replica0.json", "a_llm_judge_replica1.json", "tmp_a_replica0.jsonl"]
    kept = ["a.json", "a-1_replica0.json", "a_b_replica0.json", "a_replicas.json"]
    for name in gone + kept:
        (tmp_path / name).write_text("{}")
    forget_transcripts(tmp_path, "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def scored_of(score: float, rows: int) -> Scored:
    samples = tuple(Sample("s", i, "prompt", "prediction", extracted="A") for i in range(rows))
    return Scored("accuracy", score, {"accuracy": score}, samples)


def row(reply: str, correct: bool | None, why: str = "") -> dict[str, Any]:
    return {"judge_reply": [reply], "correct": [correct], "judge_unknown": [why]}


def test_with_verdicts_counts_an_unknown_one_as_not_right() -> None:
    details = [row("A", True), row("B", False), row("A or B", None, "doubtful"), row("A", True)]
    samples = with_verdicts(scored_of(50.0, 4), {"details": details}).samples
    assert [s.correct for s in samples] == [True, False, None, True]
    assert [s.unknown_why for s in samples] == ["", "", "doubtful", ""]
    assert [s.judge_reply for s in samples] == ["A", "B", "A or B", "A"]
    assert {s.extracted for s in samples} == {None}
    assert count_unjudged(samples) == (1, "doubtful")


def test_with_verdicts_publishes_nothing_that_is_not_the_metric() -> None:
    details = [row("A", True), row("B", False)]
    samples = with_verdicts(scored_of(100.0, 2), {"details": details}).samples
    assert [(s.correct, s.unknown_why) for s in samples] == [(None, NOT_THE_METRIC)] * 2
    assert count_unjudged(samples) == (0, "")


def test_with_verdicts_knows_scores_from_verdicts() -> None:
    details = [row("7", None), row("what?", None, "no score")]
    samples = with_verdicts(scored_of(35.0, 2), {"details": details}).samples
    assert [(s.correct, s.unknown_why) for s in samples] == [(None, SCORE_ONLY), (None, "no score")]
    assert count_unjudged(samples) == (1, "no score")


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ([row("A", True), row("B", False)], False),
        ([row("A", True), row("?", None, "doubtful")], True),
        ([{"cascade_correct": [True], "rule_evaluation": [{}]}], False),
        ([{"cascade_correct": [True], "llm_evaluation": [{"judge_unknown": "doubtful"}]}], False),
        ([{"cascade_correct": [False], "llm_evaluation": [{"judge_unknown": "doubtful"}]}], True),
        ({"0": {"pred": "A"}}, False),
        (None, False),
    ],
)
def test_lacks_verdicts(details: Any, expected: bool) -> None:
    assert lacks_verdicts({"accuracy": 50.0, "details": details}) is expected


def test_with_verdicts_reads_a_cascade() -> None:
    judged = {"judge_reply": "A", "judge_unknown": "", "dataset_replica_idx": 0}
    doubted = {"judge_reply": "?", "judge_unknown": "doubtful", "dataset_replica_idx": 0}
    rule = [{"pred": "4", "correct": True}]
    details = [
        {"cascade_correct": [True], "rule_evaluation": rule},
        {"cascade_correct": [True], "rule_evaluation": [{}], "llm_evaluation": [judged]},
        {"cascade_correct": [False], "rule_evaluation": [{}], "llm_evaluation": [doubted]},
    ]
    samples = with_verdicts(scored_of(100 * 2 / 3, 3), {"details": details}).samples
    assert [s.correct for s in samples] == [True, True, None]
    assert [s.judge_reply for s in samples] == [None, "A", "?"]
    assert samples[0].extracted == "4"
