"""The shapes in which OpenCompass's results speak of single samples, read into one.

A result has the evaluator's own details, made a list by ``BaseEvaluator.evaluate``; or, from an
evaluator that gives none, a dict by ``OpenICLEvalTask.format_details``; and under ``RECORD`` what
``recording`` notes in the scoring process. Source: OpenCompass 0.5.4.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ftbench_eval.evaluator_kinds import (
    COMPARES_TEXT,
    NO_ANSWER,
    NOT_LOOKED_AT,
    REPEATS_PREDICTION,
    UNORDERED,
)

RECORD = "ftbench"
"""Key of the result under which the scoring process leaves its notes."""

_CORRECT_KEYS = ("correct", "is_correct", "cascade_correct", "acc", "Result")
EXTRACTED_KEYS = (
    "parsed_answer",
    "extracted_answer",
    "extracted",
    "extracted_prediction",
    "extracted_output",
    "LLM Answer",
    "pred",
    "prediction",
    "completion",
    "generated_solution",
)
_REFERENCE_KEYS = (
    "answer",
    "answers",
    "refr",
    "refer",
    "ref",
    "references",
    "reference",
    "gold",
    "ground_truth",
    "Ground Truth Answer",
)


@dataclass(frozen=True)
class Row:
    """What a result says of one sample; each part None when it says nothing.

    Attributes:
        extracted: What the evaluator took from the prediction; empty: nothing.
        reference: What it compared with.
    """

    extracted: str | None = None
    reference: str | None = None
    correct: bool | None = None


@dataclass(frozen=True)
class Rows:
    """One row per sample, repeat after repeat.

    Attributes:
        why: Why the details cannot be laid beside the samples, or empty.
        weights: What each sample counts in the metric; empty: all alike.
        metric: The metric that the verdicts must reproduce; empty: the headline.
    """

    rows: tuple[Row, ...]
    why: str = ""
    weights: tuple[float, ...] = ()
    metric: str = ""


def read_rows(result: Mapping[str, Any], evaluator: str, count: int, repeats: int) -> Rows:
    """Reads every sample's row.

    Args:
        result: Content of a results file.
        evaluator: Class name.
        count: Samples, all repeats together.
        repeats: How often every row was asked.
    """
    noted = result.get(RECORD)
    notes: Mapping[str, Any] = noted if isinstance(noted, dict) else {}
    rows, why = _from_details(result.get("details"), evaluator, count, repeats)
    if notes.get("shuffled"):
        # Which sample a row speaks of is not known then.
        rows, why = [Row()] * count, "its details stand in another order than the samples"
    extracted = _column(notes, "extracted", count)
    references = _column(notes, "references", count)
    correct = _column(notes, "correct", count)
    told = tuple(
        Row(
            row.extracted if extracted[i] is None else text(extracted[i]),
            text(references[i]) if row.reference is None else row.reference,
            row.correct if correct[i] is None else flag(correct[i]),
        )
        for i, row in enumerate(rows)
    )
    weights = tuple(notes.get("weights") or ())
    if any(value is not None for value in correct):
        why = ""
    return Rows(told, why or str(notes.get("why", "")), weights, str(notes.get("metric", "")))


def text(value: Any) -> str | None:
    """A value as text; what is no text as JSON, but truth values as Python writes them."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def flag(value: Any) -> bool | None:
    """Evaluators say True, 1, 1.0, 100, ``Correct``; anything else is unknown."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1, 100):
        return bool(value)
    return {"Correct": True, "Incorrect": False}.get(value) if isinstance(value, str) else None


def _column(notes: Mapping[str, Any], name: str, count: int) -> Sequence[Any]:
    column = notes.get(name)
    return column if isinstance(column, list) and len(column) == count else [None] * count


def _from_details(details: Any, evaluator: str, count: int, repeats: int) -> tuple[list[Row], str]:
    if isinstance(details, dict):
        return [_from_dict(details.get(str(i)), evaluator) for i in range(count)], ""
    if not isinstance(details, list) or not details or evaluator in UNORDERED:
        return [Row()] * count, ""
    per_repeat = count // repeats
    if len(details) != per_repeat:
        # It has lost rows or has several per sample, and nothing says which.
        return [Row()] * count, f"its details have {len(details)} rows for {per_repeat} samples"
    rows = [
        _from_list(details[row], repeat, evaluator)
        for repeat in range(repeats)
        for row in range(per_repeat)
    ]
    return rows, ""


def _from_list(item: Any, repeat: int, evaluator: str) -> Row:
    """BaseEvaluator.evaluate makes every value a list with one entry per repeat."""
    if not isinstance(item, dict):
        return Row()
    values = {
        key: value[repeat]
        for key, value in item.items()
        if isinstance(value, list) and repeat < len(value)
    }
    correct = flag(_first(values, _CORRECT_KEYS))
    if isinstance(values.get("rule_evaluation"), dict):
        # CascadeEvaluator: its rule's view, and its own sum only where it asked the judge at all.
        rule = values["rule_evaluation"]
        values = {**rule, **values}
        correct = flag(rule.get("correct")) if correct is None else correct
    return Row(_answer(values, evaluator), text(_first(values, _REFERENCE_KEYS)), correct)


def _answer(values: Mapping[str, Any], evaluator: str) -> str | None:
    key = next((key for key in EXTRACTED_KEYS if key in values), "")
    if evaluator in REPEATS_PREDICTION:
        return None
    if not key:
        # MBPPEvaluator: the program that it found in the prediction, and its test.
        programs = values.get("programs")
        return text(programs[0]) if isinstance(programs, list) and programs else None
    answer = values[key]
    if answer is None:
        return None if evaluator in NOT_LOOKED_AT else ""
    if answer in NO_ANSWER.get(evaluator, ()) or _is_padding(answer, evaluator):
        return ""
    return text(answer)


def _is_padding(answer: Any, evaluator: str) -> bool:
    """GaokaoBenchEvaluator writes Z where it found no letter, or too few."""
    if not evaluator.startswith("GaokaoBenchEvaluator_") or not isinstance(answer, list):
        return False
    return bool(answer) and set(map(str, answer)) == {"Z"}


def _from_dict(item: Any, evaluator: str) -> Row:
    """OpenICLEvalTask.format_details, for evaluators that give no details."""
    if not isinstance(item, dict):
        return Row()
    predicted, reference = text(item.get("predictions")), text(item.get("references"))
    correct = flag(item.get("correct"))
    if correct is None and evaluator in COMPARES_TEXT:
        correct = predicted == reference
    extracted = predicted if evaluator in COMPARES_TEXT or correct is not None else None
    return Row(extracted, reference, correct)


def _first(values: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((values[key] for key in keys if key in values), None)
