"""Checkpoints that a trainer will delete (``save_total_limit``), kept until they are evaluated.

    OUTPUT_DIR/_ftbench/kept/checkpoint-500/     hard links to the adapter's files, no copies

``Trainer.push_to_hub`` leaves out what begins with ``_`` (transformers 5.24, ``trainer.py``). Only
adapters are kept: full models would hold disk space that their user meant to free.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ftbench.checkpoint.folders import list_checkpoints

OWN_FOLDER = "_ftbench"
"""Folder below a trainer's output folder for what ftbench leaves there."""

_NOT_KEPT = ("*.pt", "*.pth", "*.bin.index.json", "training_args.bin")
"""States of optimiser, schedule and random generators: twice an adapter's size, for training on."""


def keep(checkpoint: Path) -> Path:
    """Keeps the files that an evaluation needs, even when the trainer deletes the folder.

    Args:
        checkpoint: Such as ``OUTPUT_DIR/checkpoint-500``, with an adapter in it.

    Returns:
        The folder that stays until ``release``.

    Side effects: writes below ``OUTPUT_DIR/_ftbench``; where the file system has no hard links,
        the files are copied.
    """
    target = kept_folder(checkpoint.parent) / checkpoint.name
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for path in checkpoint.iterdir():
        if path.is_file() and not any(path.match(pattern) for pattern in _NOT_KEPT):
            _link(path, partial / path.name)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    return target


def kept_folder(output_dir: Path) -> Path:
    """Where the kept checkpoints of a trainer's output folder lie."""
    return output_dir / OWN_FOLDER / "kept"


def origin(folder: Path) -> Path:
    """The checkpoint that a kept one stands for, there or not; any other folder is its own."""
    output_dir = folder.parent.parent.parent
    return output_dir / folder.name if folder.parent == kept_folder(output_dir) else folder


def list_kept(output_dir: Path) -> list[Path]:
    """The kept checkpoints of a trainer's output folder, in natural order."""
    return list_checkpoints(kept_folder(output_dir))


def release(kept: Path) -> None:
    """Lets go of a checkpoint that was kept; any other folder stays as it is."""
    if origin(kept) != kept:
        shutil.rmtree(kept, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
