"""A finished dataset as one artifact: every file behind its scores, byte for byte.

    run_files/<dataset>.tar.zst     predictions, results and samples of its subsets

The other artifacts are for people. This one gives the dataset back to a workspace that does not
have it, on another machine or after the folder was deleted (``restoring``).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO, cast

from ftbench.evidence import evidence_files, lacks
from ftbench.schema import DatasetResult, RunFiles
from ftbench.tracking.names import file_stem, metric_key

FOLDER = "run_files"
_CHUNK_BYTES = 1 << 20


def archive_tag(dataset: str) -> str:
    """Tag with the sha256 of a dataset's archive; it is set when the archive is there."""
    return metric_key(f"ftbench.archive.{dataset}")


def fingerprint_tag(dataset: str) -> str:
    """Tag with the fingerprint of a dataset, whatever was asked beside it."""
    return metric_key(f"ftbench.fingerprint.{dataset}")


def archive_name(dataset: str) -> str:
    """Path of a dataset's archive among the artifacts."""
    return f"{FOLDER}/{file_stem(dataset)}.tar.zst"


def write_archive(
    files: RunFiles, model_abbr: str, dataset: DatasetResult, artifacts: Path
) -> str | None:
    """Packs the files of one dataset.

    Args:
        files: The run folder.
        model_abbr: Name of the model's folders in it.
        dataset: As the collected result has it.
        artifacts: Folder that becomes the artifact root.

    Returns:
        sha256 of the archive; the same files give the same one. None where the dataset is not
        complete, and nothing is written.
    """
    # Both take their time to import, and only recording and restoring need them.
    import tarfile

    import pyarrow as pa

    path = artifacts / archive_name(dataset.name)
    if path.exists() or lacks(files, model_abbr, dataset) is not None:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        pa.output_stream(str(path), compression="zstd") as stream,
        tarfile.open(fileobj=cast(BinaryIO, stream), mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, source in evidence_files(files, model_abbr, dataset):
            entry = tarfile.TarInfo(name)
            entry.size = source.stat().st_size
            with source.open("rb") as content:
                tar.addfile(entry, content)
    return sha256_of(path)


def unpack_archive(
    path: Path, files: RunFiles, model_abbr: str, dataset: DatasetResult
) -> str | None:
    """Puts the files of one dataset back where they were.

    Args:
        path: The archive.
        files: Run folder that receives them; nothing outside the places of this dataset is written.
        model_abbr: Name of the model's folders in it.
        dataset: As the collected result has it.

    Returns:
        Why the dataset is not complete then, or None.
    """
    import tarfile

    import pyarrow as pa

    places = dict(evidence_files(files, model_abbr, dataset))
    with (
        pa.input_stream(str(path), compression="zstd") as stream,
        tarfile.open(fileobj=cast(BinaryIO, stream), mode="r|") as tar,
    ):
        for entry in tar:
            content = tar.extractfile(entry)
            if entry.name not in places or content is None:
                return f"{path.name} has a strange entry {entry.name}"
            target = places[entry.name]
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                while chunk := content.read(_CHUNK_BYTES):
                    file.write(chunk)
    return lacks(files, model_abbr, dataset)


def sha256_of(path: Path) -> str:
    """sha256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
