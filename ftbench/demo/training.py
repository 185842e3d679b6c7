"""Trains the demo's models under an MLflow training run, as a trainer with MLflow would.

The training itself (``train.py``) runs in the evaluation environment, which has torch and peft; its
log lines become the training run's metrics here.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbench.environment import Environment
from ftbench.errors import LaunchError, Problem
from ftbench.logs import root_cause
from ftbench.process import run_process
from ftbench.schema import write_atomically
from ftbench.tracking.environment import mlflow_environment
from ftbench.tracking.store import experiment_named, open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "ftbench-demo"

SCRIPT = Path(__file__).with_name("train.py")
"""The training program, which runs in the evaluation environment."""

_MARKER = "trained.json"

_METRICS = ("loss", "loss_choice", "loss_story", "learning_rate")


@dataclass(frozen=True)
class Trained:
    """The demo's models.

    Attributes:
        run_id: The MLflow run that trained the adapter.
    """

    base: Path
    adapter: Path
    run_id: str


def ensure_trained(
    examples: Path,
    folder: Path,
    tracking_uri: str,
    environment: Environment,
    environ: Mapping[str, str],
    on_line: Callable[[str], None],
) -> Trained:
    """Gives the models, training them when these examples were not trained on before.

    Args:
        examples: Folder with ``base.jsonl`` and ``adapter.jsonl``.
        folder: Receives one folder per training.
        tracking_uri: A sqlite URI.
        environment: Has torch and peft.
        environ: Variables of the training process.
        on_line: Called with a line per step of the training.

    Raises:
        LaunchError: The training failed; its log is named, and its run is FAILED.

    Side effects: creates a training run and its experiment; fills ``folder``.
    """
    target = folder / _key(examples, environment)
    marker = target / _MARKER
    with mlflow_environment(tracking_uri, request_timeout_s=30, retries=2):
        client = open_store(tracking_uri)
        run_id = json.loads(marker.read_text("utf-8"))["run_id"] if marker.is_file() else ""
        if not run_id or not _is_there(client, run_id):
            shutil.rmtree(target, ignore_errors=True)
            run_id = _train(examples, target, client, tracking_uri, environment, environ, on_line)
            write_atomically(marker, json.dumps({"run_id": run_id}))
    return Trained(target / "tiny-qwen2", target / "tiny-qwen2-lora", run_id)


def _key(examples: Path, environment: Environment) -> str:
    digest = hashlib.sha256(json.dumps(environment.identity, sort_keys=True).encode())
    for path in (SCRIPT, examples / "base.jsonl", examples / "adapter.jsonl"):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _is_there(client: MlflowClient, run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException:
        return False


def _train(
    examples: Path,
    target: Path,
    client: MlflowClient,
    tracking_uri: str,
    environment: Environment,
    environ: Mapping[str, str],
    on_line: Callable[[str], None],
) -> str:
    log = target.with_name(f"{target.name}.log")
    log.unlink(missing_ok=True)
    experiment_id = experiment_named(client, tracking_uri, EXPERIMENT)
    run_id = str(client.create_run(experiment_id, run_name="train demo adapter").info.run_id)
    status = "FAILED"
    try:
        ended = run_process(
            [str(environment.python), str(SCRIPT), str(examples), str(target)],
            env=environ,
            cwd=log.parent,
            log=log,
            on_line=lambda line: _log_line(client, run_id, line, on_line),
        )
        if ended.exit_code:
            cause = root_cause(log) or f"exit code {ended.exit_code}"
            raise LaunchError(Problem("training the demo's models", cause, log=str(log)))
        status = "FINISHED"
    finally:
        client.set_terminated(run_id, status)
    return run_id


def _log_line(client: MlflowClient, run_id: str, line: str, on_line: Callable[[str], None]) -> None:
    from mlflow.entities import Metric, Param

    values = _json_object(line)
    if "params" in values:
        params = [Param(key, str(value)) for key, value in values["params"].items()]
        client.log_batch(run_id, params=params)
    elif "step" in values:
        on_line("  {stage}: step {step} of {steps}, loss {loss:.3f}".format(**values))
        if values["stage"] == "adapter":
            now_ms = int(time.time() * 1000)
            metrics = [
                Metric(k, values[k], now_ms, values["step"]) for k in _METRICS if k in values
            ]
            client.log_batch(run_id, metrics=metrics)


def _json_object(line: str) -> dict[str, Any]:
    """What a log line says; libraries print other lines too."""
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
