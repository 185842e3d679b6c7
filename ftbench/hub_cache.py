"""Datasets in the Hugging Face hub cache: which snapshot is read, and whether it is whole.

Standard library only: the host brings the snapshots, the evaluation program reads them with no
network. Source: the cache layout of huggingface_hub (0.36 and 2.4 alike):

    <hub>/datasets--OWNER--NAME/refs/<revision>          holds a commit
                                snapshots/<commit>/      links into blobs/
                                blobs/                   *.incomplete while they are downloaded
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PARQUET = "refs/convert/parquet"
"""Revision that the hub makes of every dataset: ``<config>/<split>/0000.parquet``."""

UNFINISHED = ".ftbench-unfinished"
"""File that stands in a repository's folder while ftbench downloads it."""


def repository(hub_dir: Path, repo_id: str) -> Path:
    """Folder of a dataset in the cache, whether it is there or not.

    Args:
        hub_dir: The cache, such as ``~/.cache/huggingface/hub``.
        repo_id: ``owner/name``, or a bare name such as ``glue``.
    """
    return hub_dir / f"datasets--{repo_id.replace('/', '--')}"


def snapshots(hub_dir: Path, repo_id: str) -> tuple[Path, ...]:
    """What a dataset is read from: its main snapshot, then the parquet copy where it needs one.

    Args:
        hub_dir: The cache.
        repo_id: As in ``repository``.

    Returns:
        Empty when something of it is missing or its download was not finished.
    """
    folder = repository(hub_dir, repo_id)
    main = snapshot(hub_dir, repo_id)
    if main is None or (folder / UNFINISHED).exists() or any(unfinished_files(folder)):
        return ()
    if not has_script(main, repo_id):
        return (main,)
    parquet = snapshot(hub_dir, repo_id, PARQUET)
    return (main, parquet) if parquet else ()


def snapshot(hub_dir: Path, repo_id: str, revision: str = "main") -> Path | None:
    """The snapshot that a branch or commit stands for; None where there is no file of it."""
    folder = repository(hub_dir, repo_id)
    try:
        commit = (folder / "refs" / revision).read_text(encoding="utf-8").strip()
    except OSError:
        commit = revision
    found = folder / "snapshots" / commit
    # A broken link stands for a file that is gone: the download is gone through again.
    files = [path for path in found.rglob("*") if not path.is_dir()]
    return found if files and all(path.exists() for path in files) else None


def unfinished_files(folder: Path) -> Iterator[Path]:
    """Pieces of files that never arrived; one that came in a later attempt does not count.

    Args:
        folder: The repository's. A piece is ``blobs/<etag>[.<random>].incomplete``.
    """
    for piece in folder.glob("blobs/*.incomplete"):
        if not piece.with_name(piece.name.partition(".")[0]).exists():
            yield piece


def has_script(main: Path, repo_id: str) -> bool:
    """Whether a Python script makes the rows, which is not run: the hub's parquet copy is read."""
    return (main / f"{repo_id.rpartition('/')[2]}.py").is_file()
