"""A result as lines of a score table, the same for terminal, reports and MLflow.

Scores stay unrounded here; the cells that people read are made by ``cells``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ftbench.aggregates import MIXED, group_subsets, mean_name
from ftbench.average import average_uncertainty
from ftbench.schema import (
    FAILED,
    OK,
    PARTIAL,
    DatasetResult,
    GroupResult,
    Reason,
    Result,
    SubsetResult,
    Uncertainty,
)
from ftbench.validity import Count, Validity, labels, validity_of

DATASET = "dataset"
GROUP = "group"
SUBSET = "subset"
AVERAGE = "average"

MARK = "*"
"""Stands behind a score that is flagged; the sentences stand below."""


ANSWERS = ("truncated", "empty", "unextracted", "tokens")
"""Heads of ``Cells.answers``."""

INTERVAL = "95 % interval"
"""Head of ``Cells.interval``; the column is there where a row has one."""

INDENT = "\u2003"
"""Stands before a group's name in Markdown, which drops common spaces at the start of a cell."""


@dataclass(frozen=True)
class ScoreRow:
    """One score with what a reader needs to judge it.

    Attributes:
        kind: ``dataset``, ``group``, ``subset`` or ``average``.
        name: Of the dataset, group or subset; ``avg``.
        depth: 1 for a group, 2 for a group inside it and so on, else 0.
        weighted_score: Mean weighted by samples; None for a single subset.
        aggregation: How score came about, such as ``mean of 57 subsets``.
        what: Metric, label and aggregation; a group's metric only where its dataset's is another.
        completed, expected: Samples.
        label: What a reader must know of the score, such as ``rule-only``; or empty.
        seconds: Inference time; None for a group.
    """

    kind: str
    name: str
    depth: int
    score: float | None
    weighted_score: float | None
    metric: str
    aggregation: str
    what: str
    completed: int
    expected: int
    validity: Validity
    status: str
    reason: Reason | None = None
    label: str = ""
    seconds: float | None = None
    flags: tuple[str, ...] = ()
    uncertainty: Uncertainty | None = None


@dataclass(frozen=True)
class Cells:
    """A row as text; scores are rounded here and nowhere else.

    Attributes:
        score, weighted: Two decimals, with the mark where the score is flagged.
        answers: Shares that are truncated, empty and unextracted, and mean output tokens; each
            empty when unknown.
        interval: Of the score, such as ``± 1.90`` or ``58.10 to 66.42``; empty when unknown.
    """

    name: str
    score: str
    weighted: str
    what: str
    samples: str
    answers: tuple[str, ...]
    seconds: str
    status: str
    interval: str = ""


def dataset_rows(dataset: DatasetResult) -> list[ScoreRow]:
    """The dataset and its groups, outer groups before those inside."""
    members = group_subsets(dataset)
    groups = {group.name: group for group in dataset.groups}
    rows = [_dataset_row(dataset)]
    for name, depth in _tree(dataset.groups):
        rows += [_group_row(groups[name], members[name], depth, dataset.metric)]
    return rows


def result_rows(result: Result) -> list[ScoreRow]:
    """All datasets with their groups, and below them the average."""
    rows = [row for dataset in result.datasets for row in dataset_rows(dataset)]
    average = average_row(result)
    return rows if average is None else [*rows, average]


def subset_rows(dataset: DatasetResult) -> list[ScoreRow]:
    """The subsets, where there are several."""
    if len(dataset.subsets) < 2:
        return []
    return [_subset_row(subset) for subset in dataset.subsets]


def average_row(result: Result) -> ScoreRow | None:
    """The mean over the datasets that are ok; None where fewer than two are."""
    done = [d for d in result.datasets if d.status == OK and d.score is not None]
    if len(done) < 2:
        return None
    subsets = [subset for dataset in done for subset in dataset.subsets]
    metrics = {dataset.metric for dataset in done}
    is_whole = len(done) == len(result.datasets)
    over = "" if is_whole else f" of {len(result.datasets)}"
    aggregation = f"mean of {len(done)}{over} datasets"
    return ScoreRow(
        AVERAGE,
        "avg",
        depth=0,
        score=result.average,
        weighted_score=None,
        metric=metrics.pop() if len(metrics) == 1 else MIXED,
        aggregation=aggregation,
        what=aggregation,
        completed=sum(s.completed for s in subsets),
        expected=sum(s.expected for s in subsets),
        # What the answers are like is a dataset's own matter.
        validity=validity_of([]),
        status=OK if is_whole else PARTIAL,
        flags=tuple(f"{d.name}: {flag}" for d in done for flag in d.flags),
        uncertainty=average_uncertainty(result),
    )


def cells(row: ScoreRow) -> Cells:
    """A row as people read it."""
    found = row.validity
    counts = (found.truncated, found.empty, found.unextracted)
    tokens = "" if found.mean_output_tokens is None else f"{found.mean_output_tokens:.0f}"
    return Cells(
        name=row.name,
        score=_number(row.score, row.flags),
        weighted=_number(row.weighted_score, row.flags),
        what=row.what,
        samples=f"{row.completed}/{row.expected}",
        answers=(*map(_share, counts), tokens),
        seconds="" if row.seconds is None else f"{row.seconds:.0f}",
        status=row.status,
        interval=interval_text(row.score, row.uncertainty),
    )


def interval_text(score: float | None, found: Uncertainty | None) -> str:
    """A 95 % interval: how far it goes from the score, or its ends where that is not one number."""
    if score is None or found is None or found.low is None or found.high is None:
        return ""
    down, up = f"{score - found.low:.2f}", f"{found.high - score:.2f}"
    return f"± {up}" if down == up else f"{found.low:.2f} to {found.high:.2f}"


def flag_lines(datasets: Sequence[DatasetResult]) -> list[str]:
    """The flags of the datasets and their groups, with the name they belong to.

    What is said of a dataset is not said of its groups again, with other numbers: their rows have
    the mark and the shares. So have those of the subsets.
    """
    lines = []
    for dataset in datasets:
        lines += [f"{dataset.name}: {flag}" for flag in dataset.flags]
        said = set(map(_kind, dataset.flags))
        lines += [
            f"{dataset.name}, {group.name}: {flag}"
            for group in dataset.groups
            for flag in group.flags
            if _kind(flag) not in said
        ]
    return lines


def _kind(flag: str) -> str:
    return re.sub(r"\d[\d.]*", "", flag)


def _dataset_row(dataset: DatasetResult) -> ScoreRow:
    label = ", ".join(labels(dataset.subsets))
    return ScoreRow(
        DATASET,
        dataset.name,
        depth=0,
        score=dataset.score,
        weighted_score=dataset.weighted_score if len(dataset.subsets) > 1 else None,
        metric=dataset.metric,
        aggregation=dataset.aggregation,
        what=_joined(dataset.metric, label, dataset.aggregation),
        completed=sum(s.completed for s in dataset.subsets),
        expected=sum(s.expected for s in dataset.subsets),
        validity=validity_of(dataset.subsets),
        status=dataset.status,
        reason=dataset.reason,
        label=label,
        seconds=dataset.seconds,
        flags=dataset.flags,
        uncertainty=dataset.uncertainty,
    )


def _group_row(
    group: GroupResult, subsets: Sequence[SubsetResult], depth: int, dataset_metric: str
) -> ScoreRow:
    label = ", ".join(labels(subsets))
    aggregation = _group_aggregation(group)
    metric = "" if group.metric == dataset_metric else group.metric
    is_whole = group.subsets_done == group.subsets_total
    return ScoreRow(
        GROUP,
        group.name,
        depth,
        group.score,
        group.weighted_score,
        group.metric,
        aggregation,
        _joined(metric, label, aggregation),
        completed=sum(s.completed for s in subsets),
        expected=sum(s.expected for s in subsets),
        validity=validity_of(subsets),
        status=OK if is_whole else (PARTIAL if group.subsets_done else FAILED),
        label=label,
        flags=group.flags,
        uncertainty=group.uncertainty,
    )


def _group_aggregation(group: GroupResult) -> str:
    done, total = group.subsets_done, group.subsets_total
    covered = "" if done == total else f", {done} of {total} subsets"
    if group.weights:
        return f"OpenCompass's weights{covered}"
    if total > len(group.members):
        return f"mean of {len(group.members)} groups{covered}"
    return mean_name(done, total)


def _subset_row(subset: SubsetResult) -> ScoreRow:
    return ScoreRow(
        SUBSET,
        subset.name,
        0,
        subset.score,
        None,
        subset.metric,
        "",
        _joined(subset.metric, subset.label),
        completed=subset.completed,
        expected=subset.expected,
        validity=validity_of([subset]),
        status=subset.status,
        reason=subset.reason,
        label=subset.label,
        seconds=subset.seconds,
        flags=subset.flags,
        uncertainty=subset.uncertainty,
    )


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _tree(groups: Sequence[GroupResult]) -> Iterator[tuple[str, int]]:
    """Names and depths; a group in several others stands in the first."""
    inside: dict[str, list[str]] = {group.name: [] for group in groups}
    placed: set[str] = set()
    for group in groups:
        own = [m for m in group.members if m in inside and m not in placed]
        inside[group.name] = own
        placed |= set(own)
    roots = [group.name for group in groups if group.name not in placed]
    yield from _walk(roots, inside, 1)


def _walk(
    names: Sequence[str], inside: Mapping[str, Sequence[str]], depth: int
) -> Iterator[tuple[str, int]]:
    for name in names:
        yield name, depth
        yield from _walk(inside[name], inside, depth + 1)


def _number(value: float | None, flags: Sequence[str]) -> str:
    if value is None:
        return ""
    return f"{value:.2f} {MARK}" if flags else f"{value:.2f}"


def _share(count: Count | None) -> str:
    if count is None:
        return ""
    # A sentence has the numbers; here "0 %" shall mean none and "100 %" all.
    rounded = f"{100 * count.share:.0f} %"
    if rounded == "0 %" and count.count:
        return "<1 %"
    return ">99 %" if rounded == "100 %" and count.count < count.of else rounded
