"""Runs a training to its end and judges it: exit code, and weights that were written meanwhile."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

from rich.console import Console

from ftbench import tracking
from ftbench.collect import failed_result
from ftbench.config import Config, TrainingConf
from ftbench.errors import LaunchError, PreflightError, Problem, TrackingError, TrainingError
from ftbench.host import Host
from ftbench.plan import Plan, TrackingPlan
from ftbench.printing import say
from ftbench.process import Ended, run_process, stop_on_signals
from ftbench.report import feedback, write_reports
from ftbench.runtimes.gpus import lent_plan
from ftbench.schema import Reason
from ftbench.tracking import FAILED, FINISHED, KILLED, OpenRun, Settled, TrainingEnd
from ftbench.training.job import Training
from ftbench.training.judging import Before, judge, look_before
from ftbench.training.leftovers import MARK, end_leftovers
from ftbench.training.noting import note_beside, sidecar_since
from ftbench.training_command import blot_out, without_training

_NUM_LAST_LINES = 15

_JUDGE_KEY = "OC_JUDGE_API_KEY"
"""The one secret that a training has no use for."""

_OTHER_EXPERIMENT = "does not match environment run ID"
"""MLflow 3.17, ``start_run``: the trainer had called ``set_experiment`` with another name."""


@dataclass(frozen=True)
class Trained:
    """A training that ended well.

    Attributes:
        run_id: The MLflow run that it logged into; empty with tracking=none.
        tracking_uri: Tracker that holds it; empty with tracking=none.
    """

    run_id: str
    tracking_uri: str


def train(
    training: Training,
    plan: Plan,
    host: Host,
    on_line: Callable[[str], None],
    environ: Mapping[str, str] | None = None,
) -> Trained:
    """Runs the command to its end and says where its training run is.

    Args:
        training: What is run.
        plan: The evaluation that is to follow: its tracker, the training run where the user names
            one, and the pool of GPUs where there is one, of which the training holds as many.
        host: The surroundings.
        on_line: Called with each line that it prints, without secrets.
        environ: Environment variables of the caller; None for this process's own.

    Raises:
        PreflightError: The tracker does not take the training run.
        LaunchError: Another process trains into the same folder, or there are too few GPUs.
        TrainingError: It could not be started, failed, took too long, or wrote no weights.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after it was stopped.

    Side effects: whatever the command does. Writes its log; leaves no process of it. Settles the
        training run, whatever happens, and writes the note beside the weights.
    """
    environ, where = os.environ if environ is None else environ, plan.tracking
    with (
        sole_trainer(training, host) as folder,
        stop_on_signals(),
        _gpus_of_pool(plan, environ, on_line) as (gpus, handles),
    ):
        run = _open_run(training, where, environ)
        before = look_before(training)
        settle = partial(_settle, training, where, run, before, on_line)
        try:
            env = _environment(where, run, environ) | gpus
            ended = _run(training, env, on_line, _cleaner(host, environ), (folder, *handles))
            judge(training, host, ended, before)
        except BaseException as exc:
            settle(_bad_end(training, exc))
            raise
        settled = settle(TrainingEnd(FINISHED, 0, "", training.log))
        try:
            note_beside(training, where, settled, before.started)
        except OSError as exc:
            on_line(f"note: {exc.filename} cannot be written: {exc.strerror}")
    return Trained(settled.run_id, where.uri) if settled else Trained("", "")


def _bad_end(training: Training, error: BaseException) -> TrainingEnd:
    if isinstance(error, KeyboardInterrupt):
        return TrainingEnd(KILLED, None, "it was interrupted", training.log)
    if isinstance(error, TrainingError):
        happened = error.problems[0].happened
        return TrainingEnd(FAILED, error.command_exit_code, happened, training.log)
    return TrainingEnd(FAILED, None, f"{type(error).__name__}: {error}", training.log)


def go_on_with(trained: Trained, config: Config, host: Host) -> tuple[Config, Host]:
    """The configuration and the command that evaluate what was trained, and train nothing."""
    conf = config.tracking
    if trained.run_id:
        conf = dataclasses.replace(conf, uri=trained.tracking_uri, training_run_id=trained.run_id)
    config = dataclasses.replace(config, tracking=conf, training=TrainingConf())
    return config, dataclasses.replace(host, command=without_training(host.command))


def report_failure(
    training: Training, plan: Plan, error: TrainingError | KeyboardInterrupt, console: Console
) -> None:
    """Says that nothing was evaluated, in the words of every evaluation that failed.

    Args:
        training: What was run.
        plan: The evaluation that was to follow.
        error: What ``train`` raised.
        console: Where to print.

    Side effects: writes ``report.md`` and ``feedback.json`` beside the training's log.
    """
    happened = "it was interrupted"
    if isinstance(error, TrainingError):
        happened = error.problems[0].happened
    plan = dataclasses.replace(
        plan, run_dir=training.folder, model_abbr=training.output.name, fingerprint=""
    )
    reason = Reason("training", f"training failed: {happened}", training.log.name)
    result = failed_result(plan, reason)
    write_reports(plan, result)
    for line in (feedback(result), f"Report: {plan.files.report}", f"Log: {training.log}"):
        say(console, line)


@contextmanager
def sole_trainer(training: Training, host: Host) -> Iterator[int]:
    """Holds the folder that a training writes into, so that no other one writes into it.

    Yields:
        An open file; a process that inherits it holds the folder while it lives, so that a training
        which outlives its ftbench (``kill -9``) is not joined by another.

    Raises:
        LaunchError: Another training holds it, or the training's own folder cannot be written.

    Side effects: creates the training's own folder.
    """
    name = sha256(str(training.output.resolve()).encode()).hexdigest()[:16]
    path = host.cache_dir / "locks" / f"training-{name}.lock"
    try:
        training.folder.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as exc:
        happened = f"it cannot be written: {exc.strerror or exc}"
        raise LaunchError(Problem(f"folder {exc.filename}", happened, "workspace=DIR")) from exc
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(handle)
        tried, happened = f"training into {training.output}", "another training does so right now"
        cure = f"wait for it, or a folder for each: {training.key}=DIR"
        raise LaunchError(Problem(tried, happened, cure)) from exc
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _gpus_of_pool(
    plan: Plan, environ: Mapping[str, str], on_line: Callable[[str], None]
) -> Iterator[tuple[dict[str, str], Sequence[int]]]:
    """Holds GPUs of ``runtime.gpu_pool``: variables that name them, and what keeps the lease.

    Without a pool a training takes what it finds, as it does without ftbench.
    """
    if not plan.gpu_pool:
        yield {}, ()
        return
    with lent_plan(plan, environ, on_line) as (held, lease):
        names = ",".join(held.gpu_ids)
        variables = {"CUDA_VISIBLE_DEVICES": names, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        yield variables, lease.handles


def _open_run(
    training: Training, where: TrackingPlan, environ: Mapping[str, str]
) -> OpenRun | None:
    if where.kind == "none":
        return None
    name = f"train {training.output.name}"
    try:
        return tracking.open_training_run(where, name, training.output, training.shown, environ)
    except TrackingError as exc:
        raise PreflightError(exc.problems) from exc


def _environment(
    where: TrackingPlan, run: OpenRun | None, environ: Mapping[str, str]
) -> dict[str, str]:
    env = {name: value for name, value in environ.items() if name != _JUDGE_KEY}
    env.setdefault("PYTHONUNBUFFERED", "1")
    return env | (run.variables(where.uri, environ) if run else {})


def _cleaner(host: Host, environ: Mapping[str, str]) -> Callable[[bytes], bytes]:
    names = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", _JUDGE_KEY)
    secrets = {*host.secrets.values(), *(environ[name] for name in names if environ.get(name))}

    def clean(piece: bytes) -> bytes:
        # Every byte has a character of its own in latin-1, whatever the encoding was.
        return blot_out(piece.decode("latin-1"), hidden).encode("latin-1")

    hidden = {secret.encode().decode("latin-1") for secret in secrets}
    return clean


def _run(
    training: Training,
    env: dict[str, str],
    on_line: Callable[[str], None],
    clean: Callable[[bytes], bytes],
    handles: Sequence[int],
) -> Ended:
    mark = uuid.uuid4().hex
    try:
        ended = run_process(
            training.arguments,
            env=env | {MARK: mark},
            cwd=training.cwd,
            log=training.log,
            on_line=on_line,
            timeout_s=training.timeout_s,
            grace_s=training.grace_s,
            inherited=handles,
            passes_on=True,
            clean=clean,
        )
    except OSError as exc:
        problem = Problem(training.shown, f"cannot be run: {exc.strerror or exc}")
        raise TrainingError(problem) from exc
    except KeyboardInterrupt:
        end_leftovers(mark)
        raise
    if ended.exit_code or ended.timed_out:
        end_leftovers(mark)
    return ended


def _settle(
    training: Training,
    where: TrackingPlan,
    run: OpenRun | None,
    before: Before,
    on_line: Callable[[str], None],
    end: TrainingEnd,
) -> Settled | None:
    if run is None:
        return None
    sidecar = sidecar_since(training.output, before.started)
    if sidecar is not None and sidecar.tracking_uri in ("", where.uri):
        end = dataclasses.replace(end, logged_into=sidecar.run_id)
    settled = tracking.settle_training_run(where, run, end)
    for note in settled.notes:
        on_line(f"note: {note}")
    return settled
