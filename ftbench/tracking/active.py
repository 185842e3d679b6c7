"""The MLflow run that is active in a trainer's own process."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ftbench.tracking.environment import split_credentials
from ftbench.tracking.trained import OUTPUT_TAG
from ftbench.uris import sqlite_path


@dataclass(frozen=True)
class ActiveRun:
    """Where a training in this process is recorded; every text is empty where that is unknown.

    Attributes:
        tracking_uri: Absolute, without credentials.
        user, password: Those that stood in the URI, else None.
    """

    run_id: str = ""
    experiment_id: str = ""
    tracking_uri: str = ""
    user: str | None = None
    password: str | None = None


def active_run(environ: Mapping[str, str], cwd: Path) -> ActiveRun:
    """Finds the run that this process trains under.

    Args:
        environ: Environment variables of this process: MLFLOW_RUN_ID names the run where MLflow's
            own client has none, MLFLOW_TRACKING_URI the tracker where it was never imported.
        cwd: Folder that relative tracking URIs start from.
    """
    run_id, experiment_id = environ.get("MLFLOW_RUN_ID", ""), ""
    uri = environ.get("MLFLOW_TRACKING_URI", "")
    # A trainer that records has imported it; for any other, the import would only cost time.
    if "mlflow" in sys.modules:
        import mlflow

        uri = mlflow.get_tracking_uri()
        run = mlflow.active_run()
        if run is not None:
            run_id, experiment_id = run.info.run_id, str(run.info.experiment_id)
    clean, user, password = split_credentials(uri)
    return ActiveRun(run_id, experiment_id, _absolute(clean, cwd), user, password)


def note_output_dir(run: ActiveRun, output_dir: Path) -> None:
    """Notes on a training run where its model will lie, so that it is found by the run alone.

    Trainers record the folder as it was given to them, which may be relative. Needs MLflow in this
    process already; without it, or without a run, nothing is noted.
    """
    if not run.run_id or "mlflow" not in sys.modules:
        return
    from mlflow import MlflowClient

    MlflowClient().set_tag(run.run_id, OUTPUT_TAG, str(output_dir))


def _absolute(uri: str, cwd: Path) -> str:
    """The URI as another process may use it, in whatever folder."""
    is_folder = bool(uri) and ":" not in uri and uri != "databricks"
    return str((cwd / uri).absolute()) if is_folder else sqlite_path(uri, cwd)
