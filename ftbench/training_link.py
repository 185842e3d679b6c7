"""From an adapter to the run that trained it, and from a training run to its adapter.

``model.adapter=runs:/RUN_ID`` names an adapter by its training run; an adapter with the note that
``sidecar`` describes names its training run. Either way the scores end up beside the loss.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from ftbench import tracking
from ftbench.checkpoint import global_step_of, holds_model, list_checkpoints
from ftbench.config import Config
from ftbench.errors import PreflightError, Problem, TrackingError
from ftbench.host import Host
from ftbench.sidecar import Sidecar, read_sidecar
from ftbench.tracking import TrainedRun

RUN_SCHEME = "runs:/"


@dataclass(frozen=True)
class Linked:
    """A configuration whose model is a folder, with its training run where one is known.

    Attributes:
        notes: What a reader should know, one sentence each.
    """

    config: Config
    notes: tuple[str, ...] = ()


def link_training(config: Config, host: Host) -> Linked:
    """Finds the model of a training run, or the training run of a model.

    What the configuration says itself (``tracking.training_run_id``, ``tracking.step``) stays.

    Args:
        config: A checked configuration.
        host: The surroundings.

    Raises:
        PreflightError: ``runs:/...`` leads to no model.

    Side effects: asks the tracker; an adapter that is only an artifact is downloaded into the
        cache.
    """
    for key in ("adapter", "base"):
        named = getattr(config.model, key)
        if named and named.startswith(RUN_SCHEME):
            config = _with_model_of_run(config, host, key, named)
    named = config.model.adapter or config.model.base
    folder = host.path(named) if named else None
    if folder is None or not folder.is_dir() or config.tracking.name == "none":
        return Linked(config)
    config, notes = _with_run_of_model(config, host, folder)
    if config.tracking.step is None:
        config = _with_tracking(config, step=global_step_of(folder))
    return Linked(config, notes)


def _with_model_of_run(config: Config, host: Host, key: str, named: str) -> Config:
    run_id, _, below = named.removeprefix(RUN_SCHEME).strip("/").partition("/")
    tried = f"model.{key}={named}"
    uri = host.tracking_store(config.tracking.uri)
    try:
        trained = tracking.get_trained(uri, run_id)
    except TrackingError as exc:
        problem = dataclasses.replace(exc.problems[0], tried=tried)
        raise PreflightError(problem) from exc
    folder = _folder_of(trained, below, host.cache_dir, uri, tried)
    model = dataclasses.replace(config.model)
    setattr(model, key, str(folder))
    config = dataclasses.replace(config, model=model)
    is_linked = config.tracking.training_run_id or (key == "base" and config.model.adapter)
    return config if is_linked else _with_tracking(config, training_run_id=run_id)


def _folder_of(trained: TrainedRun, below: str, cache: Path, uri: str, tried: str) -> Path:
    """The folder of a run's model, or of what the user named below its output.

    Raises:
        PreflightError: There is none.
    """
    if below and trained.output is not None:
        folder = trained.output / below
        if not holds_model(folder):
            names = [path.name for path in list_checkpoints(trained.output)] or ["none"]
            happened = f"{folder} holds no model"
            cure = f"one of its checkpoints: {', '.join(names)}"
            raise PreflightError(Problem(tried, happened, cure))
        return folder
    if trained.folder is not None and not below:
        return trained.folder
    artifact = f"{RUN_SCHEME}{trained.run_id}/{below}" if below else trained.artifact
    if not artifact:
        happened = f"no adapter of the run {trained.name} is found: {trained.why_not}"
        raise PreflightError(Problem(tried, happened, "model.adapter=DIR"))
    name = artifact.rpartition("/")[2]
    try:
        return tracking.bring(uri, artifact, cache / "adapters" / trained.run_id / name)
    except TrackingError as exc:
        raise PreflightError(dataclasses.replace(exc.problems[0], tried=tried)) from exc


def _with_run_of_model(config: Config, host: Host, folder: Path) -> tuple[Config, tuple[str, ...]]:
    sidecar = read_sidecar(folder)
    if config.tracking.training_run_id or sidecar is None or not sidecar.run_id:
        return config, ()
    if sidecar.tracking_uri and not (config.tracking.uri or host.tracking_uri):
        config = _with_tracking(config, uri=sidecar.tracking_uri)
    uri = host.tracking_store(config.tracking.uri)
    if uri != sidecar.tracking_uri:
        note = (
            f"The adapter's training run {sidecar.run_id} is in {sidecar.tracking_uri}, the scores "
            f"go to {uri}: they are not linked (tracking.uri={sidecar.tracking_uri} links them)."
        )
        return config, (note,)
    linked = _with_tracking(config, training_run_id=sidecar.run_id)
    return (linked, ()) if _is_there(sidecar, uri) else (config, (_gone(sidecar, folder),))


def _is_there(sidecar: Sidecar, uri: str) -> bool:
    """Whether the training run can still be written to; a tracker that is away is said later."""
    try:
        return tracking.is_active(uri, sidecar.run_id)
    except TrackingError:
        return True


def _gone(sidecar: Sidecar, folder: Path) -> str:
    return (
        f"{sidecar.tracking_uri} has no training run {sidecar.run_id}, which the note in {folder} "
        "names: the scores are recorded without it."
    )


def _with_tracking(config: Config, **changes: object) -> Config:
    return dataclasses.replace(
        config,
        tracking=dataclasses.replace(config.tracking, **changes),  # type: ignore[arg-type]
    )
