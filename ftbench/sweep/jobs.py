"""The files of a sweep and of its jobs, and what follows from them alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ftbench.errors import Problem, ResultError
from ftbench.plan import TrackingPlan
from ftbench.schema import from_json, to_json, write_atomically

RUNNING = "running"
OK = "ok"
FAILED = "failed"
KILLED = "killed"
"""It is written down as running, and no process holds it any more."""
NOT_STARTED = "not started"

SWEEP_FILE = "sweep.json"
JOB_FILE = "job.json"

_ADAPTER = "model.adapter"

_FIRST_FAILURE = 100
_MAX_EXIT = 125
"""Shells give the codes above this one meanings of their own."""


@dataclass(frozen=True)
class Job:
    """One job of a sweep: ``<sweep folder>/<number>/job.json``.

    Attributes:
        status: RUNNING, OK or FAILED in the file; a reader adds KILLED and NOT_STARTED.
        exit_code: What a single run would have ended with; None before its end.
        overrides: Settings of this job, as on the command line.
        sweep_id: The sweep it belongs to; a folder may have been used by another one.
        model: Name of the evaluated model, as tables show it.
        adapter: Absolute folder of its adapter; empty for a model without one.
        is_base: The base model itself was evaluated.
        run_dir: Its run folder; empty when there was nothing to evaluate.
        run_url, run_id, experiment_id: Its benchmark run; empty when it is not recorded.
        error: Why it is not ok, in one line.
        started_at, ended_at: Seconds since the epoch; 0 when unknown.
    """

    number: int
    status: str = NOT_STARTED
    exit_code: int | None = None
    overrides: tuple[str, ...] = ()
    sweep_id: str = ""
    model: str = ""
    adapter: str = ""
    is_base: bool = False
    run_dir: str = ""
    run_url: str = ""
    run_id: str = ""
    experiment_id: str = ""
    error: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0


@dataclass(frozen=True)
class Sweep:
    """What a sweep is: ``sweep.json``.

    Attributes:
        folder: Absolute; where the file was found, wherever it lay when it was written.
        started_at: Seconds since the epoch; of the first start, when it was gone on with.
        command: The command line, one argument each, without credentials.
        overrides: The settings with their sweeps, lists of adapters spelled out.
        jobs: Settings of every planned job; empty when only its sweeper knows them.
        tracking: Where the sweep itself is recorded.
        dry_run: Nothing is evaluated, so nothing is recorded either.
        exit_code: None until the driver has seen its end.
    """

    sweep_id: str
    folder: Path
    started_at: float
    command: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    jobs: tuple[tuple[str, ...], ...] = ()
    tracking: TrackingPlan = dataclasses.field(default_factory=lambda: TrackingPlan("none"))
    dry_run: bool = False
    exit_code: int | None = None


def is_sweep(folder: Path) -> bool:
    """Whether a folder is a sweep's."""
    return (folder / SWEEP_FILE).is_file()


def write_sweep(sweep: Sweep) -> None:
    """Writes ``sweep.json``."""
    write_atomically(sweep.folder / SWEEP_FILE, _text(sweep))


def read_sweep(folder: Path) -> Sweep:
    """Reads ``sweep.json``.

    Raises:
        ResultError: There is none, or it does not parse.
    """
    path = folder / SWEEP_FILE
    try:
        sweep = from_json(Sweep, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
        happened = f"{type(exc).__name__}: {exc}"
        raise ResultError(Problem(f"reading {path}", happened, "start the sweep again")) from exc
    assert isinstance(sweep, Sweep)
    return dataclasses.replace(sweep, folder=folder)


def write_job(sweep_folder: Path, job: Job) -> None:
    """Writes ``job.json``; a reader never sees a half."""
    write_atomically(sweep_folder / str(job.number) / JOB_FILE, _text(job))


def read_job(sweep_folder: Path, number: int) -> Job:
    """How a job is doing; NOT_STARTED when it left nothing that can be read."""
    folder = sweep_folder / str(number)
    try:
        job = from_json(Job, json.loads((folder / JOB_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Job(number)
    assert isinstance(job, Job)
    if job.status == RUNNING and not _is_held(folder):
        return dataclasses.replace(job, status=KILLED, error="its process was killed")
    return job


def read_jobs(sweep: Sweep) -> list[Job]:
    """Every job of a sweep in its order: the planned ones, and what else is in its folder."""
    numbers = {int(p.parent.name) for p in sweep.folder.glob(f"*/{JOB_FILE}") if _is_number(p)}
    jobs = []
    for number in sorted({*range(len(sweep.jobs)), *numbers}):
        job = read_job(sweep.folder, number)
        is_planned = number < len(sweep.jobs)
        if job.sweep_id != sweep.sweep_id:
            # Another sweep was here before, or nothing of this one.
            if not is_planned:
                continue
            error = "it was never started"
            job = Job(number, overrides=sweep.jobs[number], sweep_id=sweep.sweep_id, error=error)
        jobs.append(job)
    return jobs


def is_base_of_others(sweep: Sweep, number: int) -> bool:
    """Whether a job has no adapter, and others with the same settings have one.

    Where only the sweeper knows the jobs, none is.
    """
    if number >= len(sweep.jobs):
        return False
    own, *others = (_adapter_and_rest(job) for job in (sweep.jobs[number], *sweep.jobs))
    return not own[0] and any(adapter and rest == own[1] for adapter, rest in others)


def _adapter_and_rest(overrides: Sequence[str]) -> tuple[str, list[str]]:
    """The adapter of a job, empty for none, and its other settings."""
    parts = [(*override.lstrip("+").partition("="), override) for override in overrides]
    adapters = [value for key, _, value, _ in parts if key == _ADAPTER]
    adapter = adapters[-1] if adapters else "null"
    return ("" if adapter == "null" else adapter), [o for key, _, _, o in parts if key != _ADAPTER]


def exit_code(jobs: Sequence[Job]) -> int:
    """0 when every job is ok, else 100 + the number of those that are not, at most 125."""
    failed = sum(job.status != OK for job in jobs)
    return min(_FIRST_FAILURE + failed, _MAX_EXIT) if failed or not jobs else 0


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Holds a job's or a sweep's folder while its process lives; the system frees it.

    Raises:
        Timeout: Another process holds it.

    Side effects: creates the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock", timeout=0):
        yield


def _is_held(folder: Path) -> bool:
    try:
        with held(folder):
            return False
    except (Timeout, OSError):
        return True


def _is_number(path: Path) -> bool:
    return path.parent.name.isdecimal()


def _text(value: Job | Sweep) -> str:
    return json.dumps(to_json(value), ensure_ascii=False, indent=1) + "\n"
