"""Reads what a judge said of each sample, out of OpenCompass's details.

Needs neither torch nor OpenCompass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ftbench.schema import Sample
from ftbench_eval.extract import Scored, reproduces

SCORE_ONLY = "the judge gives a score, not a verdict"
NOT_THE_METRIC = "the judge's verdicts do not add up to the reported metric"


def with_verdicts(scored: Scored, result: Mapping[str, Any]) -> Scored:
    """Puts the judge's verdicts and replies to the samples.

    A sample without a verdict counts as not right in the score, as upstream counts it, and is
    ``correct=None`` with the reason.

    Args:
        scored: As read without knowing of a judge.
        result: Content of ``results/<model>/<abbr>.json``.
    """
    details = result.get("details")
    rows = details if isinstance(details, list) else []
    samples = [
        _judged(sample, rows[sample.index]) if sample.index < len(rows) else sample
        for sample in scored.samples
    ]
    scores_only = not any(sample.correct is not None for sample in samples)
    if scores_only:
        samples = [replace(s, unknown_why=s.unknown_why or SCORE_ONLY) for s in samples]
    elif not reproduces([sample.correct is True for sample in samples], scored.score):
        samples = [
            replace(s, correct=None, unknown_why=s.unknown_why or NOT_THE_METRIC) for s in samples
        ]
    return replace(scored, samples=tuple(samples))


def lacks_verdicts(result: Any) -> bool:
    """Whether the judge was asked in vain about a sample, so that it is worth asking again.

    Args:
        result: Content of ``results/<model>/<abbr>.json``.
    """
    rows = result.get("details") if isinstance(result, dict) else None
    return any(_is_unjudged(row) for row in rows or [] if isinstance(row, dict))


def _is_unjudged(row: Mapping[str, Any]) -> bool:
    if "cascade_correct" in row:
        asked = zip(row["cascade_correct"], row.get("llm_evaluation") or [], strict=False)
        return any(not correct and judged.get("judge_unknown") for correct, judged in asked)
    return any(row.get("judge_unknown") or [])


def count_unjudged(samples: tuple[Sample, ...]) -> tuple[int, str]:
    """How many samples the judge was asked about in vain, and why most of them.

    Returns:
        Number, and the most frequent reason; 0 and an empty text when there is none.
    """
    reasons = [
        sample.unknown_why
        for sample in samples
        if sample.judge_reply is not None
        and sample.unknown_why not in ("", SCORE_ONLY, NOT_THE_METRIC)
    ]
    return len(reasons), max(reasons, key=reasons.count) if reasons else ""


def _judged(sample: Sample, row: Mapping[str, Any]) -> Sample:
    """One sample with its row of details, whose values are lists with one entry per repeat."""
    if "cascade_correct" in row:
        return _cascaded(sample, row)
    reply, why = _at(row, "judge_reply", sample.repeat), _at(row, "judge_unknown", sample.repeat)
    return replace(
        sample,
        # OpenCompass's "prediction" is the verdict here, not what the model answered.
        extracted=None,
        correct=_at(row, "correct", sample.repeat),
        judge_reply=reply,
        unknown_why=why or "",
    )


def _cascaded(sample: Sample, row: Mapping[str, Any]) -> Sample:
    correct = bool(_at(row, "cascade_correct", sample.repeat))
    rule = _at(row, "rule_evaluation", sample.repeat) or {}
    # Only samples that the rules did not accept have one, so that repeats may be missing here.
    asked = row.get("llm_evaluation") or []
    judged = next((j for j in asked if j.get("dataset_replica_idx") == sample.repeat), {})
    why = "" if correct else judged.get("judge_unknown", "")
    extracted = rule.get("pred")
    return replace(
        sample,
        extracted=extracted if isinstance(extracted, str) else sample.extracted,
        correct=None if why else correct,
        judge_reply=judged.get("judge_reply"),
        unknown_why=why,
    )


def _at(row: Mapping[str, Any], key: str, repeat: int) -> Any:
    values = row.get(key)
    return values[repeat] if isinstance(values, list) and repeat < len(values) else None
