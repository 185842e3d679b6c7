"""The note beside an adapter that says which training run wrote it, at which step.

``ftbench_training.json`` lies in the folder of an adapter or full model, and in each checkpoint.
Whoever evaluates that folder later finds the training run by it. It decides no answer, so no
fingerprint holds it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ftbench.schema import write_atomically

SIDECAR = "ftbench_training.json"


@dataclass(frozen=True)
class Sidecar:
    """Where an adapter comes from.

    Attributes:
        run_id: MLflow run that trained it; empty when none is known.
        tracking_uri: The tracker that holds that run, absolute and without credentials.
        experiment_id: Of that run.
        global_step: Optimiser steps behind these weights; None when unknown.
        base_model: Name or folder of the base, as the trainer had it.
        written_at: Seconds since the epoch.
    """

    run_id: str = ""
    tracking_uri: str = ""
    experiment_id: str = ""
    global_step: int | None = None
    base_model: str = ""
    written_at: float = 0.0


def write_sidecar(folder: Path, sidecar: Sidecar) -> Path:
    """Writes the note of a folder, which is made when it is not there; a reader never sees a half.

    Returns:
        The file.
    """
    path = folder / SIDECAR
    write_atomically(path, json.dumps(asdict(sidecar), indent=1))
    return path


def read_sidecar(folder: Path) -> Sidecar | None:
    """The note of a folder; None when there is none, or none that can be read."""
    try:
        value = json.loads((folder / SIDECAR).read_text(encoding="utf-8"))
        names = {field.name for field in fields(Sidecar)}
        known = {name: item for name, item in value.items() if name in names}
        step = known.get("global_step")
        return Sidecar(**known | {"global_step": None if step is None else int(step)})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
