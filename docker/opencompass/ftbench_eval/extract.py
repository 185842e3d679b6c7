"""Reads OpenCompass's predictions and results of one subset: metrics unrounded, one row per sample.

Needs neither torch nor OpenCompass. Correctness is published only where it reproduces the metric.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ftbench.schema import Sample

METRIC_WHITELIST = (
    "score",
    "auc_score",
    "accuracy",
    "humaneval_pass@1",
    "rouge1",
    "avg_toxicity_score",
    "bleurt_diff",
    "matthews_correlation",
    "truth",
    "f1",
    "exact_match",
    "extract_rate",
)
"""The order in which OpenCompass picks a headline. Source: summarizers/default.py, 0.5.4."""

_NO_METRICS = ("bp", "sys_len", "ref_len", "type", "details")
_CORRECT_KEYS = ("correct", "is_correct", "cascade_correct")
_EXTRACTED_KEYS = ("pred", "prediction", "predictions", "extracted_answer")
_REFERENCE_KEYS = ("answer", "answers", "refr", "refer", "references", "reference", "gold")


class Unscored(Exception):
    """OpenCompass's result holds no score; the message says why."""


@dataclass(frozen=True)
class Scored:
    """A subset's scores and samples.

    Attributes:
        metric: Headline metric.
        score: Its value, in the evaluator's own unit.
        metrics: Every numeric metric.
        samples: In dataset order, repeat after repeat.
    """

    metric: str
    score: float
    metrics: dict[str, float]
    samples: tuple[Sample, ...]

    @property
    def correct_known(self) -> int:
        """Samples whose correctness is known."""
        return sum(sample.correct is not None for sample in self.samples)


def read_scored(
    abbr: str,
    result: Any,
    predictions: Mapping[str, Mapping[str, Any]],
    repeats: int,
    compares_text: bool,
) -> Scored:
    """Reads one subset.

    Args:
        abbr: OpenCompass's name of it.
        result: Content of ``results/<model>/<abbr>.json``.
        predictions: Content of ``predictions/<model>/<abbr>.json``.
        repeats: How often every row was asked (``n`` of the dataset config).
        compares_text: The evaluator counts a sample as correct exactly when prediction and
            reference are the same text (AccEvaluator).

    Raises:
        Unscored: The evaluator reported an error or no numeric metric.
    """
    metrics = read_metrics(result)
    metric = headline(metrics)
    score = metrics[metric]
    answers = [predictions[str(i)] for i in range(len(predictions))]
    rows_per_repeat = max(1, len(answers) // repeats)
    lookup = _lookup(result.get("details"), rows_per_repeat, compares_text)
    samples = tuple(
        _sample(abbr, answer, *divmod(position, rows_per_repeat), lookup)
        for position, answer in enumerate(answers)
    )
    if not reproduces([sample.correct for sample in samples], score):
        samples = tuple(replace(sample, correct=None) for sample in samples)
    return Scored(metric, score, metrics, samples)


def read_metrics(result: Any) -> dict[str, float]:
    """Every finite numeric metric of a result, in its order.

    Raises:
        Unscored: There is none, or the evaluator reported an error.
    """
    if not isinstance(result, dict):
        raise Unscored("the result is not a JSON object")
    if "error" in result:
        raise Unscored(f"the evaluator reported: {result['error']}")
    metrics = {
        key: value
        for key, value in result.items()
        if key not in _NO_METRICS
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    }
    if not metrics:
        raise Unscored(f"no numeric metric among {', '.join(result) or 'nothing'}")
    return metrics


def headline(metrics: Mapping[str, float]) -> str:
    """The metric that stands for a subset: OpenCompass's preference, else its first."""
    return next((name for name in METRIC_WHITELIST if name in metrics), next(iter(metrics)))


def reproduces(correct: Sequence[bool | None], score: float) -> bool:
    """Whether the share of correct samples is the score, as percent or as a fraction.

    Args:
        correct: One per sample; any unknown makes the answer False.
        score: As reported; some evaluators round it to two digits.
    """
    known = [value for value in correct if value is not None]
    if not known or len(known) < len(correct):
        return False
    share = sum(known) / len(known)
    return any(
        abs(value - score) < 1e-6 or round(value, 2) == score for value in (100 * share, share)
    )


def count_tokens(
    samples: Sequence[Sample], count: Callable[[list[str]], list[int]], limit: int
) -> tuple[Sample, ...]:
    """Adds the number of output tokens, and whether the output filled the limit.

    Args:
        samples: Of one subset.
        count: Gives the number of tokens of each text.
        limit: Generation limit in tokens.
    """
    counts = count([sample.prediction for sample in samples])
    return tuple(
        replace(sample, output_tokens=tokens, truncated=tokens >= limit)
        for sample, tokens in zip(samples, counts, strict=True)
    )


_Found = tuple[str | None, str | None, bool | None]
_Lookup = Callable[[int, int], _Found]


def _lookup(details: Any, rows_per_repeat: int, compares_text: bool) -> _Lookup:
    """A function from (repeat, row) to (extracted answer, reference, correct)."""
    if isinstance(details, list) and len(details) == rows_per_repeat:
        return lambda repeat, row: _from_list(details[row], repeat)
    if isinstance(details, dict):
        return lambda repeat, row: _from_dict(
            details.get(str(repeat * rows_per_repeat + row)), compares_text
        )
    # A shorter list has lost rows, and nothing says which (MATHVerifyEvaluator).
    return lambda _repeat, _row: (None, None, None)


def _from_list(item: Any, repeat: int) -> _Found:
    """BaseEvaluator.evaluate makes every value a list with one entry per repeat."""
    if not isinstance(item, dict):
        return None, None, None

    def first(keys: Sequence[str]) -> Any:
        for key in keys:
            value = item.get(key)
            if isinstance(value, list) and repeat < len(value):
                return value[repeat]
        return None

    return _text(first(_EXTRACTED_KEYS)), _text(first(_REFERENCE_KEYS)), _bool(first(_CORRECT_KEYS))


def _from_dict(item: Any, compares_text: bool) -> _Found:
    """OpenICLEvalTask.format_details, for evaluators that give no details."""
    if not isinstance(item, dict):
        return None, None, None
    extracted, reference = _text(item.get("predictions")), _text(item.get("references"))
    correct = _bool(item.get("correct"))
    if correct is None and compares_text:
        correct = extracted == reference
    return extracted, reference, correct


def _sample(abbr: str, answer: Mapping[str, Any], repeat: int, row: int, lookup: _Lookup) -> Sample:
    extracted, reference, correct = lookup(repeat, row)
    return Sample(
        subset=abbr,
        index=row,
        prompt=_prompt(answer.get("origin_prompt")),
        prediction=_text(answer.get("prediction")) or "",
        extracted=extracted,
        # What the evaluator compared with, rather than the dataset's raw answer.
        reference=_text(answer.get("gold")) if reference is None else reference,
        correct=correct,
        repeat=repeat,
    )


def _prompt(origin: Any) -> str:
    """The prompt as text: its turns, with their roles when there are several."""
    if not isinstance(origin, list):
        return _text(origin) or ""
    turns = [turn if isinstance(turn, dict) else {"prompt": turn} for turn in origin]
    texts = [_text(turn.get("prompt", turn.get("content"))) or "" for turn in turns]
    if len(turns) == 1:
        return texts[0]
    roles = [str(turn.get("role", "")) for turn in turns]
    return "\n\n".join(f"{role}: {text}" for role, text in zip(roles, texts, strict=True))


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _bool(value: Any) -> bool | None:
    """Evaluators say True, 1, 1.0 or numpy's equivalents; anything else is unknown."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    return None
