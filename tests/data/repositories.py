"""Datasets in the layout of the Hugging Face hub cache."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftbench import hub_cache


def add_snapshot(
    hub: Path, repo_id: str, files: Mapping[str, bytes | str], revision: str = "main"
) -> Path:
    """Writes a snapshot as the hub's client does: links to blobs that are named by content."""
    folder = hub_cache.repository(hub, repo_id)
    commit = hashlib.sha1(f"{repo_id}@{revision}".encode()).hexdigest()
    ref = folder / "refs" / revision
    ref.parent.mkdir(parents=True, exist_ok=True)
    ref.write_text(commit)
    snapshot = folder / "snapshots" / commit
    (folder / "blobs").mkdir(exist_ok=True)
    for name, content in files.items():
        body = content.encode() if isinstance(content, str) else content
        blob = folder / "blobs" / hashlib.sha1(body).hexdigest()
        blob.write_bytes(body)
        path = snapshot / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(os.path.relpath(blob, path.parent))
    return snapshot


def parquet(*rows: dict[str, Any]) -> bytes:
    """A parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    body = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), body)
    return body.getvalue()
