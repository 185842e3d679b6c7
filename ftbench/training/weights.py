"""Whether a training wrote weights: compared before and after, never guessed from an exit code."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from ftbench.checkpoint import holds_model, natural_key

_ADAPTER = ("adapter_model.safetensors", "adapter_model.bin")

_MODEL = ("*.safetensors", "pytorch_model*.bin")

_DEPTH = 3
"""``runs/2026-01-01/checkpoint-500`` is as deep as trainers write."""

_MOST_FOLDERS = 2000
"""A training may run in a home folder; this many are looked at in a moment."""

Stamps = dict[str, tuple[int, int, int, int]]


def weights_in(folder: Path, is_adapter: bool) -> Stamps:
    """The weights files of a folder with what changes when one is written.

    Args:
        folder: An adapter's or a model's; one that is not there has none.
        is_adapter: Which of the two.

    Returns:
        By file name: times of the content's and the file's last change in nanoseconds, size in
        bytes, inode. A copy that keeps the times of its source still changes the file.
    """
    patterns = _ADAPTER if is_adapter else _MODEL
    stamps = {}
    for path in (path for pattern in patterns for path in folder.glob(pattern)):
        try:
            stat = path.stat()
        except OSError:
            continue  # a link that leads nowhere holds no weights
        stamps[path.name] = (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino)
    return stamps


def written_between(before: Stamps, after: Stamps) -> list[str]:
    """Names of the files that are new or changed."""
    return sorted(name for name, stamp in after.items() if before.get(name) != stamp)


def models_at(places: Iterable[Path]) -> dict[Path, Stamps]:
    """Folders at or below some places that hold a model, with their weights.

    Args:
        places: Where to look, three levels deep; hidden folders are left out.
    """
    return {
        folder.resolve(): weights_in(folder, True) | weights_in(folder, False)
        for place in places
        for folder in _folders(place)
        if holds_model(folder)
    }


def models_written(before: dict[Path, Stamps], places: Iterable[Path]) -> list[Path]:
    """Folders whose weights are new or changed, in natural order.

    Args:
        before: What ``models_at`` gave before.
        places: As there.
    """
    after = models_at(places)
    found = [f for f, stamps in after.items() if written_between(before.get(f, {}), stamps)]
    return sorted(found, key=natural_key)


def _folders(place: Path) -> Iterator[Path]:
    waiting, seen = deque([(place, 0)]), 0
    while waiting and seen < _MOST_FOLDERS:
        folder, depth = waiting.popleft()
        seen += 1
        yield folder
        if depth == _DEPTH:
            continue
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        waiting += [
            (folder / entry.name, depth + 1)
            for entry in entries
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
        ]
