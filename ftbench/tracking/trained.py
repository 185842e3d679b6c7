"""Training runs of MLflow, and where the adapter lies that each one wrote.

An adapter is looked for in the run's output folder, where that is on this machine, then among its
artifacts. A folder that another training wrote into since is not taken for this run's.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ftbench.checkpoint import holds_model, list_checkpoints, natural_key
from ftbench.errors import Problem, TrackingError
from ftbench.sidecar import read_sidecar
from ftbench.tracking.asking import asking
from ftbench.tracking.environment import redact
from ftbench.tracking.names import sqlite_path
from ftbench.tracking.store import open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import FileInfo, Run

OUTPUT_TAG = "ftbench.output_dir"
"""Absolute folder that a training run writes its model into; ftbench's triggers set it."""

_OUTPUT_PARAMS = ("output_dir", "training_args.output_dir")
"""Params in which trainers say it. Source: transformers 4 and 5, ``MLflowCallback.setup``."""

_OWN_KINDS = ("eval", "sweep")
_MAX_DEPTH = 3
"""``model/peft/adapter_config.json`` is as deep as anybody logs one."""


@dataclass(frozen=True)
class TrainedRun:
    """A training run and its adapter, or full model.

    Attributes:
        status: MLflow's own word, such as FINISHED.
        ended_ms: Milliseconds since the epoch; 0 while it runs.
        output: Folder that it writes its model and checkpoints into; None when it is not here.
        folder: The folder that holds the weights: ``output``, or the last checkpoint in it.
        artifact: URI of the artifact folder that holds them, where there is no folder.
        why_not: What keeps the run from being evaluated; empty when there are weights.
    """

    run_id: str
    name: str
    experiment_id: str
    status: str
    ended_ms: int = 0
    output: Path | None = None
    folder: Path | None = None
    artifact: str = ""
    why_not: str = ""


def get_trained(uri: str, run_id: str) -> TrainedRun:
    """One training run.

    Args:
        uri: Tracking URI without credentials.
        run_id: MLflow's id.

    Raises:
        TrackingError: The tracker cannot be asked, or knows no such run.
    """
    with _asking(uri, f"runs:/{run_id}"):
        client = open_store(uri)
        return _trained(client, client.get_run(run_id))


def is_active(uri: str, run_id: str) -> bool:
    """Whether the tracker has this run, and it is not deleted.

    Raises:
        TrackingError: The tracker cannot be asked.
    """
    from mlflow.exceptions import MlflowException

    path = sqlite_path(uri)
    if path is not None and not path.exists():
        return False
    with _asking(uri, f"runs:/{run_id}"):
        try:
            run = open_store(uri).get_run(run_id)
        except MlflowException as exc:
            if exc.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return False
            raise
        return bool(run.info.lifecycle_stage == "active")


def find_trained(
    uri: str, experiment: str, where: str = "", order_by: str = ""
) -> list[TrainedRun]:
    """The finished training runs of an experiment.

    Args:
        uri: Tracking URI without credentials.
        experiment: Its name or id.
        where: MLflow's filter, such as ``metrics.loss < 1``; empty: all.
        order_by: MLflow's order, such as ``metrics.loss ASC``; empty: what ended first comes first.

    Raises:
        TrackingError: The tracker cannot be asked, there is no such experiment, or it does not
            understand the filter.
    """
    with _asking(uri, f"searching {experiment!r} where {where!r}" if where else experiment):
        client = open_store(uri)
        found = client.get_experiment_by_name(experiment)
        if found is None and experiment.isdigit():
            found = client.get_experiment(experiment)
        if found is None:
            raise TrackingError(_no_experiment(client, uri, experiment))
        finished = "attributes.status = 'FINISHED'"
        runs: list[Run] = []
        token: str | None = None
        while True:
            page = client.search_runs(
                [found.experiment_id],
                f"{where} AND {finished}" if where else finished,
                order_by=[order_by or "attributes.end_time ASC"],
                page_token=token,
            )
            runs += [run for run in page if run.data.tags.get("ftbench.kind") not in _OWN_KINDS]
            token = page.token
            if not token:
                return [_trained(client, run) for run in runs]


def bring(uri: str, artifact: str, target: Path) -> Path:
    """Downloads an adapter that is an artifact, once.

    Args:
        uri: Tracking URI without credentials.
        artifact: ``TrainedRun.artifact``.
        target: Folder to make; there already, it is whole and taken as it is.

    Raises:
        TrackingError: It cannot be downloaded.

    Side effects: writes the folder.
    """
    if target.is_dir():
        return target
    with _asking(uri, f"downloading {artifact}"):
        import mlflow

        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".bring-") as folder:
            got = mlflow.artifacts.download_artifacts(
                artifact_uri=artifact, dst_path=folder, tracking_uri=uri
            )
            # Another process may have brought it meanwhile; a whole folder is never overwritten.
            with contextlib.suppress(OSError):
                Path(got).rename(target)
    return target


def _trained(client: MlflowClient, run: Run) -> TrainedRun:
    output, why_not = _output_of(run)
    folder = None
    if output is not None:
        folder = output if holds_model(output) else next(reversed(list_checkpoints(output)), None)
        why_not = "" if folder else f"{output} holds no adapter and no checkpoint with one"
    artifact = "" if folder else _artifact_of(client, run)
    return TrainedRun(
        run_id=run.info.run_id,
        name=run.info.run_name or run.info.run_id,
        experiment_id=str(run.info.experiment_id),
        status=run.info.status,
        ended_ms=run.info.end_time or 0,
        output=output,
        folder=folder,
        artifact=artifact,
        why_not="" if folder or artifact else why_not,
    )


def _output_of(run: Run) -> tuple[Path | None, str]:
    """The run's output folder on this machine, or why it cannot be taken."""
    named = run.data.tags.get(OUTPUT_TAG) or next(
        (run.data.params[name] for name in _OUTPUT_PARAMS if run.data.params.get(name)), ""
    )
    if not named:
        return None, "it names no output folder and has no adapter among its artifacts"
    output = Path(named).expanduser()
    sidecar = read_sidecar(output)
    is_known = sidecar is not None and sidecar.run_id == run.info.run_id
    if not output.is_absolute() and not is_known:
        # The trainer's folder, which it starts from, is known to nobody.
        return None, f"its output folder {named} is relative, and nothing here is known as its own"
    if not output.is_dir():
        return None, f"its output folder {named} is not on this machine"
    if sidecar is not None and sidecar.run_id and not is_known:
        return None, f"the run {sidecar.run_id} wrote into {named} since"
    return output.absolute(), ""


def _artifact_of(client: MlflowClient, run: Run) -> str:
    """URI of the folder among the run's artifacts and models that holds weights, or empty."""
    from mlflow.exceptions import MlflowException

    run_id = run.info.run_id
    found = _weights_below(lambda path: client.list_artifacts(run_id, path or None))
    if found is not None:
        return f"runs:/{run_id}/{found}".rstrip("/")
    for output in run.outputs.model_outputs if run.outputs else []:
        model_id = output.model_id
        try:
            below = _weights_below(partial(client.list_logged_model_artifacts, model_id))
        except (MlflowException, OSError):
            continue  # a model that holds no files, such as the one of a benchmark run
        if below is not None:
            return f"models:/{model_id}/{below}".rstrip("/")
    return ""


def _weights_below(listed: Callable[[str], list[FileInfo]]) -> str | None:
    """The last folder, in natural order, with an adapter's configuration; None without one."""
    found: list[str] = []

    def walk(path: str, depth: int) -> None:
        entries = listed(path)
        if any(Path(entry.path).name == "adapter_config.json" for entry in entries):
            found.append(path)
        elif depth < _MAX_DEPTH:
            for entry in entries:
                if entry.is_dir:
                    walk(entry.path, depth + 1)

    walk("", 0)
    return max(found, key=lambda path: natural_key(Path(path)), default=None)


def _no_experiment(client: MlflowClient, uri: str, name: str) -> Problem:
    names = [e.name for e in client.search_experiments(max_results=20)]
    happened = f"{redact(uri)} has no experiment of this name"
    return Problem(f"experiment {name!r}", happened, f"one of {', '.join(names)}")


@contextmanager
def _asking(uri: str, tried: str) -> Iterator[None]:
    path = sqlite_path(uri)
    if path is not None and not path.exists():
        happened = f"there is no database {path}"
        raise TrackingError(
            Problem(tried, happened, "tracking.uri=URI of the tracker with the run")
        )
    with asking(uri, tried):
        yield
