"""The MLflow run of a training that ftbench starts: opened before it, settled after it.

The trainer logs into it by MLflow's own variables, through transformers' MLflowCallback or a plain
``mlflow.start_run()``. How the training ended stands there in every case, also when the trainer was
killed and could say nothing.
"""

from __future__ import annotations

import html
import re
import tempfile
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ftbench.errors import TrackingError
from ftbench.plan import TrackingPlan
from ftbench.tracking.asking import asking
from ftbench.tracking.environment import (
    PASSWORD,
    USERNAME,
    redact,
    split_credentials,
)
from ftbench.tracking.names import MAX_TAG, cut
from ftbench.tracking.note import NOTE_TAG
from ftbench.tracking.shared_writes import set_tags
from ftbench.tracking.store import DEFAULT_EXPERIMENT, experiment_named, open_store
from ftbench.tracking.trained import OUTPUT_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FINISHED = "FINISHED"
FAILED = "FAILED"
KILLED = "KILLED"

MAX_LOG_BYTES = 20 * 2**20
"""Of a longer log the end is kept as the artifact."""

ARTIFACTS = "training"
EXIT_CODE_TAG = "ftbench.training_exit_code"
COMMAND_TAG = "ftbench.training_command"

_BEGIN = "<!-- ftbench:training:begin -->"
_END = "<!-- ftbench:training:end -->"


@dataclass(frozen=True)
class OpenRun:
    """The run that a training shall log into.

    Attributes:
        is_ours: It was made for this training; False: the user named it.
    """

    run_id: str
    experiment_id: str
    experiment: str
    is_ours: bool

    def variables(self, uri: str, environ: Mapping[str, str]) -> dict[str, str]:
        """MLflow's variables by which a trainer finds the run.

        Args:
            uri: Tracking URI without credentials.
            environ: The caller's; credentials in its MLFLOW_TRACKING_URI are handed on.
        """
        found = {
            "MLFLOW_TRACKING_URI": uri,
            "MLFLOW_EXPERIMENT_NAME": self.experiment,
            "MLFLOW_EXPERIMENT_ID": self.experiment_id,
            "MLFLOW_RUN_ID": self.run_id,
        }
        ambient, user, password = split_credentials(environ.get("MLFLOW_TRACKING_URI", ""))
        if ambient == uri:
            given = {USERNAME: user, PASSWORD: password}
            found |= {name: value for name, value in given.items() if value is not None}
        return found


@dataclass(frozen=True)
class TrainingEnd:
    """How a training ended.

    Attributes:
        status: FINISHED, FAILED or KILLED.
        exit_code: Of its command; None when it never ran, or was stopped by us.
        happened: What happened, one line; empty when it finished.
        log: What it printed, without secrets.
        logged_into: The run that it logged into by itself, where that is another one.
    """

    status: str
    exit_code: int | None
    happened: str
    log: Path
    logged_into: str = ""


@dataclass(frozen=True)
class Settled:
    """The training run afterwards.

    Attributes:
        notes: What could not be written, one sentence each.
    """

    run_id: str
    experiment_id: str
    notes: tuple[str, ...] = ()


def open_training_run(
    tracking: TrackingPlan, name: str, output: Path, command: str, environ: Mapping[str, str]
) -> OpenRun:
    """Makes the run of a training, or opens the one that is named.

    Args:
        tracking: Where; its ``training_run_id`` names a run to go on with.
        name: Of a run that is made.
        output: Absolute folder that the training writes into.
        command: The training's, without secrets.
        environ: The caller's; MLFLOW_EXPERIMENT_NAME or _ID say the experiment where
            ``tracking.experiment`` does not.

    Raises:
        TrackingError: The tracker does not take it.
    """
    tags = {
        "mlflow.source.name": "ftbench",
        "mlflow.source.type": "JOB",
        "ftbench.kind": "train",
        OUTPUT_TAG: str(output),
        COMMAND_TAG: cut(redact(command), MAX_TAG),
    }
    with _asking(tracking, "opening the training run"):
        client = open_store(tracking.uri)
        if tracking.training_run_id:
            run = client.get_run(tracking.training_run_id)
            client.update_run(run.info.run_id, status="RUNNING")
            own = {key: value for key, value in tags.items() if not key.startswith("mlflow.")}
            set_tags(client, run.info.run_id, own)
        else:
            experiment_id = _experiment_id(client, tracking, environ)
            run = client.create_run(experiment_id, run_name=name, tags=tags)
        experiment = client.get_experiment(run.info.experiment_id)
        return OpenRun(
            run_id=str(run.info.run_id),
            experiment_id=str(experiment.experiment_id),
            experiment=str(experiment.name),
            is_ours=not tracking.training_run_id,
        )


def _experiment_id(client: MlflowClient, tracking: TrackingPlan, environ: Mapping[str, str]) -> str:
    named = tracking.experiment or environ.get("MLFLOW_EXPERIMENT_NAME")
    number = environ.get("MLFLOW_EXPERIMENT_ID")
    if not named and number:
        return str(client.get_experiment(number).experiment_id)
    return experiment_named(client, tracking.uri, named or DEFAULT_EXPERIMENT)


def settle_training_run(tracking: TrackingPlan, run: OpenRun, end: TrainingEnd) -> Settled:
    """Writes onto the training run how it ended: status, exit code, note and log.

    Args:
        tracking: Where.
        run: What ``open_training_run`` gave.
        end: How the training ended.

    Returns:
        The run that the training logged into: its own where it has chosen another, which exists in
        this tracker. A run of ours that stayed empty for that is deleted.
    """
    settled = Settled(run.run_id, run.experiment_id)
    try:
        with _asking(tracking, "settling the training run"):
            client = open_store(tracking.uri)
            chosen = _own_run(client, run, end.logged_into)
            if chosen is not None:
                settled = Settled(chosen.info.run_id, str(chosen.info.experiment_id))
                _leave(client, run, end)
            _write_end(client, settled.run_id, end)
            _log_tail(client, settled.run_id, end.log)
    except TrackingError as exc:
        notes = [f"{problem.tried}: {problem.happened}" for problem in exc.problems]
        return Settled(settled.run_id, settled.experiment_id, tuple(notes))
    return settled


def _own_run(client: MlflowClient, run: OpenRun, run_id: str) -> Run | None:
    from mlflow.exceptions import MlflowException

    if not run_id or run_id == run.run_id:
        return None
    try:
        found = client.get_run(run_id)
    except MlflowException:
        return None  # a run of another tracker, which cannot be linked from this one
    return found if found.info.lifecycle_stage == "active" else None


def _leave(client: MlflowClient, run: OpenRun, end: TrainingEnd) -> None:
    """Ends the run that the training did not use."""
    data = client.get_run(run.run_id).data
    if run.is_ours and not data.metrics and not data.params:
        client.delete_run(run.run_id)
    else:
        client.set_terminated(run.run_id, end.status)


def _write_end(client: MlflowClient, run_id: str, end: TrainingEnd) -> None:
    current = client.get_run(run_id)
    if current.info.status != end.status:
        client.set_terminated(run_id, end.status, end_time=int(time.time() * 1000))
    if end.exit_code is not None:
        set_tags(client, run_id, {EXIT_CODE_TAG: str(end.exit_code)})
    note = current.data.tags.get(NOTE_TAG, "")
    wanted = end_note(note, end)
    if wanted != note:
        set_tags(client, run_id, {NOTE_TAG: wanted})


def end_note(note: str, end: TrainingEnd) -> str:
    """The training run's note with a section on its end; without one when it finished.

    Args:
        note: The note as it is, its owner's text in it, which is never cut.
        end: How the training ended.
    """
    rest = re.sub(re.escape(_BEGIN) + ".*?" + re.escape(_END) + r"\n*", "", note, flags=re.DOTALL)
    if end.status == FINISHED:
        return rest
    head = "stopped" if end.status == KILLED else "failed"
    happened = re.sub(r"([\\|\[\]*_`])", r"\\\1", html.escape(redact(end.happened), quote=False))
    section = [
        _BEGIN,
        f"**Training {head}: {cut(' '.join(happened.split()), 1000)}**",
        "",
        f"Nothing was evaluated. What it printed: artifact `{ARTIFACTS}/{end.log.name}`.",
        _END,
    ]
    text = "\n".join(section) + (f"\n\n{rest}" if rest else "")
    return text if len(text) <= MAX_TAG else note


def _log_tail(client: MlflowClient, run_id: str, log: Path) -> None:
    if not log.is_file():
        return
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - MAX_LOG_BYTES))
        text = file.read().decode("utf-8", "replace")
    with tempfile.TemporaryDirectory(prefix="ftbench-training-") as folder:
        path = Path(folder) / log.name
        path.write_text(redact(text), encoding="utf-8")
        client.log_artifact(run_id, str(path), ARTIFACTS)


def _asking(tracking: TrackingPlan, tried: str) -> AbstractContextManager[None]:
    return asking(tracking.uri, tried, request_timeout_s=tracking.request_timeout_s)
