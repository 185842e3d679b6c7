"""Puts runs side by side: differences where scores mean the same, averages, the order of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ftbench.aggregates import group_subsets, num_rows
from ftbench.comparison.averages import (
    averaged_datasets,
    averages_of,
    ranking_of,
    with_intervals,
)
from ftbench.comparison.comparable import MISSING, coverage, incomplete, why_not, why_not_subset
from ftbench.comparison.evaluated import Evaluated
from ftbench.comparison.flips import flips_of
from ftbench.comparison.labels import short_labels
from ftbench.comparison.settings import differing_settings
from ftbench.comparison.shares import dataset_shares, group_shares
from ftbench.comparison.testing import Reader, tested
from ftbench.comparison.values import (
    Comparison,
    DatasetLines,
    Difference,
    Line,
    Loss,
    Mover,
    Share,
    Standing,
)
from ftbench.schema import OK, DatasetResult, SubsetResult
from ftbench.score_rows import DATASET, GROUP, SUBSET, ScoreRow, dataset_rows
from ftbench.statistics.values import WORSE


def compare(
    runs: Sequence[Evaluated],
    baseline: int,
    *,
    is_leaderboard: bool = False,
    notes: Sequence[str] = (),
) -> Comparison:
    """Compares runs with one of them.

    Args:
        runs: At least one.
        baseline: Index of the run that differences start from.
        is_leaderboard: Averages are over the baseline's datasets, runs whose scores there cannot
            be compared have none, and the runs are put in order, best first. Else the order stays
            and averages are over the datasets that all runs share.
        notes: What a reader should know of how the runs were found.
    """
    names = list(dict.fromkeys(d.name for run in runs for d in run.result.datasets))
    datasets = [_dataset_lines(name, runs, baseline) for name in names]
    averaged, left_out = averaged_datasets(datasets, runs, baseline, is_leaderboard)
    averages = averages_of(datasets, averaged, len(runs), baseline)
    ranking = ranking_of(averages)
    if is_leaderboard:
        order = [*ranking, *(i for i in range(len(runs)) if i not in ranking)]
        if order != list(range(len(runs))):
            ordered = [runs[i] for i in order]
            return compare(
                ordered, order.index(baseline), is_leaderboard=is_leaderboard, notes=notes
            )
    reader = Reader(runs)
    datasets = tested(datasets, runs, baseline, ranking, reader)
    averages = with_intervals(averages, datasets, averaged)
    compared = Comparison(
        runs=tuple(runs),
        labels=short_labels(runs),
        baseline=baseline,
        datasets=tuple(datasets),
        averages=tuple(averages),
        averaged=averaged,
        left_out=left_out,
        ranking=ranking,
        settings=differing_settings(runs),
        notes=(*notes, *_same_evaluations(runs)),
    )
    return replace(compared, flips=flips_of(datasets, runs, baseline, compared.told, reader))


def movers(comparison: Comparison, run: int, count: int) -> tuple[list[Mover], list[Mover]]:
    """The subsets in which a run differs most from the baseline.

    Args:
        comparison: The comparison.
        run: Index of the run.
        count: How many of each at most.

    Returns:
        Those that gained, most first, and those that lost, most first.
    """
    found = []
    for dataset in comparison.datasets:
        for line in dataset.subsets:
            before, after = line.standings[comparison.baseline], line.standings[run]
            if after.difference and before.score is not None and after.score is not None:
                found += [
                    Mover(
                        dataset.name,
                        line.name,
                        before.score,
                        after.score,
                        after.difference,
                        after.rows,
                        after.paired,
                    )
                ]
    found.sort(key=lambda mover: mover.difference.value, reverse=True)
    gained = [mover for mover in found if mover.difference.value > 0]
    lost = [mover for mover in reversed(found) if mover.difference.value < 0]
    return gained[:count], lost[:count]


def losses(comparison: Comparison, run: int) -> list[Loss]:
    """Where a run is worse than the baseline by more than chance: datasets, groups, subsets."""
    found = []
    for dataset in comparison.datasets:
        kinds = {DATASET: (dataset.line,), GROUP: dataset.groups, SUBSET: dataset.subsets}
        for kind, lines in kinds.items():
            for line in lines:
                paired = line.standings[run].paired
                if paired is not None and paired.verdict == WORSE:
                    found += [Loss(dataset.name, kind, line.name, paired)]
    return found


def _dataset_lines(name: str, runs: Sequence[Evaluated], baseline: int) -> DatasetLines:
    results = [run.dataset(name) for run in runs]
    reasons = [why_not(result, results[baseline]) for result in results]
    standings = [
        _dataset_standing(result, reason) for result, reason in zip(results, reasons, strict=True)
    ]
    known = [r for r in (results[baseline], *results) if r is not None]
    metric = next((r.metric for r in known if r.metric), "")
    return DatasetLines(
        Line(
            name,
            0,
            metric,
            _against(standings, baseline),
            next((dataset_shares(r) for r in known if r.subsets), ()),
        ),
        groups=_group_lines(results, reasons, baseline),
        subsets=_subset_lines(results, baseline),
    )


def _dataset_standing(dataset: DatasetResult | None, reason: str) -> Standing:
    if dataset is None:
        return Standing(why_not=reason)
    return Standing(
        score=dataset.score,
        weighted_score=dataset.weighted_score if len(dataset.subsets) > 1 else None,
        status=dataset.status,
        coverage=coverage(dataset) if incomplete(dataset) else "",
        rows=sum(num_rows(s) for s in dataset.subsets),
        flags=dataset.flags,
        why_not=reason,
    )


def _group_lines(
    results: Sequence[DatasetResult | None], reasons: Sequence[str], baseline: int
) -> tuple[Line, ...]:
    """The groups of the baseline, or where it has none of the first run that has some."""
    rows = [_group_rows(result) for result in results]
    start = baseline if rows[baseline] else next((i for i, r in enumerate(rows) if r), baseline)
    shaping, shape = results[start], rows[start]
    shares = group_shares(shaping) if shaping else {}
    lines = []
    for name, shown in shape.items():
        standings = [
            _group_standing(own.get(name), reason, result)
            for own, reason, result in zip(rows, reasons, results, strict=True)
        ]
        against = _against(standings, baseline)
        lines += [Line(name, shown.depth, shown.metric, against, shares[name])]
    return tuple(lines)


def _group_rows(dataset: DatasetResult | None) -> dict[str, ScoreRow]:
    if dataset is None:
        return {}
    return {row.name: row for row in dataset_rows(dataset) if row.kind == GROUP}


def _group_standing(
    row: ScoreRow | None, dataset_reason: str, dataset: DatasetResult | None
) -> Standing:
    if row is None or dataset is None:
        return Standing(why_not=dataset_reason or MISSING)
    is_whole = row.status == OK
    members = group_subsets(dataset)[row.name]
    return Standing(
        score=row.score,
        weighted_score=row.weighted_score,
        status=row.status,
        coverage="" if is_whole else row.aggregation,
        rows=sum(map(num_rows, members)),
        flags=row.flags,
        # A whole group of a partial dataset could be compared; its dataset's row says what is not.
        why_not=dataset_reason or ("" if is_whole else row.status),
    )


def _subset_lines(results: Sequence[DatasetResult | None], baseline: int) -> tuple[Line, ...]:
    if all(result is None or len(result.subsets) < 2 for result in results):
        return ()
    by_abbr = [{s.abbr: s for s in result.subsets} if result else {} for result in results]
    abbrs = dict.fromkeys(abbr for own in (by_abbr[baseline], *by_abbr) for abbr in own)
    lines = []
    for abbr in abbrs:
        subsets = [own.get(abbr) for own in by_abbr]
        standings = [_subset_standing(s, why_not_subset(s, subsets[baseline])) for s in subsets]
        known = [s for s in (subsets[baseline], *subsets) if s is not None]
        metric = next((s.metric for s in known if s.metric), "")
        against = _against(standings, baseline)
        lines += [Line(known[0].name, 0, metric, against, (Share(abbr, 1.0),))]
    return tuple(lines)


def _subset_standing(subset: SubsetResult | None, reason: str) -> Standing:
    if subset is None:
        return Standing(why_not=reason)
    is_whole = subset.status == OK
    return Standing(
        score=subset.score,
        status=subset.status,
        coverage="" if is_whole else f"{subset.completed} of {subset.expected} samples",
        rows=num_rows(subset),
        flags=subset.flags,
        why_not=reason,
    )


def _against(standings: Sequence[Standing], baseline: int) -> tuple[Standing, ...]:
    """The standings with their differences from the baseline's, and the best marked."""
    start = standings[baseline].score
    found = [
        replace(standing, difference=Difference(standing.score - start))
        if index != baseline
        and not standing.why_not
        and standing.score is not None
        and start is not None
        else standing
        for index, standing in enumerate(standings)
    ]
    scores = [s.score for s in found if not s.why_not and s.score is not None]
    if not scores or max(scores) == min(scores):
        return tuple(found)
    best = max(scores)
    return tuple(replace(s, is_best=not s.why_not and s.score == best) for s in found)


def _same_evaluations(runs: Sequence[Evaluated]) -> list[str]:
    """Runs whose scores can differ by chance alone: everything that decides them is equal."""
    notes = []
    labels = short_labels(runs)
    for index, run in enumerate(runs):
        fingerprint = run.result.fingerprint
        earlier = [r.result.fingerprint for r in runs[:index]]
        twins = [i for i, other in enumerate(earlier) if fingerprint and other == fingerprint]
        if twins:
            notes += [
                f"{labels[index]} and {labels[twins[0]]} are the same evaluation, done twice."
            ]
    return notes
