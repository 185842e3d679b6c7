"""Brings datasets of the Hugging Face hub into its cache, whole, so that they load offline."""

from __future__ import annotations

import re
from pathlib import Path

from filelock import FileLock

from ftbench import hub_cache
from ftbench.data.download import DownloadFailed
from ftbench.host import Host


def bring_snapshot(repo_id: str, host: Host) -> int:
    """Downloads a dataset's files, or those that are not here yet.

    Args:
        repo_id: ``owner/name``, or a bare name such as ``glue``.
        host: Says where the hub and its cache are, and gives HF_TOKEN.

    Returns:
        Bytes that the cache has grown by.

    Raises:
        DownloadFailed: With what the user can do about it.

    Side effects: fills the cache under a lock; prints the hub client's progress bars.
    """
    folder = hub_cache.repository(host.hub_dir, repo_id)
    mark = folder / hub_cache.UNFINISHED
    lock = host.hub_dir / ".locks" / folder.name / "ftbench.lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            folder.mkdir(exist_ok=True)
            before = _size(folder)
            mark.touch()
            main = _snapshot(repo_id, host, "main")
            if hub_cache.has_script(main, repo_id):
                _snapshot(repo_id, host, hub_cache.PARQUET)
            _remove_stale(folder)
            mark.unlink()
            return _size(folder) - before
    except DownloadFailed:
        _remove_if_empty(folder, mark)
        raise
    except OSError as exc:
        if type(exc).__module__ != "builtins":
            raise  # of the hub's client, whose errors are OSErrors too
        raise DownloadFailed(f"{folder} cannot be written: {exc.strerror or exc}") from exc


def _snapshot(repo_id: str, host: Host, revision: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            repo_id,
            repo_type="dataset",
            revision=revision,
            cache_dir=host.hub_dir,
            endpoint=host.hub_url,
            token=host.secrets.get("HF_TOKEN"),
        )
    except Exception as exc:  # requests, httpx, hub and file errors alike end here as one problem
        raise DownloadFailed(_explain(exc, repo_id, host, revision)) from exc
    return Path(found)


def _remove_stale(folder: Path) -> None:
    """Pieces of files that this version of the dataset does not have."""
    for piece in hub_cache.unfinished_files(folder):
        piece.unlink(missing_ok=True)


def _remove_if_empty(folder: Path, mark: Path) -> None:
    if [entry for entry in folder.iterdir() if entry != mark] == []:
        mark.unlink(missing_ok=True)
        folder.rmdir()


def _explain(error: Exception, repo_id: str, host: Host, revision: str) -> str:
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    page = f"{host.hub_url}/datasets/{repo_id}"
    if isinstance(error, GatedRepoError):
        return f"it is given only to those who accept its terms at {page}"
    if isinstance(error, RevisionNotFoundError) and revision == hub_cache.PARQUET:
        return "a script makes its rows, which is not run, and the hub has no parquet copy of them"
    if isinstance(error, RepositoryNotFoundError):
        return f"{host.hub_url} has no dataset of this name, or shows it to its owners only"
    # The hub's client puts "Got: ConnectError: [Errno 111]" before what happened.
    lines = str(error).strip().splitlines() or [type(error).__name__]
    cause = re.sub(r"^(Got: )?(\w+Error: )?(\[Errno -?\d+\] )?", "", lines[0])
    return f"{host.hub_url} does not send it: {cause}"


def _size(folder: Path) -> int:
    return sum(blob.stat().st_size for blob in folder.glob("blobs/*") if blob.is_file())
