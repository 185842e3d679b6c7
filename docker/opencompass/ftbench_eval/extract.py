"""Reads OpenCompass's predictions and results of one subset: metrics unrounded, one row per sample.

Needs neither torch nor OpenCompass. Correctness is published only where it reproduces the metric;
elsewhere it is None, and the reason is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ftbench.schema import Sample
from ftbench_eval.details import RECORD, Row, Rows, read_rows, text
from ftbench_eval.evaluator_kinds import FLAG_METRICS, NO_VERDICTS, why_unknown
from ftbench_eval.stream.requests import Answer

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

_TOKENIZED_AT_ONCE = 256
_NO_METRICS = ("bp", "sys_len", "ref_len", "type", "details", RECORD)


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
    def unknown_why(self) -> str:
        """Why the correctness of some samples is not known, or empty."""
        return next((s.unknown_why for s in self.samples if s.unknown_why), "")

    @property
    def correct_known(self) -> int:
        """Samples whose correctness is known."""
        return sum(sample.correct is not None for sample in self.samples)


def read_scored(
    abbr: str,
    result: Any,
    predictions: Mapping[str, Mapping[str, Any]],
    repeats: int,
    evaluator: str,
) -> Scored:
    """Reads one subset.

    Args:
        abbr: OpenCompass's name of it.
        result: Content of ``results/<model>/<abbr>.json``.
        predictions: Content of ``predictions/<model>/<abbr>.json``.
        repeats: How often every row was asked (``n`` of the dataset config).
        evaluator: Class name of its evaluator.

    Raises:
        Unscored: The evaluator reported an error or no numeric metric.
    """
    metrics = read_metrics(result)
    metric = headline(metrics)
    answers = [predictions[str(i)] for i in range(len(predictions))]
    told = read_rows(result, evaluator, len(answers), repeats)
    why = why_not_told(told, metrics, told.metric or FLAG_METRICS.get(evaluator, metric), evaluator)
    rows_per_repeat = max(1, len(answers) // repeats)
    samples = []
    for position, (answer, row) in enumerate(zip(answers, told.rows, strict=True)):
        repeat, index = divmod(position, rows_per_repeat)
        samples.append(_sample(abbr, answer, index, repeat, row, why))
    return Scored(metric, metrics[metric], metrics, tuple(samples))


def why_not_told(told: Rows, metrics: Mapping[str, float], metric: str, evaluator: str) -> str:
    """Why the verdicts on a subset's samples cannot be published; empty when they can.

    Args:
        told: What the result says of every sample.
        metrics: What OpenCompass reports.
        metric: The one of them that is the share of correct samples.
        evaluator: Class name.
    """
    correct = [row.correct for row in told.rows]
    known = len(correct) - correct.count(None)
    if told.why:
        return told.why
    if not known or evaluator in NO_VERDICTS:
        return why_unknown(evaluator)
    if known < len(correct):
        return f"{evaluator} judged {known} of {len(correct)} samples"
    if metric not in metrics:
        return f"{evaluator} does not report {metric}, which its verdicts would give"
    if reproduces(correct, metrics[metric], told.weights):
        return ""
    share = 100 * (_share(correct, told.weights) or 0.0)
    return (
        f"the verdicts on single samples give {share:.2f} %, "
        f"where OpenCompass reports {metric} {metrics[metric]:.2f}"
    )


def read_metrics(result: Any) -> dict[str, float]:
    """Every finite numeric metric of a result, in its order.

    ``BaseEvaluator.evaluate`` leaves numpy's numbers in lists of one; some evaluators write their
    numbers as text, which counts where there is nothing else.

    Raises:
        Unscored: There is none, or the evaluator reported an error.
    """
    if not isinstance(result, dict):
        raise Unscored("the result is not a JSON object")
    if "error" in result:
        raise Unscored(f"the evaluator reported: {_only(result['error'])}")
    values = {key: _only(value) for key, value in result.items() if key not in _NO_METRICS}
    numbers = {
        key: value
        for key, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    } or {key: _parsed(value) for key, value in values.items() if isinstance(value, str)}
    metrics = {key: value for key, value in numbers.items() if math.isfinite(value)}
    if not metrics:
        raise Unscored(f"no numeric metric among {', '.join(result) or 'nothing'}")
    return metrics


def headline(metrics: Mapping[str, float]) -> str:
    """The metric that stands for a subset: OpenCompass's preference, else its first."""
    return next((name for name in METRIC_WHITELIST if name in metrics), next(iter(metrics)))


def reproduces(correct: Sequence[bool | None], score: float, weights: Sequence[float] = ()) -> bool:
    """Whether the share of correct samples is the score, as percent or as a fraction.

    Args:
        correct: One per sample; any unknown makes the answer False.
        score: As reported; some evaluators round it, to two digits or more.
        weights: What each sample counts; empty: all alike.
    """
    share = _share(correct, weights)
    if share is None:
        return False
    rounded = [round(value, digits) for value in (100 * share, share) for digits in (2, 3, 4)]
    values = [100 * share, share, *rounded, 100 * round(share, 4)]
    return any(abs(value - score) < 1e-6 for value in values)


def _share(correct: Sequence[bool | None], weights: Sequence[float]) -> float | None:
    """The weighted share of correct samples, 0 to 1; None when it is not known."""
    weights = weights or [1.0] * len(correct)
    if None in correct or len(weights) != len(correct) or sum(weights) <= 0:
        return None
    return sum(w for w, right in zip(weights, correct, strict=True) if right) / sum(weights)


def count_tokens(
    samples: Sequence[Sample],
    count: Callable[[list[str]], list[int]],
    limit: int,
    known: Mapping[int, Answer] | None = None,
) -> tuple[Sample, ...]:
    """Adds the number of output tokens, and whether the output filled the limit.

    Args:
        samples: Of one subset.
        count: Gives the number of tokens of each text.
        limit: Generation limit in tokens.
        known: Answers by sample index, as the model gave them; what they say is not counted again.
    """
    answers = known or {}
    told = {i: answer.tokens for i, answer in answers.items() if answer.tokens is not None}
    untold = [sample for sample in samples if sample.index not in told]
    counts = count([sample.prediction for sample in untold]) if untold else []
    tokens = told | {sample.index: n for sample, n in zip(untold, counts, strict=True)}

    def is_cut(index: int) -> bool:
        said = answers[index].is_cut if index in answers else None
        return tokens[index] >= limit if said is None else said

    return tuple(
        replace(sample, output_tokens=tokens[sample.index], truncated=is_cut(sample.index))
        for sample in samples
    )


def token_counts(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Tokens of each text, without special ones.

    Args:
        tokenizer: Of transformers. A fast one is asked for the counts alone: to make lists of its
            tokens takes several times as long.
    """
    if not getattr(tokenizer, "is_fast", False):
        encoded = tokenizer(list(texts), add_special_tokens=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]
    backend = tokenizer.backend_tokenizer
    # Its file may ask for either.
    backend.no_truncation()
    backend.no_padding()
    counts: list[int] = []
    for start in range(0, len(texts), _TOKENIZED_AT_ONCE):
        some = list(texts[start : start + _TOKENIZED_AT_ONCE])
        counts += map(len, backend.encode_batch_fast(some, add_special_tokens=False))
    return counts


def _sample(
    abbr: str, answer: Mapping[str, Any], index: int, repeat: int, row: Row, why: str
) -> Sample:
    gold, reference = answer.get("gold"), row.reference
    if reference is None or reference == str(gold):
        reference = text(gold)  # rather than a list as Python writes it
    return Sample(
        subset=abbr,
        index=index,
        prompt=_prompt(answer.get("origin_prompt")),
        prediction=text(answer.get("prediction")) or "",
        extracted=row.extracted,
        reference=reference,
        correct=None if why else row.correct,
        repeat=repeat,
        unknown_why=why,
    )


def _only(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _parsed(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return math.nan


def _prompt(origin: Any) -> str:
    """The prompt as text: its turns, with their roles when there are several."""
    if not isinstance(origin, list):
        return text(origin) or ""
    turns = [turn if isinstance(turn, dict) else {"prompt": turn} for turn in origin]
    texts = [text(turn.get("prompt", turn.get("content"))) or "" for turn in turns]
    if len(turns) == 1:
        return texts[0]
    roles = [str(turn.get("role", "")) for turn in turns]
    return "\n\n".join(f"{role}: {said}" for role, said in zip(roles, texts, strict=True))
