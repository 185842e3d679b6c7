"""The whole story: train, plan, one model through the line, its baseline, a gate, a report.

    python -m ftbench.run model.adapter=DIR datasets=[mmlu,gsm8k]

A ``training.command`` is run first, when everything that can be known of the line is in order; the
part from preflight to record is ``line``. The baseline's evaluation, where there is need of one,
comes when the scores of this one are recorded, and last a gate decides.

Every arrow's value is also a file in the run folder, so that a killed run goes on from its last
file, and ``python -m ftbench.record`` can record again without a GPU.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from rich.console import Console

from ftbench import __version__, data, tracking
from ftbench.baseline import Baseline, find_baseline, settle
from ftbench.collect import failed_result
from ftbench.config import Config
from ftbench.errors import (
    EXIT_OK,
    LaunchError,
    PreflightError,
    TrainingError,
)
from ftbench.gate import hold
from ftbench.help_text import help_text
from ftbench.host import Host, command_line, read_host
from ftbench.judge import judge_notes
from ftbench.line import evaluate_planned
from ftbench.outcome import Outcome
from ftbench.plan import Plan
from ftbench.plan_text import plan_text
from ftbench.preflight import preflight
from ftbench.printing import say
from ftbench.ready import Ready, make_ready
from ftbench.report import Pointers, feedback, print_report, write_reports
from ftbench.runtimes import make_runtime
from ftbench.runtimes.base import Runtime
from ftbench.schema import SKIPPED, Reason, Result
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
from ftbench.workspace import disk_errors


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
    with _saying_how_to_go_on(host, console):
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
        with _saying_how_to_go_on(host, console):
            _prepare(plan, ready, baseline, runtime, console)
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


def _prepare(
    plan: Plan, ready: Ready, baseline: Baseline, runtime: Runtime, console: Console
) -> None:
    """What can be checked and brought before a training."""
    if plan.datasets:
        others = (*ready.judge_problems(), *baseline.problems)
        preflight(plan, ready.source, ready.chosen, runtime, others, trains_first=True)
        runtime.prepare(plan, partial(say, console))
    elif ready.source.problems:
        raise PreflightError(ready.source.problems)


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
        own = evaluate_planned(plan, ready, runtime, console, baseline.problems)
    except LaunchError as exc:
        _print_not_started(plan, exc, console)
        raise
    plan, result, pointers = own.plan, own.result, own.pointers
    assert result is not None
    # Whatever becomes of the baseline, this is safe.
    write_reports(plan, result, pointers)
    settled = settle(baseline, own, partial(_evaluate_base, console=console))
    own = dataclasses.replace(own, deltas=settled.deltas)
    held = hold(ready.config.gate, own)
    pointers = dataclasses.replace(pointers, notes=(*pointers.notes, *settled.notes, *held.notes))
    write_reports(plan, result, pointers, settled.deltas, held.decision)
    print_report(console, plan, result, pointers, settled.deltas, held.decision)
    exit_code = own.exit_code or settled.exit_code or held.exit_code
    return dataclasses.replace(own, pointers=pointers, exit_code=exit_code, decision=held.decision)


def _evaluate_base(ready: Ready, plan: Plan, console: Console) -> Outcome:
    say(console, f"the baseline: {plan.model.base}, asked the same ({plan.workspace})")
    with disk_errors(plan.run_dir):
        base = evaluate_planned(plan, ready, make_runtime(plan, ready.host), console)
        assert base.result is not None
        write_reports(base.plan, base.result, base.pointers)
    return base


@contextmanager
def _saying_how_to_go_on(host: Host, console: Console) -> Iterator[None]:
    """Ends what Ctrl-C ends with a sentence, wherever it was."""
    try:
        yield
    except KeyboardInterrupt:
        command = command_line(without_secrets(host.command, host.secrets.values()))
        say(console, f"interrupted; what is finished is kept. To go on: {command}")
        raise


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
