"""The driver's side of a sweep: what it starts with, and what it makes of how its jobs ended.

It knows its jobs by their files alone, since a launcher may run them in other processes or on other
machines. A sweep that did not end well is gone on with by the same command: same folder, same id,
same run in MLflow.
"""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import Timeout
from rich.console import Console

from ftbench import tracking
from ftbench.errors import FtbenchError, Problem, ResultError, TrackingError
from ftbench.plan import TrackingPlan
from ftbench.printing import say
from ftbench.sweep import (
    Job,
    Sweep,
    exit_code,
    held,
    is_sweep,
    make_table,
    print_summary,
    read_jobs,
    read_sweep,
    write_summary,
    write_sweep,
)
from ftbench.tracking import RecordedSweep


@contextmanager
def running_sweep(wanted: Sweep, has_own_folder: bool) -> Iterator[Sweep]:
    """Holds a sweep's folder from before its first job until after its last.

    Args:
        wanted: The sweep; id and folder are chosen here, in the place that its folder names.
        has_own_folder: The user named the folder, so that no other one is taken.

    Raises:
        ResultError: Another driver is at work in the folder that the user named.

    Side effects: makes the folder and ``sweep.json`` in it.
    """
    earlier = _earlier(wanted, has_own_folder)
    if earlier is not None:
        sweep = dataclasses.replace(
            wanted, sweep_id=earlier.sweep_id, folder=earlier.folder, started_at=earlier.started_at
        )
    else:
        folder = wanted.folder if has_own_folder else _free_folder(wanted.folder)
        sweep = dataclasses.replace(wanted, sweep_id=wanted.sweep_id or _new_id(), folder=folder)
    try:
        with held(sweep.folder):
            write_sweep(sweep)
            yield sweep
    except Timeout as exc:
        happened = "another ftbench run is at work on a sweep in this folder"
        cure = "wait for it, or choose another hydra.sweep.dir=DIR"
        raise ResultError(Problem(f"sweep in {sweep.folder}", happened, cure)) from exc


def announce(sweep: Sweep, console: Console) -> dict[str, str]:
    """Says where the sweep's files are, and opens its run in MLflow.

    Returns:
        Settings that all its jobs share, by their keys, where the user says nothing else. The base
        model has no training run of its own; by these its scores stand beside the adapters'.

    Side effects: writes to the tracker. One that is away is said, and tried again at the end.
    """
    number = f"{len(sweep.jobs)} jobs, " if sweep.jobs else ""
    say(console, f"Sweep {sweep.sweep_id}: {number}{sweep.folder}")
    shared = {"tracking.sweep_id": sweep.sweep_id, "hydra.sweep.dir": str(sweep.folder)}
    if not _is_recorded(sweep):
        return shared
    shared["tracking.uri"] = sweep.tracking.uri
    try:
        opened = tracking.open_sweep(sweep)
    except TrackingError as exc:
        say(console, f"The sweep's own run is not made yet: {exc.problems[0].happened}")
        return shared
    say(console, f"MLflow: {opened.run_url}")
    return {**shared, "tracking.experiment": opened.experiment}


def conclude(sweep: Sweep, console: Console) -> int:
    """Writes, records and prints what became of a sweep.

    Returns:
        0, or 100 + the number of jobs that are not complete, at most 125.

    Side effects: ``summary.md`` and ``summary.json`` in its folder, its exit code in
        ``sweep.json``, its run in MLflow.
    """
    jobs = read_jobs(sweep)
    sweep = dataclasses.replace(sweep, exit_code=exit_code(jobs))
    table = make_table(jobs)
    write_sweep(sweep)
    write_summary(sweep, table)
    print_summary(console, sweep, table)
    if _is_recorded(sweep):
        try:
            for line in recorded_lines(tracking.record_sweep(sweep, table)):
                say(console, line)
        except TrackingError as exc:
            say(console, str(exc))
    return sweep.exit_code or 0


def record_again(
    folder: Path, jobs: Sequence[Job], tracking_uri: str | None = None
) -> RecordedSweep:
    """Records the sweep of a folder from its files: what a killed driver could not.

    Args:
        folder: A sweep's folder.
        jobs: All its jobs, with their benchmark runs in that tracker.
        tracking_uri: Instead of the planned one; without credentials.

    Raises:
        ResultError: There is no sweep.
        TrackingError: Nothing of it is to be recorded, or the tracker did not take it.
    """
    sweep = read_sweep(folder)
    if tracking_uri:
        is_same = sweep.tracking.uri == tracking_uri
        kept = sweep.tracking if is_same else TrackingPlan("mlflow")
        moved = dataclasses.replace(kept, kind="mlflow", uri=tracking_uri)
        sweep = dataclasses.replace(sweep, tracking=moved)
    if not _is_recorded(sweep):
        happened = "nothing was evaluated" if sweep.dry_run else "it was planned with tracking=none"
        cure = "" if sweep.dry_run else f"python -m ftbench.record {folder} --tracking-uri URI"
        raise TrackingError(Problem(f"recording {folder}", happened, cure))
    sweep = dataclasses.replace(sweep, exit_code=exit_code(jobs))
    table = make_table(jobs)
    write_summary(sweep, table)
    return tracking.record_sweep(sweep, table)


def recorded_lines(recorded: RecordedSweep) -> list[str]:
    """Where a sweep stands in MLflow, one line each."""
    named = {
        "MLflow": recorded.run_url,
        "All jobs as a table": recorded.view_url,
        "Open them with": recorded.open_with,
    }
    return [*(f"{name}: {link}" for name, link in named.items() if link), *recorded.notes]


def _is_recorded(sweep: Sweep) -> bool:
    return sweep.tracking.kind != "none" and not sweep.dry_run


def _earlier(wanted: Sweep, has_own_folder: bool) -> Sweep | None:
    """The same sweep, started before and not brought to a good end."""
    folders = [wanted.folder] if has_own_folder else sorted(wanted.folder.parent.glob("*/"))
    for folder in reversed(folders):
        if not is_sweep(folder):
            continue
        try:
            found = read_sweep(folder)
            with held(folder):
                pass
        except (FtbenchError, Timeout, OSError):
            continue
        is_same = found.overrides == wanted.overrides and not wanted.sweep_id
        if is_same and (found.exit_code != 0 or has_own_folder):
            return found
    return None


def _free_folder(folder: Path) -> Path:
    """A folder that no other sweep of the same second has."""
    candidates = [folder, *(folder.with_name(f"{folder.name}_{n}") for n in range(1, 1000))]
    for candidate in candidates:
        try:
            candidate.mkdir(parents=True)
            return candidate
        except FileExistsError:
            continue
    raise ResultError(Problem(f"sweep in {folder}", "there are too many of them", ""))


def _new_id() -> str:
    """Sorts by time, and two that start in one second differ."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
