"""The workspace on disk: which run folder answers, goes on, or is made.

    <workspace>/benchmark_results/<timestamp>/     one run folder, named by ``schema.RunFiles``

A run folder belongs to one fingerprint. Nothing is reused by its name or age.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ftbench.errors import LaunchError, Problem, ResultError
from ftbench.logs import start_mark
from ftbench.schema import RunFiles, read_result

RUNS = "benchmark_results"

_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


@dataclass(frozen=True)
class FoundRun:
    """A run folder of the wanted fingerprint.

    Attributes:
        is_complete: Every dataset in it is ok, so that it answers without a launch.
    """

    run_dir: Path
    is_complete: bool


def find_run(workspace: Path, fingerprint: str) -> FoundRun | None:
    """Finds the newest run folder of a fingerprint; a complete one comes first."""
    found = [
        FoundRun(run_dir, _is_complete(run_dir, fingerprint))
        for run_dir in sorted((workspace / RUNS).glob("*/"), reverse=True)
        if _fingerprint_of(run_dir) == fingerprint
    ]
    complete = [run for run in found if run.is_complete]
    return next(iter(complete or found), None)


def new_run_dir(workspace: Path, now: float) -> Path:
    """Names a run folder that does not exist yet.

    Args:
        workspace: Absolute folder.
        now: Seconds since the epoch.
    """
    stamp = time.strftime("%Y%m%d_%H%M%S", time.localtime(now))
    candidates = [stamp, *(f"{stamp}_{n}" for n in range(1, 1000))]
    return next(path for name in candidates if not (path := workspace / RUNS / name).exists())


def run_dirs(path: Path) -> list[Path]:
    """The run folders of a workspace, oldest first, or the run folder that ``path`` itself is."""
    if RunFiles(path).plan.is_file():
        return [path]
    return [d for d in sorted((path / RUNS).glob("*/")) if RunFiles(d).plan.is_file()]


@contextmanager
def alone(workspace: Path, fingerprint: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Lets one process at a time evaluate a fingerprint; the next one then finds its result.

    Args:
        workspace: Absolute folder.
        fingerprint: Of the evaluation.
        on_wait: Called once when another process is at work on it.

    Raises:
        LaunchError: The workspace cannot be written.

    Side effects: creates the workspace.
    """
    lock = FileLock(workspace / f".{fingerprint[:16]}.lock")
    try:
        workspace.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_wait()
            # Whoever holds it ends by its own timeout; the system frees it when it dies.
            lock.acquire()
    except OSError as exc:
        raise LaunchError(unwritable(workspace / RUNS / "new", exc)) from exc
    try:
        yield
    finally:
        lock.release()


@contextmanager
def claimed(run_dir: Path) -> Iterator[RunFiles]:
    """Creates the run folder and holds it, so that no second launcher works in it.

    Raises:
        LaunchError: It cannot be written, or another launcher holds it.

    Side effects: creates the folder, removes the result of an earlier, unfinished launch, and
        marks the beginning of this one in the launch log.
    """
    lock = FileLock(run_dir / ".lock")
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as exc:
        raise LaunchError(
            Problem(
                f"evaluating into {run_dir}",
                "another ftbench run is at work on this very evaluation",
                "wait for it, or choose another workspace=DIR",
            )
        ) from exc
    except OSError as exc:
        raise LaunchError(unwritable(run_dir, exc)) from exc
    try:
        files = RunFiles(run_dir)
        files.result.unlink(missing_ok=True)
        files.launch_log.parent.mkdir(exist_ok=True)
        with files.launch_log.open("a", encoding="utf-8") as log:
            log.write(start_mark())
        yield files
    finally:
        lock.release()


@contextmanager
def disk_errors(run_dir: Path) -> Iterator[None]:
    """Turns what a full or failing disk raises inside the block into an error with its cure.

    Raises:
        ResultError: Something of an evaluation could not be written.
    """
    try:
        yield
    except OSError as exc:
        if exc.errno not in _DISK_ERRORS:
            raise
        place = exc.filename or run_dir
        happened = f"{os.strerror(exc.errno)}: {place}"
        cure = "free some space, or choose another folder with workspace=DIR; the same command "
        raise ResultError(Problem(f"writing into {run_dir}", happened, cure + "goes on")) from exc


def check_writable(run_dir: Path) -> list[Problem]:
    """Says whether the run folder could be made; creates nothing."""
    parent = next(p for p in (run_dir, *run_dir.parents) if p.exists())
    if not parent.is_dir():
        return [unwritable(run_dir, NotADirectoryError(20, f"{parent} is not a folder"))]
    if not os.access(parent, os.W_OK | os.X_OK):
        return [unwritable(run_dir, PermissionError(13, f"no permission to write in {parent}"))]
    return []


def unwritable(run_dir: Path, error: OSError) -> Problem:
    """The problem of a workspace that cannot be written."""
    return Problem(
        f"workspace {run_dir.parent.parent}",
        f"it cannot be written: {error.strerror or error}",
        "choose another folder with workspace=DIR",
    )


def _fingerprint_of(run_dir: Path) -> str | None:
    try:
        plan = json.loads(RunFiles(run_dir).plan.read_text(encoding="utf-8"))
        return str(plan["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_complete(run_dir: Path, fingerprint: str) -> bool:
    try:
        result = read_result(RunFiles(run_dir).summary)
    except (OSError, ValueError):
        return False
    return result.is_complete and result.fingerprint == fingerprint
