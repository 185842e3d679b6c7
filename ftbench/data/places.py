"""Where the rows of a dataset lie on this machine, and whether they are there.

Data in OpenCompass's layout lies in one folder that contains ``data/``; datasets of the Hugging
Face hub lie in its cache. Reads, and changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ftbench import hub_cache
from ftbench.preset import DataSource


@dataclass(frozen=True)
class Missing:
    """One source that is not on this machine.

    Attributes:
        dataset: The user's name of the dataset that needs it.
        place: Where it was looked for.
    """

    dataset: str
    source: DataSource
    place: Path


def find_missing(
    wanted: Iterable[tuple[str, DataSource]], data_dir: Path, hub_dir: Path
) -> list[Missing]:
    """Lists the sources that are not on disk, once for each dataset that needs them.

    Args:
        wanted: The user's dataset names with their sources.
        data_dir: Folder that contains ``data/``.
        hub_dir: Hugging Face hub cache.
    """
    return [
        Missing(name, source, place_of(source, data_dir, hub_dir))
        for name, source in dict.fromkeys(wanted)
        if not is_here(source, data_dir, hub_dir)
    ]


def place_of(source: DataSource, data_dir: Path, hub_dir: Path) -> Path:
    """Where a source lies once it is on this machine."""
    if source.is_on_hub:
        return hub_cache.repository(hub_dir, source.path)
    return data_dir / source.path


def is_here(source: DataSource, data_dir: Path, hub_dir: Path) -> bool:
    """Whether a source can be read without a network; an empty folder is none."""
    return source.kind == "bundled" or bool(contents_of(source, data_dir, hub_dir))


def contents_of(source: DataSource, data_dir: Path, hub_dir: Path) -> tuple[Path, ...]:
    """The file or folders that a source's rows are read from; empty when it is not here."""
    if source.is_on_hub:
        return hub_cache.snapshots(hub_dir, source.path)
    place = place_of(source, data_dir, hub_dir)
    if place.is_dir():
        return (place,) if _has_entries(place) else ()
    return (place,) if place.exists() else ()


def _has_entries(folder: Path) -> bool:
    try:
        return any(os.scandir(folder))
    except OSError:
        return False


def linked_data(
    wanted: Iterable[tuple[str, DataSource]], data_dir: Path, hub_dir: Path
) -> list[Path]:
    """Sources that lie elsewhere, because a link leads out of the data folder or cache to them."""
    found = set()
    for _, source in wanted:
        place = place_of(source, data_dir, hub_dir)
        root = hub_dir if source.is_on_hub else data_dir
        if source.kind != "bundled" and place.exists():
            real = place.resolve()
            found |= set() if real.is_relative_to(root.resolve()) else {real}
    return sorted(found)
