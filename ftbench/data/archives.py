"""Unpacks an archive of data beside its place, then moves it there: half of it never counts.

Nothing of an archive gets out of the folder, and no file that is already there is replaced.
"""

from __future__ import annotations

import errno
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath


class BadArchive(Exception):
    """An archive that cannot be read, or whose entries would leave its folder."""


def unpack(archive: Path, stage: Path, into: Path) -> None:
    """Unpacks a zip archive into a folder.

    Args:
        archive: The zip file.
        stage: Folder on the file system of ``into`` for the time between; emptied first.
        into: Receives the archive's entries; folders that are there already are added to.

    Raises:
        BadArchive: It is damaged, or an entry is a link or leads out of the folder.
        OSError: The disk is full or cannot be written.

    Side effects: removes ``stage`` in the end.
    """
    shutil.rmtree(stage, ignore_errors=True)
    try:
        stage.mkdir(parents=True)
        _extract(archive, stage)
        _move(stage, into)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _extract(archive: Path, stage: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not _is_leftover(entry.filename)]
            for entry in entries:
                _check(entry)
            needed = sum(entry.file_size for entry in entries)
            if needed > shutil.disk_usage(stage).free:
                message = f"unpacked it takes {needed / 1e6:.0f} MB, and less is free"
                raise OSError(errno.ENOSPC, message)
            opened.extractall(stage, entries)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as exc:
        raise BadArchive(f"it cannot be unpacked: {exc}") from exc


def _is_leftover(name: str) -> bool:
    """What macOS leaves in an archive."""
    return name.startswith("__MACOSX/") or PurePosixPath(name).name == ".DS_Store"


def _check(entry: zipfile.ZipInfo) -> None:
    parts = PurePosixPath(entry.filename.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts:
        raise BadArchive(f"its entry {entry.filename} leads out of the folder")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise BadArchive(f"its entry {entry.filename} is a link")


def _move(source: Path, target: Path) -> None:
    """Moves every entry to its place, whole where nothing is there yet."""
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if place.is_symlink() and not place.exists():
            place.unlink()  # it led to data that is gone
        if not entry.is_dir() or entry.is_symlink():
            if not place.exists():
                entry.replace(place)
        elif place.is_dir() and any(place.iterdir()):
            _move(entry, place)
        else:
            # Onto an empty folder too: one step, so that a kill leaves all or nothing of it.
            entry.replace(place)
