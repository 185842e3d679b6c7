"""The whole line on one screen: compose, plan, preflight, launch, collect, record, report.

    python -m ftbench.run model.adapter=DIR datasets=[mmlu,gsm8k]

A ``training.command`` is run first, when everything that can be known of the line is in order. The
baseline's evaluation, where there is need of one, comes when the scores of this one are recorded.

Every arrow's value is also a file in the run folder, so that a killed run goes on from its last
file, and ``python -m ftbench.record`` can record again without a GPU.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from functools import partial

from rich.console import Console

from ftbench import __version__, data, tracking
from ftbench.baseline import Baseline, find_baseline, settle
from ftbench.collect import collect, failed_result, write_summary
from ftbench.config import Config
from ftbench.errors import (
    EXIT_CONTAINER,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_RESULT,
    LaunchError,
    PreflightError,
    Problem,
    TrackingError,
    TrainingError,
)
from ftbench.help_text import help_text
from ftbench.host import Host, command_line, read_host
from ftbench.judge import judge_notes
from ftbench.live import live_progress
from ftbench.outcome import Outcome
from ftbench.plan import Plan, write_plan
from ftbench.plan_text import plan_text
from ftbench.preflight import preflight
from ftbench.printing import say
from ftbench.ready import Ready, make_ready
from ftbench.report import Pointers, feedback, print_report, write_reports
from ftbench.reuse import take_over
from ftbench.runtimes import make_runtime
from ftbench.runtimes.base import CRASHED, FINISHED, INTERRUPTED, TIMED_OUT, Launch, Runtime
from ftbench.schema import SKIPPED, Reason, Result, read_result, write_atomically
from ftbench.training import (
    Trained,
    Training,
    expected_model,
    go_on_with,
    plan_training,
    report_failure,
    train,
)
from ftbench.training_command import without_secrets
from ftbench.training_link import link_training
from ftbench.workspace import alone, claimed, disk_errors


def evaluate(config: Config, host: Host | None = None, console: Console | None = None) -> Outcome:
    """Evaluates one model on its datasets, records and reports the scores.

    Args:
        config: A checked configuration, such as ``compose_config`` returns.
        host: The surroundings; None reads this process's own.
        console: Where to print; None for standard output.

    Raises:
        ConfigError: A dataset name is unknown.
        PreflightError: Something is wrong that can be known before the launch.
        LaunchError: The evaluation could not be started.
        TrainingError: The training that was to come first failed.

    Side effects: writes the run folder, starts a container or process, records in MLflow. User
        name and password in ``tracking.uri`` go into MLflow's own environment variables.
    """
    if config.tracking.uri:
        tracking.export_credentials(config.tracking.uri)
    host = host or read_host()
    console = console or Console()
    if config.training.command is not None:
        return _train_and_evaluate(config, host, console)
    return _evaluate(config, host, console)


def _train_and_evaluate(config: Config, host: Host, console: Console) -> Outcome:
    training = plan_training(config, host)
    shown = dataclasses.replace(host, command=without_secrets(host.command, host.secrets.values()))
    ready = make_ready(config, shown, console, partial(expected_model, training))
    plan = ready.plan()
    runtime, baseline = make_runtime(plan, host), find_baseline(ready, plan)
    if config.dry_run:
        return _show_plan(plan, ready, baseline, runtime, console, training.describe())
    try:
        if plan.datasets:
            others = (*ready.judge_problems(), *baseline.problems)
            preflight(plan, ready.source, ready.chosen, runtime, others, trains_first=True)
            runtime.prepare(plan, partial(say, console))
        elif ready.source.problems:
            raise PreflightError(ready.source.problems)
        trained = _train(training, plan, host, console)
    except LaunchError as exc:
        _print_not_started(plan, exc, console)
        raise
    config, host = go_on_with(trained, config, host)
    outcome = None
    try:
        outcome = _evaluate(config, host, console)
    finally:
        if outcome is None or outcome.exit_code:
            say(console, f"The training is done. To go on without it: {command_line(host.command)}")
    return outcome


def _train(training: Training, plan: Plan, host: Host, console: Console) -> Trained:
    say(console, f"training: {training.shown}")
    try:
        return train(training, plan, host, partial(say, console))
    except (TrainingError, KeyboardInterrupt) as exc:
        report_failure(training, plan, exc, console)
        raise


def _evaluate(config: Config, host: Host, console: Console) -> Outcome:
    linked = link_training(config, host)
    ready = make_ready(linked.config, host, console)
    plan = ready.plan()
    runtime, baseline = make_runtime(plan, host), find_baseline(ready, plan)
    if config.dry_run:
        source = dataclasses.replace(ready.source, notes=(*linked.notes, *ready.source.notes))
        ready = dataclasses.replace(ready, source=source)
        return _show_plan(plan, ready, baseline, runtime, console)
    if not plan.datasets:
        result = Result(fingerprint=plan.fingerprint, model_abbr=plan.model_abbr, stage=SKIPPED)
        say(console, feedback(result))
        return Outcome(plan, result, Pointers(), EXIT_OK)
    for note in linked.notes:
        say(console, f"note: {note}")
    with disk_errors(plan.run_dir):
        return _evaluate_and_compare(plan, ready, baseline, runtime, console)


def _show_plan(
    plan: Plan,
    ready: Ready,
    baseline: Baseline,
    runtime: Runtime,
    console: Console,
    training: Sequence[str] = (),
) -> Outcome:
    problems = [*ready.source.problems, *ready.chosen.problems, *ready.refused]
    problems += baseline.problems
    notes = [*ready.source.notes]
    notes += [f"a launch would stop: {p.tried}: {p.happened}" for p in problems]
    notes += judge_notes(ready.config, ready.chosen)
    notes += data.announced(ready.chosen.missing, ready.access)
    notes += ready.reuse_notes(plan)
    described = runtime.describe(plan)
    say(console, plan_text(plan, described, notes, training, baseline.describe()))
    return Outcome(plan, None, Pointers(), EXIT_OK)


def _evaluate_and_compare(
    plan: Plan, ready: Ready, baseline: Baseline, runtime: Runtime, console: Console
) -> Outcome:
    try:
        own = _evaluate_planned(plan, ready, runtime, console, baseline.problems)
    except LaunchError as exc:
        _print_not_started(plan, exc, console)
        raise
    plan, result, pointers = own.plan, own.result, own.pointers
    assert result is not None
    # Whatever becomes of the baseline, this is safe.
    write_reports(plan, result, pointers)
    settled = settle(baseline, own, partial(_evaluate_base, console=console))
    pointers = dataclasses.replace(pointers, notes=(*pointers.notes, *settled.notes))
    write_reports(plan, result, pointers, settled.deltas)
    print_report(console, plan, result, pointers, settled.deltas)
    return Outcome(
        plan, result, pointers, own.exit_code or settled.exit_code, deltas=settled.deltas
    )


def _evaluate_base(ready: Ready, plan: Plan, console: Console) -> Outcome:
    say(console, f"the baseline: {plan.model.base}, asked the same ({plan.workspace})")
    with disk_errors(plan.run_dir):
        base = _evaluate_planned(plan, ready, make_runtime(plan, ready.host), console)
        assert base.result is not None
        write_reports(base.plan, base.result, base.pointers)
    return base


def _evaluate_planned(
    plan: Plan,
    ready: Ready,
    runtime: Runtime,
    console: Console,
    problems: Sequence[Problem] = (),
) -> Outcome:
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
                launch = _launch(plan, runtime, console)
                result = collect(plan, launch)
    pointers, recorded = _record(plan, result, is_found=launch is None)
    code = _exit_code(launch or Launch(FINISHED), result) or recorded
    return Outcome(plan, result, pointers, code)


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


def _print_not_started(plan: Plan, error: LaunchError, console: Console) -> None:
    kind = "preflight" if isinstance(error, PreflightError) else "launch"
    message = error.problems[0].happened if len(error.problems) == 1 else error.title
    result = failed_result(plan, Reason(kind, message))
    say(console, feedback(result))


def main() -> None:
    """The command line: ``python -m ftbench.run`` and ``ftbench``."""
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(help_text())
        return
    if "--version" in sys.argv[1:]:
        print(f"ftbench {__version__}")
        return
    from ftbench.command_line import run_command

    run_command()


if __name__ == "__main__":
    main()
