"""A result as lines of a score table, the same for terminal, reports and MLflow.

Scores stay unrounded here; the cells that people read are made by ``cells``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ftbench.aggregates import group_subsets, mean_name
from ftbench.schema import FAILED, OK, PARTIAL, DatasetResult, GroupResult, Reason, SubsetResult
from ftbench.validity import Count, Validity, labels, percent, validity_of

DATASET = "dataset"
GROUP = "group"
SUBSET = "subset"

MARK = "*"
"""Stands behind a score that is flagged; the sentences stand below."""


ANSWERS = ("truncated", "empty", "unread", "tokens")
"""Heads of ``Cells.answers``; unread are those from which the evaluator took no answer."""

INDENT = "\u2003"
"""Stands before a group's name in Markdown, which drops common spaces at the start of a cell."""


@dataclass(frozen=True)
class ScoreRow:
    """One score with what a reader needs to judge it.

    Attributes:
        kind: ``dataset``, ``group`` or ``subset``.
        name: Of the dataset, group or subset.
        depth: 1 for a group, 2 for a group inside it and so on, else 0.
        weighted_score: Mean weighted by samples; None for a single subset.
        aggregation: How score came about, such as ``mean of 57 subsets``.
        completed, expected: Samples.
        label: What a reader must know of the score in a word, such as ``rule-only``; or empty.
        seconds: Inference time; None for a group.
    """

    kind: str
    name: str
    depth: int
    score: float | None
    weighted_score: float | None
    metric: str
    aggregation: str
    completed: int
    expected: int
    validity: Validity
    status: str
    reason: Reason | None = None
    label: str = ""
    seconds: float | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cells:
    """A row as text; scores are rounded here and nowhere else.

    Attributes:
        score, weighted: Two decimals, with the mark where the score is flagged.
        what: Metric, label and aggregation.
        answers: Shares that are truncated, empty and unread, and mean output tokens; each empty
            when unknown.
    """

    name: str
    score: str
    weighted: str
    what: str
    samples: str
    answers: tuple[str, ...]
    seconds: str
    status: str


def dataset_rows(dataset: DatasetResult) -> list[ScoreRow]:
    """The dataset and its groups, outer groups before those inside."""
    members = group_subsets(dataset)
    groups = {group.name: group for group in dataset.groups}
    rows = [_dataset_row(dataset)]
    rows += [_group_row(groups[n], members[n], depth) for n, depth in _tree(dataset.groups)]
    return rows


def subset_rows(dataset: DatasetResult) -> list[ScoreRow]:
    """The subsets, where there are several."""
    if len(dataset.subsets) < 2:
        return []
    return [_subset_row(subset) for subset in dataset.subsets]


def cells(row: ScoreRow) -> Cells:
    """A row as people read it."""
    found = row.validity
    counts = (found.truncated, found.empty, found.unextracted)
    tokens = "" if found.mean_output_tokens is None else f"{found.mean_output_tokens:.0f}"
    what = ", ".join(part for part in (row.metric, row.label, row.aggregation) if part)
    return Cells(
        name=row.name,
        score=_number(row.score, row.flags),
        weighted=_number(row.weighted_score, row.flags),
        what=what,
        samples=f"{row.completed}/{row.expected}",
        answers=(*map(_share, counts), tokens),
        seconds="" if row.seconds is None else f"{row.seconds:.0f}",
        status=row.status,
    )


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
    return ScoreRow(
        DATASET,
        dataset.name,
        depth=0,
        score=dataset.score,
        weighted_score=dataset.weighted_score if len(dataset.subsets) > 1 else None,
        metric=dataset.metric,
        aggregation=dataset.aggregation,
        completed=sum(s.completed for s in dataset.subsets),
        expected=sum(s.expected for s in dataset.subsets),
        validity=validity_of(dataset.subsets),
        status=dataset.status,
        reason=dataset.reason,
        label=", ".join(labels(dataset.subsets)),
        seconds=dataset.seconds,
        flags=dataset.flags,
    )


def _group_row(group: GroupResult, subsets: Sequence[SubsetResult], depth: int) -> ScoreRow:
    is_whole = group.subsets_done == group.subsets_total
    return ScoreRow(
        GROUP,
        group.name,
        depth,
        group.score,
        group.weighted_score,
        group.metric,
        _group_aggregation(group),
        completed=sum(s.completed for s in subsets),
        expected=sum(s.expected for s in subsets),
        validity=validity_of(subsets),
        status=OK if is_whole else (PARTIAL if group.subsets_done else FAILED),
        label=", ".join(labels(subsets)),
        flags=group.flags,
    )


def _group_aggregation(group: GroupResult) -> str:
    done, total = group.subsets_done, group.subsets_total
    counted = f"{total} subsets" if done == total else f"{done} of {total} subsets"
    if group.weights:
        return f"OpenCompass's weights, {counted}"
    if total > len(group.members):
        return f"mean of {len(group.members)} groups, {counted}"
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
        completed=subset.completed,
        expected=subset.expected,
        validity=validity_of([subset]),
        status=subset.status,
        reason=subset.reason,
        label=subset.label,
        seconds=subset.seconds,
        flags=subset.flags,
    )


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
    return "" if count is None else percent(count.share)
