"""Which numbers of a result become MLflow metrics, and under which keys.

    bench/avg, bench/<dataset>            headline scores; what a leaderboard shows
    coverage/<dataset>                    percent of its samples that stand behind the score
    standard_error/<dataset>              of bench/<dataset>, by chance alone; with ci_low/<dataset>
                                          and ci_high/<dataset>, the ends of its 95 % interval;
                                          the same of bench/avg as standard_error/avg ...
    weighted/<dataset>                    the mean weighted by samples, where there are several
                                          subsets; bench/<dataset> is their unweighted mean
    group/<dataset>/<group>               unweighted means of OpenCompass's groups that are complete
    validity/<dataset>/<name>             truncated_share, empty_share, unextracted_share (0 to 1)
                                          and mean_output_tokens of its answers
    subset/<dataset>/<subset>             scores of the subsets, where there are several
    metric/<dataset>/<name>               further numbers that OpenCompass reports
    seconds/<dataset>                     inference time
    canary/changed_fraction               share of the canary's prompts, 0 to 1, whose answers the
                                          adapter changes
    canary/max_logprob_difference         the largest change of a log-probability there
    canary/changed_weights_fraction       share of the base's weight tensors, 0 to 1, that merging
                                          the adapter changed, where it was merged

MLflow's pages make one chart section of everything before the last slash, so subsets of one dataset
stand together and the headlines stand alone. Only finite numbers become metrics.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeGuard

from ftbench.average import average_uncertainty
from ftbench.canary_words import changed_fraction
from ftbench.schema import (
    FAILED,
    OK,
    PARTIAL,
    SKIPPED,
    TIMEOUT,
    Canary,
    DatasetResult,
    Result,
    SubsetResult,
    Uncertainty,
)
from ftbench.tracking.names import metric_key
from ftbench.validity import validity_of

AVERAGE = "bench/avg"
HEADLINE = "bench/"
COVERAGE = "coverage/"


@dataclass(frozen=True)
class Score:
    """One number to log.

    Attributes:
        key: MLflow metric key.
        value: Finite.
        dataset: Dataset that it belongs to, as the user named it; empty for the average.
        of_model: It stands on the LoggedModel too, where every column is one dataset.
    """

    key: str
    value: float
    dataset: str = ""
    of_model: bool = False


def overall_status(result: Result) -> str:
    """One status for the whole evaluation: ok, partial, timeout, failed or skipped."""
    statuses = {dataset.status for dataset in result.datasets}
    if result.is_complete:
        return OK if OK in statuses else SKIPPED
    if any(dataset.score is not None for dataset in result.datasets):
        return PARTIAL
    return TIMEOUT if TIMEOUT in statuses else FAILED


def headlines(result: Result) -> list[Score]:
    """The scores that a leaderboard shows, with their coverage and the average's error bar.

    The average is there only when every dataset is ok: over some of them it would be compared with
    averages over all.
    """
    average = result.average
    scores: list[Score] = []
    bars: list[Score] = []
    if average is not None and all(d.status == OK for d in result.datasets) and result.is_complete:
        scores += [Score(AVERAGE, average, of_model=True)]
        bars += _error_bars("avg", "", average_uncertainty(result))
    for dataset in result.datasets:
        if not _is_number(dataset.score):
            continue
        scores += [
            Score(metric_key("bench", dataset.name), dataset.score, dataset.name, of_model=True)
        ]
    for dataset in result.datasets:
        if _is_number(dataset.score):
            value = coverage_percent(dataset)
            scores += [Score(metric_key("coverage", dataset.name), value, dataset.name)]
    return _unique([*scores, *bars])


def of_canary(canary: Canary | None) -> list[Score]:
    """What the canary measured; nothing where it did not."""
    if canary is None:
        return []
    merged = canary.changed_weights / canary.weights if canary.weights else None
    values = {
        "changed_fraction": changed_fraction(canary),
        "max_logprob_difference": canary.max_logprob_difference,
        "changed_weights_fraction": merged,
    }
    return [
        Score(metric_key("canary", name), value)
        for name, value in values.items()
        if _is_number(value)
    ]


def details(dataset: DatasetResult) -> list[Score]:
    """Everything else that is known about one dataset.

    A group is there only when all its subsets are ok: over some of them it would be compared with
    groups over all.
    """
    name = dataset.name
    scores = _error_bars(name, name, dataset.uncertainty)
    if len(dataset.subsets) > 1 and _is_number(dataset.weighted_score):
        scores += [Score(metric_key("weighted", name), dataset.weighted_score, name)]
    scores += [
        Score(metric_key("group", name, group.name), group.score, name)
        for group in dataset.groups
        if group.subsets_done == group.subsets_total and _is_number(group.score)
    ]
    if _is_number(dataset.score):
        scores += _validity(dataset)
    if len(dataset.subsets) > 1:
        scores += [
            Score(metric_key("subset", name, subset.name), subset.score, name)
            for subset in dataset.subsets
            if _is_number(subset.score)
        ]
    for subset in dataset.subsets:
        prefix = f"{subset.name}." if len(dataset.subsets) > 1 else ""
        scores += [
            Score(metric_key("metric", name, prefix + metric), value, name)
            for metric, value in _further_metrics(subset)
        ]
    if dataset.seconds > 0:
        scores += [Score(metric_key("seconds", name), dataset.seconds, name)]
    return _unique(scores)


def coverage_percent(dataset: DatasetResult) -> float:
    """Share of the dataset's samples that stand behind its score, 0 to 100."""
    scored = [s for s in dataset.subsets if s.score is not None]
    expected = sum(s.expected for s in dataset.subsets)
    if len(scored) == len(dataset.subsets) and all(s.completed >= s.expected for s in scored):
        return 100.0
    # A subset that was never reached does not know its size.
    if not expected or not all(s.expected for s in dataset.subsets):
        return 100.0 * len(scored) / len(dataset.subsets)
    return 100.0 * sum(s.completed for s in scored) / expected


def _error_bars(name: str, dataset: str, known: Uncertainty | None) -> list[Score]:
    found = known or Uncertainty()
    values = {"standard_error": found.standard_error, "ci_low": found.low, "ci_high": found.high}
    return [
        Score(metric_key(kind, name), value, dataset)
        for kind, value in values.items()
        if _is_number(value)
    ]


def _validity(dataset: DatasetResult) -> list[Score]:
    found = validity_of(dataset.subsets)
    values = found.shares() | {"mean_output_tokens": found.mean_output_tokens}
    return [
        Score(metric_key("validity", dataset.name, name), value, dataset.name)
        for name, value in values.items()
        if value is not None
    ]


def _further_metrics(subset: SubsetResult) -> list[tuple[str, float]]:
    return [
        (name, float(value))
        for name, value in subset.metrics.items()
        if name != subset.metric and _is_number(value)
    ]


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def _unique(scores: list[Score]) -> list[Score]:
    # Two names may differ only in characters that MLflow forbids; neither score may hide the other.
    seen: dict[str, int] = {}
    result = []
    for score in scores:
        count = seen.get(score.key, 0) + 1
        seen[score.key] = count
        key = score.key if count == 1 else f"{score.key}-{count}"
        result.append(Score(key, score.value, score.dataset, score.of_model))
    return result
