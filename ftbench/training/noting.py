"""The note beside trained weights: the training's own where it wrote one, else ours."""

from __future__ import annotations

import json
import time
from pathlib import Path

from ftbench.checkpoint import global_step_of
from ftbench.checkpoint.folders import TRAINER_STATE
from ftbench.plan import TrackingPlan
from ftbench.sidecar import SIDECAR, Sidecar, read_sidecar, write_sidecar
from ftbench.tracking import Settled
from ftbench.training.job import Training

_CLOCKS_DIFFER_S = 1.0
"""A file's time may be behind ours by this much."""


def sidecar_since(folder: Path, started: float) -> Sidecar | None:
    """The note that this training itself, or a callback in it, wrote.

    A note that was copied with the weights of an earlier training says when it was written.
    """
    sidecar = read_sidecar(folder)
    is_new = sidecar is not None and sidecar.written_at >= started - _CLOCKS_DIFFER_S
    return sidecar if is_new else None


def note_beside(
    training: Training, where: TrackingPlan, settled: Settled | None, started: float
) -> None:
    """Writes the note beside the weights, where none of this training lies there.

    Args:
        training: What was run.
        where: The tracker.
        settled: The training run; None with tracking=none.
        started: Seconds since the epoch.
    """
    folder = training.output
    sidecar = sidecar_since(folder, started)
    run_id = settled.run_id if settled else ""
    if sidecar is not None and (sidecar.run_id == run_id or not settled):
        return
    # An older note, and an older state of a trainer, tell of other weights.
    (folder / SIDECAR).unlink(missing_ok=True)
    state = folder / TRAINER_STATE
    is_new = state.is_file() and state.stat().st_mtime >= started - _CLOCKS_DIFFER_S
    step = global_step_of(folder) if is_new else None
    write_sidecar(
        folder,
        Sidecar(
            run_id=run_id,
            tracking_uri=where.uri if settled else "",
            experiment_id=settled.experiment_id if settled else "",
            global_step=step if sidecar is None else sidecar.global_step,
            base_model=_base_of(training),
            written_at=time.time(),
        ),
    )


def _base_of(training: Training) -> str:
    try:
        config = json.loads((training.output / "adapter_config.json").read_text("utf-8"))
        return str(config.get("base_model_name_or_path") or "")
    except (OSError, ValueError, AttributeError):
        return ""
