"""Looks at the tracker before anything expensive starts."""

from __future__ import annotations

from pathlib import Path

from ftbench.errors import Problem, TrackingError
from ftbench.plan import TrackingPlan
from ftbench.tracking.environment import mlflow_environment
from ftbench.tracking.failures import explain
from ftbench.tracking.glance import is_ready, look_up_run
from ftbench.tracking.names import sqlite_path
from ftbench.tracking.store import open_store

MAX_CHECK_S = 10
"""A check waits at most this long for one answer, whatever requests may take later."""
MAX_EXPERIMENT_NAME = 500


def check(tracking: TrackingPlan, may_create: bool = True) -> list[Problem]:
    """Says what would keep the scores from being recorded.

    Tries once: the server answers (or the database opens), the experiment can take runs, and the
    training run exists. Credentials come from MLflow's own variables.

    Args:
        tracking: Where the scores shall go.
        may_create: An sqlite database that is not there yet may be made; else it is not looked at.

    Side effects: a new sqlite database is made, when nothing is wrong.
    """
    if tracking.kind == "none":
        return []
    problems = _check_experiment_name(tracking.experiment)
    path = sqlite_path(tracking.uri)
    if path is None or path.exists():
        return problems if _is_plainly_ready(tracking) else problems + _check_store(tracking)
    if tracking.training_run_id:
        return [*problems, _no_database(tracking, path)]
    return problems + (_check_store(tracking) if may_create and not problems else [])


def training_status(tracking: TrackingPlan) -> str | None:
    """Status of the training run: RUNNING, FINISHED, FAILED, KILLED or SCHEDULED.

    Returns:
        None when no training run is named, or nothing is recorded.

    Raises:
        TrackingError: The tracker cannot be asked, or knows no such run.
    """
    if tracking.kind == "none" or not tracking.training_run_id:
        return None
    seen = look_up_run(tracking.uri, tracking.training_run_id)
    if seen is not None:
        return seen.status
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    with mlflow_environment(tracking.uri, _timeout_s(tracking), retries=0):
        try:
            run = open_store(tracking.uri).get_run(tracking.training_run_id)
        except (MlflowException, SQLAlchemyError, OSError) as exc:
            raise TrackingError(_training_problem(tracking, exc)) from exc
    return str(run.info.status)


def _check_experiment_name(name: str | None) -> list[Problem]:
    if name is None:
        return []
    tried = f"tracking.experiment={name!r}"
    if not name.strip():
        return [Problem(tried, "an experiment's name cannot be empty", "tracking.experiment=NAME")]
    if len(name) > MAX_EXPERIMENT_NAME:
        happened = f"it has {len(name)} characters, MLflow takes {MAX_EXPERIMENT_NAME}"
        return [Problem(tried[:60] + "…", happened, "choose a shorter name")]
    return []


def _is_plainly_ready(tracking: TrackingPlan) -> bool:
    run_id = tracking.training_run_id
    experiment = (tracking.experiment or "").strip()
    is_there = not run_id or look_up_run(tracking.uri, run_id) is not None
    return is_there and is_ready(tracking.uri, experiment or None)


def _check_store(tracking: TrackingPlan) -> list[Problem]:
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    with mlflow_environment(tracking.uri, _timeout_s(tracking), retries=0):
        try:
            client = open_store(tracking.uri)
        except (MlflowException, SQLAlchemyError, OSError) as exc:
            return [explain(exc, f"tracking.uri={tracking.uri}", tracking.uri)]
        problems = []
        if tracking.training_run_id:
            try:
                run = client.get_run(tracking.training_run_id)
            except (MlflowException, OSError) as exc:
                problems += [_training_problem(tracking, exc)]
            else:
                problems += _check_lifecycle(tracking, run.info.lifecycle_stage)
        if tracking.experiment and tracking.experiment.strip():
            experiment = client.get_experiment_by_name(tracking.experiment)
            if experiment is not None and experiment.lifecycle_stage != "active":
                problems += [_deleted_experiment(tracking, experiment.experiment_id)]
        return problems


def _no_database(tracking: TrackingPlan, path: Path) -> Problem:
    return Problem(
        f"tracking.training_run_id={tracking.training_run_id}",
        f"there is no database {path} to look for it in",
        "tracking.uri=URI of the tracker that holds the training run, or leave the option out",
    )


def _check_lifecycle(tracking: TrackingPlan, stage: str) -> list[Problem]:
    if stage == "active":
        return []
    return [
        Problem(
            f"tracking.training_run_id={tracking.training_run_id}",
            "that training run is deleted",
            f"python -m mlflow runs restore --run-id {tracking.training_run_id}, or name another",
        )
    ]


def _deleted_experiment(tracking: TrackingPlan, experiment_id: str) -> Problem:
    return Problem(
        f"tracking.experiment={tracking.experiment}",
        "that experiment is deleted",
        f"python -m mlflow experiments restore --experiment-id {experiment_id}, "
        "or choose another name",
    )


def _training_problem(tracking: TrackingPlan, exc: Exception) -> Problem:
    tried = f"tracking.training_run_id={tracking.training_run_id}"
    if "not found" in str(exc) or "Invalid run ID" in str(exc):
        return Problem(
            tried,
            f"{tracking.uri} has no such run",
            "copy the run id from the training run's page, or leave the option out",
        )
    return explain(exc, tried, tracking.uri)


def _timeout_s(tracking: TrackingPlan) -> int:
    return max(1, min(tracking.request_timeout_s, MAX_CHECK_S))
