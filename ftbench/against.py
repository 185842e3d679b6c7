"""Compares a finished evaluation with its baseline, and records the differences.

Stands behind ``record`` on the line, and needs run folders or a tracker, no GPU: ``ftbench.record``
does the same again, later or elsewhere.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from ftbench import __version__, tracking
from ftbench.comparison import Comparison, Evaluated, compare
from ftbench.comparison.as_json import comparison_json
from ftbench.comparison.values import Line
from ftbench.deltas import BASE, NONE, Delta, Deltas, read_deltas, write_deltas
from ftbench.errors import FtbenchError, ResultError
from ftbench.plan import Plan, read_plan
from ftbench.report import write_reports
from ftbench.schema import RunFiles, read_result, to_json, write_atomically
from ftbench.statistics.values import NOT_COMPARABLE
from ftbench.tracking import Recorded
from ftbench.tracking.reading import read_folder
from ftbench.workspace import RUNS, find_run


def deltas_of(
    plan: Plan, kind: str, theirs: Evaluated, run_id: str = "", run_url: str = ""
) -> Deltas:
    """A finished evaluation against its baseline; what was compared before is not compared again.

    Args:
        plan: Of the evaluation; its run folder has the summary.
        kind: What the baseline is.
        theirs: The baseline.
        run_id, run_url: Its benchmark run, where it was read from a folder and is recorded.

    Raises:
        ComparisonError: A run folder does not hold together.

    Side effects: writes ``baseline.json`` and ``comparison.json`` into the run folder.
    """
    is_folder = Path(theirs.key).is_absolute()
    run_id, run_url = (run_id, run_url) if is_folder else (theirs.key, theirs.link)
    run_dir = theirs.key if is_folder else ""
    source = _source(plan, kind, theirs)
    known = read_deltas(plan.files)
    if known is None or known.source != source:
        comparison = compare([theirs, read_folder(plan.run_dir)], 0)
        write_atomically(plan.files.comparison, comparison_json(comparison))
        known = dataclasses.replace(deltas_from(comparison, kind, 1), source=source)
    deltas = dataclasses.replace(known, run_dir=run_dir, run_id=run_id, run_url=run_url)
    if deltas != read_deltas(plan.files):
        # What changed is not recorded yet.
        deltas = dataclasses.replace(deltas, recorded_in="")
        write_deltas(plan.files, deltas)
    return deltas


def no_deltas(plan: Plan, kind: str, name: str, why_not: str, *, is_itself: bool = False) -> Deltas:
    """Says in the run folder why there is no difference.

    Args:
        plan: Of the evaluation.
        kind, name: What the baseline is, or was to be.
        why_not: Why.
        is_itself: The model is the baseline that others are measured from.

    Side effects: writes ``baseline.json``.
    """
    deltas = Deltas(kind, name, why_not, is_itself=is_itself)
    if plan.files.root.is_dir():
        write_deltas(plan.files, deltas)
    return deltas


def record_deltas(plan: Plan, deltas: Deltas, recorded_run_id: str) -> Deltas:
    """Puts the differences on the benchmark run, unless they are there.

    Raises:
        TrackingError: The tracker did not take them; they are in the run folder.

    Side effects: writes to the tracker, and notes it in ``baseline.json``; the reports in the run
        folder, which go with it, get the differences.
    """
    place = f"{plan.tracking.uri} {recorded_run_id}"
    if deltas.recorded_in == place:
        return deltas
    write_reports(plan, read_result(plan.files.summary), deltas=deltas)
    tracking.record_deltas(plan, deltas, recorded_run_id)
    done = dataclasses.replace(deltas, recorded_in=place)
    write_deltas(plan.files, done)
    return done


def record_baseline(plan: Plan, recorded: Recorded) -> list[str]:
    """Records what a run folder was compared with, and the differences, as far as it is found.

    Args:
        plan: Of a run folder that has just been recorded.
        recorded: Where it stands.

    Returns:
        What could not be done, one sentence each.
    """
    deltas = read_deltas(plan.files)
    is_asked = plan.parameters.get("baseline") not in (None, NONE) or deltas is not None
    try:
        if plan.model.adapter is not None and is_asked and (deltas is None or deltas.kind == BASE):
            folder = _base_folder(plan, deltas)
            if folder is not None:
                deltas = _with_base(plan, folder, recorded)
        if deltas is not None and deltas.datasets:
            record_deltas(plan, deltas, recorded.run_id)
        elif is_asked and plan.model.adapter is not None:
            why = deltas.why_not if deltas else "the base model's result is not found beside it"
            return [f"No difference is recorded: {why}."]
    except FtbenchError as exc:
        return [f"The difference is not recorded: {exc.problems[0].happened}."]
    return []


def _with_base(plan: Plan, folder: Path, recorded: Recorded) -> Deltas:
    """The differences from a base model's run folder, which is recorded beside the adapter's."""
    base = dataclasses.replace(read_plan(folder), run_dir=folder)
    experiment = tracking.experiment_name(plan.tracking, recorded.experiment_id)
    placed = dataclasses.replace(
        plan.tracking, experiment=experiment, training_run_id=None, step=None, sweep_id=None
    )
    base = dataclasses.replace(base, tracking=placed)
    result = read_result(base.files.summary)
    theirs = tracking.recorded_anyhow(base, recorded.experiment_id)
    theirs = theirs or tracking.record(base, result, is_found=True)
    return deltas_of(plan, BASE, read_folder(folder), theirs.run_id, theirs.run_url)


def _base_folder(plan: Plan, deltas: Deltas | None) -> Path | None:
    """The base model's complete run folder: the one that was compared, or one beside."""
    wanted = plan.base_fingerprint
    if deltas is not None and deltas.run_dir and _fingerprint(Path(deltas.run_dir)) == wanted:
        return Path(deltas.run_dir)
    for workspace in _workspaces(plan):
        found = find_run(workspace, wanted)
        if found is not None and found.is_complete:
            return found.run_dir
    return None


def _workspaces(plan: Plan) -> Iterable[Path]:
    # Where the folder lies now: it may have been moved with what is beside it.
    own = plan.run_dir.parent.parent
    beside = own.parent
    return [own, *sorted(path.parent for path in beside.glob(f"*/{RUNS}") if path.parent != own)]


def _fingerprint(run_dir: Path) -> str:
    try:
        return read_plan(run_dir).fingerprint
    except ResultError:
        return ""


def _source(plan: Plan, kind: str, theirs: Evaluated) -> str:
    """Identifies what a comparison depends on."""
    own = RunFiles(plan.run_dir).summary.read_bytes()
    other = json.dumps(to_json(theirs.result), sort_keys=True).encode()
    named = json.dumps([__version__, kind, theirs.key, theirs.name]).encode()
    digest = hashlib.sha256()
    for part in (own, other, named):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def deltas_from(comparison: Comparison, kind: str, run: int) -> Deltas:
    """One run of a comparison against its baseline.

    Args:
        comparison: With this baseline.
        kind: What the baseline is.
        run: Index of the run.
    """
    ours, theirs = comparison.runs[run].result, comparison.runs[comparison.baseline]
    names = [dataset.name for dataset in ours.datasets]
    lines = {dataset.name: dataset.line for dataset in comparison.datasets}
    average = comparison.averages[run]
    return Deltas(
        kind=kind,
        name=theirs.model or theirs.name,
        datasets=tuple(
            _delta(lines[name], run, comparison.baseline) for name in names if name in lines
        ),
        average=average.score,
        baseline_average=comparison.averages[comparison.baseline].score,
        average_low=average.paired.low if average.paired else None,
        average_high=average.paired.high if average.paired else None,
        average_verdict=average.paired.verdict if average.paired else "",
        average_why_not=average.unpaired_why,
        averaged=comparison.averaged,
        fingerprint=theirs.result.fingerprint,
    )


def _delta(line: Line, run: int, baseline: int) -> Delta:
    ours, theirs = line.standings[run], line.standings[baseline]
    paired = ours.paired
    delta = Delta(
        dataset=line.name,
        metric=line.metric,
        score=ours.score,
        baseline_score=theirs.score,
        rows=ours.rows,
    )
    if ours.difference is None:
        return dataclasses.replace(
            delta, verdict=NOT_COMPARABLE, why_not=ours.why_not or theirs.why_not
        )
    delta = dataclasses.replace(delta, difference=ours.difference.value, why_not=ours.unpaired_why)
    if paired is None:
        return delta
    return dataclasses.replace(
        delta,
        low=paired.low,
        high=paired.high,
        p_value=paired.p_value,
        p_adjusted=paired.p_adjusted,
        verdict=paired.verdict,
        test=paired.test,
        detectable=paired.detectable,
        rows=paired.rows,
        gained=paired.gained,
        lost=paired.lost,
    )
