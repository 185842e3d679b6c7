"""One folder that holds the data of a run, however many folders it lies in.

OpenCompass looks in one folder alone. A mounted cache that cannot be written and lacks a dataset,
or data that an earlier OpenCompass left at home, would be of no use to it: links bring them
together, and ``places.linked_data`` has what they lead to mounted.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from ftbench.data.places import is_here, place_of
from ftbench.host import Host
from ftbench.preset import BUNDLED, DataSource


def gather(wanted: Iterable[tuple[str, DataSource]], data_dir: Path, host: Host) -> Path:
    """Links the data that lies elsewhere on this machine into one folder, if there is any.

    Args:
        wanted: Dataset names with their sources.
        data_dir: Folder that contains ``data/``.
        host: Knows the home's data folder, and ftbench's cache.

    Returns:
        The folder to look in and to download to: ``data_dir`` itself where everything is in it or
        it can be written, else one in ftbench's cache that has links to it.

    Side effects: makes links, never replaces anything.
    """
    sources = {source for _, source in wanted if _is_in_layout(source)}
    lacking = {source for source in sources if not is_here(source, data_dir, data_dir)}
    if not lacking:
        return data_dir
    into = data_dir if _is_writable(data_dir) else _stand_in(data_dir, host)
    for source in sources if into != data_dir else lacking:
        _link(source, into, data_dir, host)
    return into


def elsewhere(source: DataSource, data_dir: Path, host: Host) -> Path | None:
    """Where the data of a source lies when it is not in the data folder but at home."""
    home = host.home_data_dir
    if home is None or not _is_in_layout(source) or is_here(source, data_dir, data_dir):
        return None
    return place_of(source, home, home) if is_here(source, home, home) else None


def _link(source: DataSource, into: Path, data_dir: Path, host: Host) -> None:
    if is_here(source, into, into):
        return
    there = place_of(source, data_dir, data_dir)
    origin = there if is_here(source, data_dir, data_dir) else elsewhere(source, data_dir, host)
    if origin is None or origin.is_relative_to(into):
        return
    place = place_of(source, into, into)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_symlink():
            place.unlink()  # it led to data that is gone
        elif place.is_dir():
            place.rmdir()
        place.symlink_to(origin.resolve())
    except OSError:
        return  # another run made it meanwhile, or it cannot be made: then it is still missing


def _is_in_layout(source: DataSource) -> bool:
    """Whether it lies in a data folder, in OpenCompass's layout."""
    return not source.is_on_hub and source.kind != BUNDLED


def _is_writable(folder: Path) -> bool:
    data = folder / "data"
    existing = next(path for path in (data, *data.parents) if path.exists())
    # root may write anywhere but on a read-only file system, which os.access knows too
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def _stand_in(data_dir: Path, host: Host) -> Path:
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    return host.cache_dir / "data" / name
