"""One job of a sweep: whatever happens in it is written down, and only an interrupt leaves it.

It may run in a process of its own, on another machine, from which nothing else comes back.
"""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from ftbench.decision import EXIT_CODES
from ftbench.errors import EXIT_INTERRUPTED, EXIT_OK, FtbenchError
from ftbench.outcome import Outcome
from ftbench.printing import say
from ftbench.sweep import FAILED, OK, RUNNING, Job, held, write_job
from ftbench.tracking import model_label

EXIT_BUG = 1


def run_job(sweep_folder: Path, job: Job, evaluate: Callable[[], Outcome]) -> None:
    """Runs a job and writes ``job.json``, before it and after it.

    Args:
        sweep_folder: Absolute, or from the current folder.
        job: Its number, settings and sweep.
        evaluate: Does the work.

    Raises:
        KeyboardInterrupt: It was interrupted: who stops a job means the whole sweep.
        SystemExit: Slurm takes the job's place back; it is in the queue again and goes on later.
        Timeout: Another process is at work on this very job.

    Side effects: what ``evaluate`` does, and the job's file; prints what went wrong.
    """
    job = dataclasses.replace(job, status=RUNNING, started_at=time.time())
    with held(sweep_folder / str(job.number)):
        write_job(sweep_folder, job)
        try:
            job = _ended(job, evaluate)
        except KeyboardInterrupt:
            job = dataclasses.replace(job, exit_code=EXIT_INTERRUPTED, error="interrupted")
            raise
        except SystemExit as exc:
            if _is_of_submitit(exc):
                raise
            code = exc.code if isinstance(exc.code, int) and exc.code else EXIT_BUG
            job = dataclasses.replace(job, exit_code=code, error=f"it exited by itself: {exc.code}")
        finally:
            if job.exit_code is not None:
                status = OK if job.exit_code == EXIT_OK else FAILED
                job = dataclasses.replace(job, status=status, ended_at=time.time())
                write_job(sweep_folder, job)
    if job.exit_code == EXIT_INTERRUPTED:
        raise KeyboardInterrupt


def _ended(job: Job, evaluate: Callable[[], Outcome]) -> Job:
    """The job after its evaluation, with what it came to."""
    console = Console(stderr=True)
    try:
        outcome = evaluate()
    except FtbenchError as exc:
        say(console, str(exc))
        error = f"{exc.problems[0].tried}: {exc.problems[0].happened}"
        return dataclasses.replace(job, exit_code=exc.exit_code, error=_one_line(error))
    except Exception as exc:
        # The top of a job's process, as far as the other jobs are concerned.
        console.print_exception()
        error = f"unexpected: {type(exc).__name__}: {exc}"
        return dataclasses.replace(job, exit_code=EXIT_BUG, error=_one_line(error))
    plan, result, pointers = outcome.plan, outcome.result, outcome.pointers
    return dataclasses.replace(
        job,
        exit_code=outcome.exit_code,
        model=model_label(plan),
        adapter=str(plan.model.adapter or ""),
        is_base=plan.model.adapter is None,
        run_dir=str(plan.run_dir) if result is not None and plan.datasets else "",
        run_url=pointers.run_url,
        run_id=pointers.run_id,
        experiment_id=pointers.experiment_id,
        error=_why(outcome),
    )


def _why(outcome: Outcome) -> str:
    """Why an evaluation that came to its end is no success; empty when it is one."""
    if outcome.exit_code == EXIT_OK:
        return ""
    datasets = outcome.result.datasets if outcome.result else ()
    reasons = [f"{d.name}: {d.reason.message}" for d in datasets if d.reason]
    decision = outcome.decision
    if decision is not None and outcome.exit_code == EXIT_CODES[decision.outcome]:
        reasons = [f"gate {decision.policy}: {decision.outcome}: {decision.reasons[0]}"]
    return _one_line(next(iter([*reasons, *outcome.pointers.notes]), "it did not end well"))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _is_of_submitit(exc: SystemExit) -> bool:
    """Whether submitit ends the job: it has handed it back to Slurm before."""
    frames = traceback.walk_tb(exc.__traceback__)
    names = (str(frame.f_globals.get("__name__", "")) for frame, _ in frames)
    return any(name.partition(".")[0] == "submitit" for name in names)
