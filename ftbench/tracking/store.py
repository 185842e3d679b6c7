"""Finding or making MLflow's objects: experiment, benchmark run, LoggedModel. Never the fluent API.

Each is found by a tag or name of ours before it is made, so that recording twice, or going on after
a crash, meets what is there. Callers hold ``mlflow_environment``.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from ftbench.plan import TrackingPlan
from ftbench.tracking.contents import TrainingRun
from ftbench.tracking.names import sqlite_path

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

DEFAULT_EXPERIMENT = "ftbench"
EVAL_KEY = "ftbench.eval_key"
FINGERPRINT = "ftbench.fingerprint"


def open_store(uri: str) -> MlflowClient:
    """Connects to the tracking store; a new sqlite database gets its tables.

    Side effects: creates the sqlite file and its folder.
    """
    from mlflow import MlflowClient

    path = sqlite_path(uri)
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as exc:
            raise NotADirectoryError(errno.ENOTDIR, "Not a folder", exc.filename) from exc
    # Of 16 processes that opened a new sqlite database at once, 16 failed and it stayed broken
    # (mlflow 3.17 migrates without a lock of its own, in the client's constructor).
    with creation_lock(uri) if path is not None else nullcontext():
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
    return client


@contextmanager
def creation_lock(uri: str) -> Iterator[None]:
    """Lets one process at a time look for something in a store and make it.

    For a server this holds among the processes of one user on one machine, as those of a sweep;
    elsewhere each evaluation is recorded under the lock of its own folder.
    """
    path = sqlite_path(uri)
    if path is None:
        name = f"ftbench-{os.getuid()}-{hashlib.sha256(uri.encode()).hexdigest()[:16]}.lock"
        lock = Path(tempfile.gettempdir()) / name
    else:
        lock = path.with_name(f".{path.name}.ftbench.lock")
    with FileLock(lock, timeout=300):
        yield


def experiment_id_for(
    client: MlflowClient, tracking: TrackingPlan, training: TrainingRun | None
) -> str:
    """The experiment to record into; it is made when there is none of that name.

    The configured one, else the training run's, else ``ftbench``.
    """
    if tracking.experiment is None and training is not None:
        return training.experiment_id
    return experiment_named(client, tracking.uri, tracking.experiment or DEFAULT_EXPERIMENT)


def experiment_named(client: MlflowClient, uri: str, name: str) -> str:
    """Id of the experiment of a name, which is made when there is none."""
    from mlflow.exceptions import MlflowException

    with creation_lock(uri):
        found = client.get_experiment_by_name(name)
        if found is not None and found.lifecycle_stage == "active":
            return str(found.experiment_id)
        try:
            return str(client.create_experiment(name, artifact_location=_location(uri, name)))
        except MlflowException:
            # Another process of another machine may have made it in between.
            found = client.get_experiment_by_name(name)
            if found is None or found.lifecycle_stage != "active":
                raise
            return str(found.experiment_id)


def _location(uri: str, experiment: str) -> str | None:
    """Where a sqlite store keeps artifacts: beside the database, not in the current folder."""
    path = sqlite_path(uri)
    if path is None:
        return None
    folder = re.sub(r"[^\w.-]", "_", experiment)[:80].lstrip(".") or "experiment"
    return (path.parent / "mlruns" / folder).as_uri()


def find_or_create_run(
    client: MlflowClient,
    experiment_id: str,
    key: str,
    name: str,
    started_ms: int,
    tags: dict[str, str],
) -> Run:
    """The benchmark run of an evaluation. The caller holds ``creation_lock``.

    Args:
        client: Where.
        experiment_id: Where to look, and to make it.
        key: ``names.eval_key`` of the evaluation.
        name: Its name, if it is made.
        started_ms: Start of the evaluation, in milliseconds since the epoch.
        tags: Its tags, if it is made; EVAL_KEY is added.
    """
    found = client.search_runs(
        [experiment_id],
        f"tags.`{EVAL_KEY}` = '{key}'",
        order_by=["attributes.start_time ASC"],
        max_results=1,
    )
    if found:
        return found[0]
    return client.create_run(
        experiment_id, start_time=started_ms, run_name=name, tags={**tags, EVAL_KEY: key}
    )


@dataclass(frozen=True)
class WantedModel:
    """A LoggedModel as it is to be found or made.

    Attributes:
        source_run_id: The training run; with the fingerprint it identifies the model.
    """

    name: str
    model_type: str
    source_run_id: str | None
    fingerprint: str
    params: dict[str, str]
    tags: dict[str, str]


def find_or_create_model(
    client: MlflowClient, experiment_id: str, wanted: WantedModel
) -> LoggedModel:
    """The LoggedModel of an adapter in a setting: what MLflow's Models page compares.

    It holds no weights. The caller holds ``creation_lock``.
    """
    found = client.search_logged_models(
        [experiment_id],
        f"tags.`{FINGERPRINT}` = '{wanted.fingerprint}'",
        max_results=50,
    )
    model = next((m for m in found if (m.source_run_id or None) == wanted.source_run_id), None)
    if model is None:
        model = client.create_logged_model(
            experiment_id,
            name=wanted.name,
            source_run_id=wanted.source_run_id,
            model_type=wanted.model_type,
            params=wanted.params,
            tags={**wanted.tags, FINGERPRINT: wanted.fingerprint},
        )
    if model.status != "READY":
        # Over HTTP, params beyond the first 100 come in further requests, which a crash cuts off.
        missing = {k: v for k, v in wanted.params.items() if k not in model.params}
        if missing:
            client.log_model_params(model.model_id, missing)
        model = client.finalize_logged_model(model.model_id, "READY")
    return model


def ui_root(uri: str) -> str:
    """Where a browser finds MLflow's pages; for a database, once ``ui_command`` runs."""
    return uri.rstrip("/") if uri.startswith(("http://", "https://")) else "http://127.0.0.1:5000"


def ui_command(uri: str) -> str:
    """The command that shows a database's pages; empty where a server already does."""
    if uri.startswith(("http://", "https://")):
        return ""
    return shlex.join([sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri])
