"""Folders that a trainer leaves: which hold a model, in which order, of which step."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ftbench.checkpoint.adapter import CONFIG, WEIGHTS
from ftbench.sidecar import read_sidecar

TRAINER_STATE = "trainer_state.json"
"""Source: transformers 4 and 5, ``trainer_callback.TrainerState.save_to_json``."""

_MODEL_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")

_STEP = re.compile(r"(?:checkpoint|step|global_step)[-_]?(\d+)", re.IGNORECASE)


def holds_adapter(folder: Path) -> bool:
    """Whether a folder has a LoRA adapter: its configuration and its weights."""
    return (folder / CONFIG).is_file() and any((folder / name).is_file() for name in WEIGHTS)


def holds_model(folder: Path) -> bool:
    """Whether a folder has an adapter, or a full model with its weights."""
    if holds_adapter(folder):
        return True
    if not (folder / "config.json").is_file() or (folder / CONFIG).is_file():
        return False
    return any(next(folder.glob(pattern), None) is not None for pattern in _MODEL_WEIGHTS)


def list_checkpoints(folder: Path) -> list[Path]:
    """Folders directly below that hold a model, in natural order: checkpoint-9, checkpoint-10."""
    try:
        below = [path for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return []
    return sorted(filter(holds_model, below), key=natural_key)


def natural_key(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Sorts paths as people count: numbers by value, the rest by letter."""
    parts = re.split(r"(\d+)", str(path))
    # A number sorts before a text at the same place; split() puts texts at even positions.
    return tuple((0, int(p), "") if i % 2 else (1, 0, p) for i, p in enumerate(parts))


def global_step_of(folder: Path) -> int | None:
    """Optimiser steps behind the weights of a folder.

    Said by the note beside them, else by the trainer's own state, else by the folder's name, such
    as ``checkpoint-500``; None when nothing says it.
    """
    sidecar = read_sidecar(folder)
    if sidecar is not None and sidecar.global_step is not None:
        return sidecar.global_step
    try:
        state = json.loads((folder / TRAINER_STATE).read_text(encoding="utf-8"))
        return int(state["global_step"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    named = _STEP.fullmatch(folder.name)
    return int(named[1]) if named else None
