"""One planned model through the line: preflight, launch, collect, record.

Whatever has been computed before is not computed again: a result that the workspace or the tracker
has complete is taken as it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

from rich.console import Console

from ftbench import tracking
from ftbench.collect import collect, write_summary
from ftbench.errors import (
    EXIT_CONTAINER,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_RESULT,
    PreflightError,
    Problem,
    TrackingError,
)
from ftbench.host import command_line
from ftbench.live import live_progress
from ftbench.outcome import Outcome
from ftbench.plan import Plan, write_plan
from ftbench.preflight import preflight
from ftbench.printing import say
from ftbench.provenance import find_code, write_provenance
from ftbench.ready import Ready
from ftbench.report import Pointers, write_reports
from ftbench.reuse import take_over
from ftbench.runtimes.base import CRASHED, FINISHED, INTERRUPTED, TIMED_OUT, Launch, Runtime
from ftbench.schema import Result, read_result, write_atomically
from ftbench.workspace import alone, claimed


def evaluate_planned(
    plan: Plan,
    ready: Ready,
    runtime: Runtime,
    console: Console,
    problems: Sequence[Problem] = (),
) -> Outcome:
    """Evaluates what is planned, as far as it is not done, and records it.

    Args:
        plan: What is to be done.
        ready: What it was made from.
        runtime: What launches.
        console: Where to print.
        problems: What is wrong beside the plan.

    Raises:
        PreflightError: Something is wrong that can be known before the launch.
        LaunchError: The evaluation could not be started.

    Side effects: writes the run folder, starts a container or process, records in MLflow.
    """
    launch = None
    plan, result = _find_result(plan, ready, console)
    if problems and (result is not None or not plan.is_launched):
        raise PreflightError(problems)
    if result is None:
        if plan.is_launched:
            asked = ready.asked(plan)
            others = (*asked.judge_problems(), *problems)
            preflight(plan, asked.source, asked.chosen, runtime, others)
        waiting = f"waiting: another process is at work on this evaluation ({plan.workspace})"
        with alone(plan.workspace, plan.fingerprint, lambda: say(console, waiting)):
            plan = ready.plan_again(plan)
            result = _earlier_result(plan, ready, console)
            if result is None:
                code = find_code(ready.host.cwd)
                launch = _launch(plan, runtime, console)
                result = collect(plan, launch)
                write_provenance(plan, result, code)
    write_reports(plan, result)
    pointers, recorded = _record(plan, result, is_found=launch is None)
    exit_code = _exit_code(launch or Launch(FINISHED), result) or recorded
    exit_code = EXIT_INTERRUPTED if recorded == EXIT_INTERRUPTED else exit_code
    return Outcome(plan, result, pointers, exit_code)


def _find_result(plan: Plan, ready: Ready, console: Console) -> tuple[Plan, Result | None]:
    """The result where it need not be computed, in the workspace or else in the tracker.

    Returns:
        The plan, which takes over what the tracker has of it, and the result.
    """
    result = _earlier_result(plan, ready, console)
    if result is not None or not ready.may_reuse or not plan.is_launched:
        return plan, result
    if not tracking.restore(plan, partial(say, console)):
        return plan, None
    plan = ready.plan()
    return plan, _earlier_result(plan, ready, console)


def _earlier_result(plan: Plan, ready: Ready, console: Console) -> Result | None:
    """The complete result of an earlier evaluation of this fingerprint, if it may be reused."""
    found = ready.found(plan)
    if found is None or not found.is_complete:
        return None
    say(console, f"reusing {found.run_dir}: same fingerprint")
    # Flagged by what this command says, whatever the earlier one said.
    return write_summary(plan.files, read_result(plan.files.summary), plan.flag_above)


def _launch(plan: Plan, runtime: Runtime, console: Console) -> Launch:
    with claimed(plan.run_dir):
        for dataset in plan.reused:
            say(console, f"reusing {dataset.name} of {dataset.earlier}: same fingerprint")
        take_over(plan)
        write_plan(plan)
        if not plan.is_launched:
            return Launch(FINISHED)
        with tracking.warmed_up(plan.tracking), live_progress(plan, console) as on_line:
            try:
                launch = runtime.launch(plan, on_line)
            except KeyboardInterrupt:
                launch = Launch(INTERRUPTED, message="interrupted; the same command goes on")
        identity = {"ending": launch.ending, "seconds": f"{launch.seconds:.3f}", **launch.identity}
        write_atomically(plan.files.launch, json.dumps(identity, indent=1))
    return launch


def _record(plan: Plan, result: Result, is_found: bool) -> tuple[Pointers, int]:
    if plan.tracking.kind == "none":
        cure = f"python -m ftbench.record {plan.run_dir}"
        return Pointers(notes=(f"Not recorded (tracking=none). Record it later with: {cure}",)), 0
    try:
        recorded = tracking.recorded_before(plan, result)
        recorded = recorded or tracking.record(plan, result, is_found)
    except TrackingError as exc:
        return Pointers(notes=(str(exc),)), exc.exit_code
    except KeyboardInterrupt:
        told = "interrupted while they were recorded; the scores are safe on disk"
        return Pointers(
            notes=(f"{told}. To go on: {command_line(plan.command)}",)
        ), EXIT_INTERRUPTED
    pointers = Pointers(
        run_url=recorded.run_url,
        view_url=recorded.view_url,
        charts_url=recorded.charts_url,
        training_view_url=recorded.training_view_url if recorded.training_run_id else "",
        open_with=recorded.open_with,
        notes=recorded.notes,
        run_id=recorded.run_id,
        experiment_id=recorded.experiment_id,
    )
    return pointers, EXIT_OK


def _exit_code(launch: Launch, result: Result) -> int:
    if result.is_complete:
        return EXIT_OK
    if launch.ending == INTERRUPTED:
        return EXIT_INTERRUPTED
    if launch.ending in (FINISHED, TIMED_OUT):
        return EXIT_RESULT
    # A program that could not load the model exits 1 and says so in its result.
    return EXIT_RESULT if launch.ending == CRASHED and result.failure else EXIT_CONTAINER
