"""From a run folder to a checked result: every requested dataset ends with a status and a reason.

The evaluation program's ``result.json`` is believed only where OpenCompass's own files bear it out.
When it is missing (timeout, kill), the progress file is taken, and what was pending gets the status
that the launch's ending gives. Nothing here raises for a bad result: that too is a result.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import time
from pathlib import Path

from ftbench.aggregates import aggregate, unscored
from ftbench.error_bars import with_error_bars
from ftbench.evidence import doubt
from ftbench.logs import root_cause
from ftbench.plan import DatasetPlan, Plan
from ftbench.reuse import read_taken
from ftbench.runtimes.base import (
    CRASHED,
    FINISHED,
    INTERRUPTED,
    OUT_OF_MEMORY,
    STOPPED_OUTSIDE,
    TIMED_OUT,
    Launch,
)
from ftbench.schema import (
    FAILED,
    OK,
    PENDING,
    TIMEOUT,
    DatasetResult,
    Reason,
    Result,
    RunFiles,
    SubsetResult,
    Uncertainty,
    read_result,
    write_atomically,
    write_result,
)
from ftbench.score_rows import ScoreRow, average_row, dataset_rows, subset_rows
from ftbench.validity import flagged

_MEANINGS = {
    FINISHED: "the evaluation program ended without finishing it",
    INTERRUPTED: "the run was interrupted",
    OUT_OF_MEMORY: "the evaluation process ran out of memory",
    STOPPED_OUTSIDE: "something outside ftbench stopped the evaluation process",
    CRASHED: "the evaluation process crashed",
}


_CSV_COLUMNS = (
    "dataset",
    "score",
    "metric",
    "status",
    "completed",
    "expected",
    "reason",
    "kind",
    "weighted_score",
    "truncated_share",
    "empty_share",
    "unextracted_share",
    "mean_output_tokens",
    "label",
    "flags",
    "standard_error",
    "ci_low",
    "ci_high",
)
"""New columns come last: who reads by position goes on reading the same."""


def collect(plan: Plan, launch: Launch) -> Result:
    """Reads, completes and checks the result of a launch.

    Args:
        plan: What was launched.
        launch: How it ended.

    Returns:
        One entry per planned dataset, in plan order; none is pending.

    Side effects: writes ``summary/summary.json`` and ``summary/summary.csv``.
    """
    files = plan.files
    result, unreadable = _read(files, plan.fingerprint)
    why = unreadable or result.failure or _why_unfinished(launch, files)
    by_name = {dataset.name: dataset for dataset in result.datasets} | _taken_over(plan)
    status = TIMEOUT if launch.ending == TIMED_OUT and not unreadable else FAILED
    datasets = tuple(
        _settle(
            by_name.get(planned.name) or _untouched(planned), status, why, files, plan.model_abbr
        )
        for planned in plan.datasets
    )
    collected = dataclasses.replace(
        result,
        fingerprint=plan.fingerprint,
        model_abbr=plan.model_abbr,
        stage="done",
        failure=unreadable or result.failure,
        datasets=datasets,
    )
    if not plan.is_launched:
        collected = _without_a_launch(plan, collected)
    return write_summary(files, collected, plan.flag_above)


def _taken_over(plan: Plan) -> dict[str, DatasetResult]:
    """The datasets that earlier runs evaluated, by name."""
    taken = read_taken(plan.files)
    found = {planned.name: taken.dataset(planned) for planned in plan.reused}
    return {name: dataset for name, dataset in found.items() if dataset is not None}


def _without_a_launch(plan: Plan, result: Result) -> Result:
    """The result where earlier runs had everything: their model and versions, and no time."""
    taken, now = read_taken(plan.files), time.time()
    return dataclasses.replace(
        result,
        model=taken.model,
        versions=taken.versions,
        hardware=taken.hardware,
        started_at=now,
        finished_at=now,
    )


def write_summary(files: RunFiles, result: Result, flag_above: float) -> Result:
    """Writes ``summary/summary.json`` and ``summary/summary.csv``.

    Args:
        result: Collected.
        flag_above: Share of answers, 0 to 1; a score with more is flagged.

    Returns:
        The result, flagged, with error bars.
    """
    summed = with_error_bars(files, flagged(result, flag_above))
    write_result(files.summary, summed)
    write_atomically(files.summary_csv, summary_csv(summed))
    return summed


def failed_result(plan: Plan, reason: Reason) -> Result:
    """The result of an evaluation that was never launched, for one reason."""
    datasets = tuple(
        dataclasses.replace(_untouched(planned), status=FAILED, reason=reason)
        for planned in plan.datasets
    )
    return Result(
        fingerprint=plan.fingerprint,
        model_abbr=plan.model_abbr,
        stage="done",
        failure=reason,
        datasets=datasets,
    )


def summary_csv(result: Result) -> str:
    """The summary as CSV; scores are not rounded.

    One row per dataset, then its groups, then its subsets where there are several; last the average
    over several datasets.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(_CSV_COLUMNS)
    for dataset in result.datasets:
        rows.writerows(_csv_row(row, row.name) for row in dataset_rows(dataset))
        # Outside its dataset a subset goes by OpenCompass's name.
        abbrs = (subset.abbr for subset in dataset.subsets)
        pairs = zip(subset_rows(dataset), abbrs, strict=False)
        rows.writerows(_csv_row(row, abbr) for row, abbr in pairs)
    if (average := average_row(result)) is not None:
        rows.writerow(_csv_row(average, average.name))
    return text.getvalue()


def _csv_row(row: ScoreRow, name: str) -> list[str]:
    bars = row.uncertainty or Uncertainty()
    numbers = (row.weighted_score, *row.validity.shares().values(), row.validity.mean_output_tokens)
    return [
        name,
        _number(row.score),
        row.metric,
        row.status,
        str(row.completed),
        str(row.expected),
        row.reason.message if row.reason else "",
        row.kind,
        *map(_number, numbers),
        row.label,
        "; ".join(row.flags),
        *map(_number, (bars.standard_error, bars.low, bars.high)),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


def _read(files: RunFiles, fingerprint: str) -> tuple[Result, Reason | None]:
    for path in (files.result, files.progress):
        if not path.is_file():
            continue
        try:
            result = read_result(path)
        except ValueError as exc:
            return Result(), Reason(
                "results_unreadable", str(exc), str(path.relative_to(files.root))
            )
        if result.fingerprint != fingerprint:
            happened = f"{path.name} belongs to another evaluation ({result.fingerprint[:8]})"
            return Result(), Reason("results_foreign", happened)
        return result, None
    return Result(), None


def _why_unfinished(launch: Launch, files: RunFiles) -> Reason:
    if launch.ending == TIMED_OUT:
        return Reason(
            TIMEOUT, launch.message or "stopped at the timeout", _log_name(files, files.launch_log)
        )
    message = launch.message or _MEANINGS[launch.ending]
    log = files.launch_log
    if launch.ending in (CRASHED, FINISHED):
        for candidate in (files.launch_log, files.opencompass_log):
            if cause := root_cause(candidate):
                message, log = f"{message}: {cause}", candidate
                break
    kind = "unfinished" if launch.ending == FINISHED else launch.ending
    return Reason(kind, message, _log_name(files, log))


def _log_name(files: RunFiles, log: Path) -> str:
    return str(log.relative_to(files.root)) if log.is_file() else ""


def _untouched(planned: DatasetPlan) -> DatasetResult:
    subsets = tuple(
        SubsetResult(abbr=abbr, name=abbr, mode=planned.mode) for abbr in planned.subsets
    )
    return DatasetResult(name=planned.name, subsets=subsets, groups=unscored(planned.groups))


def _settle(
    dataset: DatasetResult, status: str, why: Reason, files: RunFiles, model_abbr: str
) -> DatasetResult:
    subsets = tuple(
        _settle_subset(subset, status, why, files, model_abbr) for subset in dataset.subsets
    )
    if not subsets:
        kept = dataset.status if dataset.status not in (PENDING, OK) else status
        return dataclasses.replace(dataset, status=kept, reason=dataset.reason or why, score=None)
    return aggregate(dataclasses.replace(dataset, subsets=subsets))


def _settle_subset(
    subset: SubsetResult, status: str, why: Reason, files: RunFiles, model_abbr: str
) -> SubsetResult:
    if subset.status == PENDING:
        return dataclasses.replace(subset, status=status, reason=subset.reason or why, score=None)
    if subset.status != OK:
        return dataclasses.replace(subset, reason=subset.reason or why)
    why_not = doubt(subset, files.results / model_abbr)
    if why_not is None:
        return subset
    reason = Reason("results_unreadable", why_not, f"results/{model_abbr}/{subset.abbr}.json")
    return dataclasses.replace(subset, status=FAILED, reason=reason, score=None)
