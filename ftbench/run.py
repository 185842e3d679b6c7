"""The whole line on one screen: compose, plan, preflight, launch, collect, record, report.

    python -m ftbench.run model.adapter=DIR datasets=[mmlu,gsm8k]

Every arrow's value is also a file in the run folder, so that a killed run goes on from its last
file, and ``python -m ftbench.record`` can record again without a GPU.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from ftbench import __version__, data, tracking
from ftbench.catalogue import load_catalogue
from ftbench.choosing import Chosen, choose_datasets
from ftbench.collect import collect, failed_result, write_summary
from ftbench.config import Config
from ftbench.errors import (
    EXIT_CONTAINER,
    EXIT_OK,
    EXIT_RESULT,
    LaunchError,
    PreflightError,
    Problem,
    TrackingError,
)
from ftbench.help_text import help_text
from ftbench.host import Host, read_host
from ftbench.judge import ask_judge, find_problems, judge_notes, uses_judge
from ftbench.live import live_progress
from ftbench.model_source import ModelSource, download_base, locate_model
from ftbench.plan import Plan, write_plan
from ftbench.plan_text import plan_text
from ftbench.planning import make_plan
from ftbench.preflight import preflight
from ftbench.report import Pointers, feedback, print_report, write_reports
from ftbench.runtimes import make_runtime
from ftbench.runtimes.base import CRASHED, FINISHED, INTERRUPTED, TIMED_OUT, Launch, Runtime
from ftbench.schema import SKIPPED, Reason, Result, read_result, write_atomically
from ftbench.training_link import link_training
from ftbench.workspace import FoundRun, alone, claimed, find_run

EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Outcome:
    """What an evaluation came to.

    Attributes:
        plan: What was to be done.
        result: What came out; None after ``dry_run``.
        pointers: Where the scores are recorded.
        exit_code: 0 when every dataset is ok; else by ``ftbench.errors``.
    """

    plan: Plan
    result: Result | None
    pointers: Pointers
    exit_code: int


@dataclass(frozen=True)
class _Ready:
    """What a plan is made from."""

    config: Config
    host: Host
    source: ModelSource
    chosen: Chosen

    def plan(self) -> Plan:
        return make_plan(self.config, self.host, self.source, self.chosen, time.time())

    def plan_again(self, plan: Plan) -> Plan:
        """The plan, made anew where another process has used its folder, or left one, since."""
        found = self.found(plan)
        is_as_planned = found.run_dir == plan.run_dir if found else not plan.run_dir.exists()
        return plan if is_as_planned else self.plan()

    def found(self, plan: Plan) -> FoundRun | None:
        is_wanted = self.config.reuse == "auto"
        return find_run(plan.workspace, plan.fingerprint) if is_wanted else None

    def judge_problems(self) -> Sequence[Problem]:
        problems = find_problems(self.config, self.chosen)
        if not problems and uses_judge(self.config, self.chosen):
            problems = ask_judge(self.config, self.host)
        return problems


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

    Side effects: writes the run folder, starts a container or process, records in MLflow. User
        name and password in ``tracking.uri`` go into MLflow's own environment variables.
    """
    if config.tracking.uri:
        tracking.export_credentials(config.tracking.uri)
    host = host or read_host()
    console = console or Console()
    linked = link_training(config, host)
    config = linked.config
    catalogue = load_catalogue()
    chosen = choose_datasets(config, host, catalogue)
    refused = find_problems(config, chosen)
    source = _find_model(config, host, chosen, console, may_download=not refused)
    source = dataclasses.replace(source, notes=(*linked.notes, *source.notes))
    access = data.Access(host, chosen.data_dir, catalogue.downloads, config.download)
    may_download = not (config.dry_run or source.problems or refused)
    # Before the plan: its fingerprint holds the data.
    chosen = _bring_data(chosen, access, console, may_download)
    ready = _Ready(config, host, source, chosen)
    plan = ready.plan()
    runtime = make_runtime(plan, host)
    if config.dry_run:
        problems = [*source.problems, *chosen.problems, *refused]
        notes = [f"a launch would stop: {p.tried}: {p.happened}" for p in problems]
        notes += [*judge_notes(config, chosen), *data.announced(chosen.missing, access)]
        _say(console, plan_text(plan, runtime.describe(plan), [*source.notes, *notes]))
        return Outcome(plan, None, Pointers(), EXIT_OK)
    if not plan.datasets:
        result = Result(fingerprint=plan.fingerprint, model_abbr=plan.model_abbr, stage=SKIPPED)
        _say(console, feedback(result))
        return Outcome(plan, result, Pointers(), EXIT_OK)
    for note in linked.notes:
        _say(console, f"note: {note}")
    return _evaluate_planned(plan, ready, runtime, console)


def _find_model(
    config: Config, host: Host, chosen: Chosen, console: Console, may_download: bool
) -> ModelSource:
    source = locate_model(config.model, host)
    may_download = may_download and bool(chosen.datasets) and not config.dry_run
    if source.must_be_downloaded and may_download:
        _say(console, f"downloading {source.base}")
        problems = download_base(source, host)
        if problems:
            return dataclasses.replace(source, problems=(*source.problems, *problems))
        source = locate_model(config.model, host, may_download=False)
    return source


def _bring_data(
    chosen: Chosen, access: data.Access, console: Console, may_download: bool
) -> Chosen:
    if not chosen.missing or not may_download:
        problems = data.obstacles(chosen.missing, access)
        return dataclasses.replace(chosen, problems=tuple(problems))
    folder = data.gather(chosen.sources, chosen.data_dir, access.host)
    access = dataclasses.replace(access, data_dir=folder)
    try:
        fetched = data.fetch(chosen.sources, access, console)
    except KeyboardInterrupt:
        _say(console, "interrupted; the same command goes on with the download")
        raise
    missing = data.still_missing(fetched, access)
    problems = [item.problem for item in fetched if item.problem]
    return dataclasses.replace(
        chosen, data_dir=folder, missing=tuple(missing), problems=tuple(problems)
    )


def _evaluate_planned(plan: Plan, ready: _Ready, runtime: Runtime, console: Console) -> Outcome:
    launch, result = Launch(FINISHED), _earlier_result(plan, ready, console)
    if result is None:
        try:
            preflight(plan, ready.source, ready.chosen, runtime, ready.judge_problems())
            waiting = f"waiting: another process is at work on this evaluation ({plan.workspace})"
            with alone(plan.workspace, plan.fingerprint, lambda: _say(console, waiting)):
                plan = ready.plan_again(plan)
                result = _earlier_result(plan, ready, console)
                if result is None:
                    launch = _launch(plan, runtime, console)
                    result = collect(plan, launch)
        except LaunchError as exc:
            _print_not_started(plan, exc, console)
            raise
    pointers, recorded = _record(plan, result)
    write_reports(plan, result, pointers)
    print_report(console, plan, result, pointers)
    return Outcome(plan, result, pointers, _exit_code(launch, result) or recorded)


def _earlier_result(plan: Plan, ready: _Ready, console: Console) -> Result | None:
    """The complete result of an earlier evaluation of this fingerprint, if it may be reused."""
    found = ready.found(plan)
    if found is None or not found.is_complete:
        return None
    _say(console, f"reusing {found.run_dir}: same fingerprint")
    # Flagged by what this command says, whatever the earlier one said.
    return write_summary(plan.files, read_result(plan.files.summary), plan.flag_above)


def _launch(plan: Plan, runtime: Runtime, console: Console) -> Launch:
    with claimed(plan.run_dir):
        write_plan(plan)
        with live_progress(plan, console) as on_line:
            try:
                launch = runtime.launch(plan, on_line)
            except KeyboardInterrupt:
                launch = Launch(INTERRUPTED, message="interrupted; the same command goes on")
        identity = {"ending": launch.ending, "seconds": f"{launch.seconds:.3f}", **launch.identity}
        write_atomically(plan.files.launch, json.dumps(identity, indent=1))
    return launch


def _record(plan: Plan, result: Result) -> tuple[Pointers, int]:
    if plan.tracking.kind == "none":
        cure = f"python -m ftbench.record {plan.run_dir}"
        return Pointers(notes=(f"Not recorded (tracking=none). Record it later with: {cure}",)), 0
    try:
        recorded = tracking.record(plan, result)
    except TrackingError as exc:
        return Pointers(notes=(str(exc),)), exc.exit_code
    pointers = Pointers(
        run_url=recorded.run_url,
        view_url=recorded.view_url,
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


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _print_not_started(plan: Plan, error: LaunchError, console: Console) -> None:
    kind = "preflight" if isinstance(error, PreflightError) else "launch"
    message = error.problems[0].happened if len(error.problems) == 1 else error.title
    result = failed_result(plan, Reason(kind, message))
    _say(console, feedback(result))


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
