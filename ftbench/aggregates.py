"""From subset scores to the scores of groups and datasets: means, their names, what they cover.

Two means are made of every group and dataset: the unweighted one of its members, as OpenCompass
averages, and one weighted by samples. Both are over the subsets that are ok and say how many those
are. Standard library only: host and evaluation program share this module.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ftbench.schema import (
    FAILED,
    OK,
    PARTIAL,
    PENDING,
    TIMEOUT,
    DatasetResult,
    Group,
    GroupResult,
    Reason,
    SubsetResult,
)

MIXED = "mixed"
"""The metric of a mean over different metrics."""


def aggregate(dataset: DatasetResult) -> DatasetResult:
    """Works out status, scores and coverage of a dataset and its groups from its subsets.

    A dataset without subsets (it could not be read) keeps what it has.

    Args:
        dataset: With the members of its groups; their scores are made anew.
    """
    subsets = dataset.subsets
    if not subsets:
        return dataset
    done = [subset for subset in subsets if is_scored(subset)]
    status = _status(subsets, len(done))
    return replace(
        dataset,
        status=status,
        reason=_reason(subsets, status),
        metric=_metric(done),
        score=_mean([(s.score, 1.0) for s in done]),
        weighted_score=_mean([(s.score, num_rows(s)) for s in done]),
        aggregation=_with_runs(mean_name(len(done), len(subsets)), subsets),
        subsets_done=len(done),
        seconds=math.fsum(subset.seconds for subset in subsets),
        groups=_scored_groups(dataset.groups, subsets),
    )


def is_scored(subset: SubsetResult) -> bool:
    """Whether a subset's score counts."""
    return subset.status == OK and subset.score is not None


def num_rows(subset: SubsetResult) -> int:
    """Rows of a subset, each once however often it was asked."""
    return subset.expected // max(1, subset.repeats)


def mean_name(done: int, total: int) -> str:
    """Names an unweighted mean, such as ``mean of 55 of 57 subsets``."""
    if total == 1:
        return "single subset"
    return f"mean of {total} subsets" if done == total else f"mean of {done} of {total} subsets"


def _with_runs(name: str, subsets: Sequence[SubsetResult]) -> str:
    counts = sorted({subset.repeats for subset in subsets})
    if counts == [1]:
        return name
    runs = f"{' or '.join(map(str, counts))} runs"
    return f"mean of {runs}" if len(subsets) == 1 else f"{name}, each of {runs}"


def own_groups(presets: Iterable[tuple[Iterable[Group], Mapping[str, str]]]) -> tuple[Group, ...]:
    """The groups of a dataset, with the names that its subsets have in this run.

    Kept are groups all of whose members belong to the dataset. The plain mean of all subsets is
    left out: it is the dataset's own score.

    Args:
        presets: For each preset of the dataset its groups, members before the groups that contain
            them, and its subsets: OpenCompass's abbr to the one in this run.
    """
    kept: list[Group] = []
    everything: set[str] = set()
    for groups, subsets in presets:
        names = dict(subsets)
        everything |= set(subsets.values())
        for group in groups:
            if names.keys() >= set(group.members):
                names[group.name] = _free_name(group.name, kept)
                members = tuple(names[member] for member in group.members)
                kept.append(Group(names[group.name], members, group.weights))
    inside = {member for group in kept for member in group.members}
    return tuple(
        group
        for group in kept
        if group.weights or group.name in inside or set(group.members) != everything
    )


def unscored(groups: Iterable[Group]) -> tuple[GroupResult, ...]:
    """Groups before any of their subsets has a score."""
    return tuple(GroupResult(g.name, members=g.members, weights=g.weights) for g in groups)


def group_subsets(dataset: DatasetResult) -> dict[str, tuple[SubsetResult, ...]]:
    """The subsets of each group, each once, by the group's name."""
    by_abbr = {subset.abbr: subset for subset in dataset.subsets}
    return {
        name: tuple(by_abbr[abbr] for abbr in abbrs if abbr in by_abbr)
        for name, abbrs in _leaves(dataset.groups).items()
    }


def leaf_weights(dataset: DatasetResult) -> dict[str, dict[str, float]]:
    """What every scored subset counts in each score: shares by abbr, which add up to 1.

    Returns:
        By the group's name; the dataset's own score has the name ``""``. A score over nothing has
        no shares.
    """
    done = [subset.abbr for subset in dataset.subsets if is_scored(subset)]
    found = {abbr: {abbr: 1.0} for abbr in done}
    shares = {"": _mixed([(found[abbr], 1.0) for abbr in done])}
    for group in dataset.groups:
        weights = group.weights or (1.0,) * len(group.members)
        members = zip(group.members, weights, strict=True)
        found[group.name] = _mixed([(found.get(name, {}), weight) for name, weight in members])
        shares[group.name] = found[group.name]
    return shares


def _mixed(parts: Sequence[tuple[Mapping[str, float], float]]) -> dict[str, float]:
    """The shares of a weighted mean of means; those over nothing do not count."""
    known = [(shares, weight) for shares, weight in parts if shares]
    total = math.fsum(weight for _, weight in known)
    mixed: dict[str, float] = {}
    for shares, weight in known if total else ():
        for abbr, share in shares.items():
            mixed[abbr] = mixed.get(abbr, 0.0) + share * weight / total
    return mixed


def _scored_groups(
    groups: Sequence[GroupResult], subsets: Sequence[SubsetResult]
) -> tuple[GroupResult, ...]:
    by_abbr = {subset.abbr: subset for subset in subsets if is_scored(subset)}
    scores = {abbr: subset.score for abbr, subset in by_abbr.items()}
    leaves = _leaves(groups)
    scored = []
    for group in groups:
        weights = group.weights or (1.0,) * len(group.members)
        members = [scores.get(member) for member in group.members]
        score = _mean(list(zip(members, weights, strict=True)))
        scores[group.name] = score
        done = [by_abbr[abbr] for abbr in leaves[group.name] if abbr in by_abbr]
        scored.append(
            replace(
                group,
                metric=_metric(done),
                score=score,
                weighted_score=_mean([(s.score, num_rows(s)) for s in done]),
                subsets_done=len(done),
                subsets_total=len(leaves[group.name]),
                samples=sum(map(num_rows, done)),
            )
        )
    return tuple(scored)


def _leaves(groups: Sequence[GroupResult]) -> dict[str, tuple[str, ...]]:
    """Subset abbrs of each group; a group's members stand before it."""
    found: dict[str, tuple[str, ...]] = {}
    for group in groups:
        nested = [abbr for member in group.members for abbr in found.get(member, (member,))]
        found[group.name] = tuple(dict.fromkeys(nested))
    return found


def _mean(weighted: Sequence[tuple[float | None, float]]) -> float | None:
    """Mean of the values that are there; None when there is none, or nothing has a weight."""
    known = [(value, weight) for value, weight in weighted if value is not None]
    total = math.fsum(weight for _, weight in known)
    return math.fsum(value * weight for value, weight in known) / total if total else None


def _metric(subsets: Sequence[SubsetResult]) -> str:
    metrics = {subset.metric for subset in subsets}
    return metrics.pop() if len(metrics) == 1 else (MIXED if metrics else "")


def _status(subsets: Sequence[SubsetResult], done: int) -> str:
    statuses = {subset.status for subset in subsets}
    if done == len(subsets):
        return OK
    for status in (PENDING, TIMEOUT):
        if status in statuses:
            return status
    return PARTIAL if done or PARTIAL in statuses else FAILED


def _reason(subsets: Sequence[SubsetResult], status: str) -> Reason | None:
    """The first subset's reason; after a timeout that of one that it stopped."""
    failed = [subset for subset in subsets if subset.status != OK and subset.reason]
    failed.sort(key=lambda subset: status == TIMEOUT and subset.status != TIMEOUT)
    return failed[0].reason if failed else None


def _free_name(name: str, kept: Sequence[Group]) -> str:
    # Two presets of one dataset may have a group of the same name.
    taken = {group.name for group in kept}
    candidates = [name, *(f"{name}-{number}" for number in range(2, len(kept) + 3))]
    return next(candidate for candidate in candidates if candidate not in taken)
