"""Downloads one archive over HTTP: it goes on where it stopped, and its checksum decides.

The unfinished file has a name of its own until the checksum is right, so that a kill or a lost
connection costs nothing that has arrived.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from ftbench import __version__

_CHUNK_BYTES = 1 << 18

_REACH_TIMEOUT_S = 5
_STALL_TIMEOUT_S = 30

_ATTEMPTS = 3
"""Attempts in a row that bring nothing new, before it is given up."""

_PARTIAL = 206
_RANGE_NOT_SATISFIABLE = 416

OnProgress = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes of the whole, None when not known."""


class DownloadFailed(Exception):
    """An archive that did not come; the message is a half sentence for the user."""


@dataclass(frozen=True)
class Archive:
    """One archive of OpenCompass's data.

    Attributes:
        url: Where it is downloaded from.
        md5: 32 hex digits.
    """

    url: str
    md5: str

    @property
    def name(self) -> str:
        """File name, such as ``mmlu.zip``."""
        return PurePosixPath(urlsplit(self.url).path).name

    @property
    def server(self) -> str:
        """Scheme and host; the whole address when it is none."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}" if parts.netloc else self.url


def find_archive(
    path: str, downloads: Mapping[str, tuple[str, str]], server: str | None = None
) -> Archive | None:
    """The archive that brings a path of the data folder.

    OpenCompass takes the last of its keys that is part of the path (0.5.4, utils/datasets.py); the
    longest is the same archive for every preset but mtbench101, where it is the right one. An
    archive named like the folder counts too: the key of IFBench is misspelt.

    Args:
        path: Below the data folder, such as ``data/mmlu``.
        downloads: Part of a path to URL and md5, of the catalogue.
        server: Replaces scheme and host of the URL, and a path before it; None keeps them.

    Returns:
        None when there is none.
    """
    if not path.startswith("data/"):
        return None
    folder = PurePosixPath(path).parts[1]
    keys = [key for key in downloads if key in f"/{path}/"]
    keys += [key for key, (url, _) in downloads.items() if url.endswith(f"/{folder}.zip")]
    if not keys:
        return None
    url, md5 = downloads[max(keys, key=len)]
    if server:
        url = server.rstrip("/") + urlsplit(url).path
    return Archive(url, md5)


def why_unreachable(url: str) -> str:
    """Says why a server does not answer; empty when it does, whatever it says."""
    try:
        request = urllib.request.Request(url, method="HEAD", headers=_headers())
        urllib.request.urlopen(request, timeout=_REACH_TIMEOUT_S).close()
    except urllib.error.HTTPError:
        return ""
    except (OSError, ValueError, http.client.HTTPException) as exc:
        return reason_of(exc)
    return ""


def reason_of(error: BaseException) -> str:
    """What kept a request from being answered, in lower case."""
    reason = getattr(error, "reason", error)
    text = str(getattr(reason, "strerror", None) or reason) or type(reason).__name__
    return text[:1].lower() + text[1:]


def download(archive: Archive, part: Path, target: Path, on_progress: OnProgress) -> int:
    """Downloads an archive, from where an earlier download of it stopped.

    Args:
        archive: What to download.
        part: Unfinished file; stays when the download breaks off or is interrupted.
        target: Receives the whole archive in one step, once its checksum is right.
        on_progress: Called after every piece.

    Returns:
        Bytes that were received now.

    Raises:
        DownloadFailed: The server refuses, breaks off, or sends something else.
        OSError: The file cannot be written.
    """
    is_resumed = part.exists()
    received, idle = 0, 0
    while True:
        new, broken = _receive(archive, part, on_progress)
        received += new
        if broken:
            idle = 0 if new else idle + 1
            if idle == _ATTEMPTS:
                raise DownloadFailed(f"{archive.server} breaks off: {broken}")
        elif md5_of(part) == archive.md5:
            part.replace(target)
            return received
        else:
            part.unlink()
            if not is_resumed:
                raise DownloadFailed(f"what {archive.url} sends has another checksum than it had")
            # What an earlier download left was of something else: once more, from the start.
            is_resumed = False


def md5_of(path: Path) -> str:
    """md5 of a file, 32 hex digits."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _receive(archive: Archive, part: Path, on_progress: OnProgress) -> tuple[int, str]:
    """Adds to the unfinished file what the server sends; returns bytes and why it broke off."""
    have = part.stat().st_size if part.exists() else 0
    asked = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(archive.url, headers=_headers() | asked)
    try:
        response = urllib.request.urlopen(request, timeout=_STALL_TIMEOUT_S)
    except urllib.error.HTTPError as exc:
        exc.close()
        if exc.code == _RANGE_NOT_SATISFIABLE and have:
            return 0, ""  # nothing is left to send: the checksum decides
        raise DownloadFailed(f"{archive.url} answers {exc.code} {exc.reason}") from exc
    except (OSError, http.client.HTTPException) as exc:
        return 0, reason_of(exc)
    with response:
        start, total = _extent(response, have)
        return _write(response, part, start, total, on_progress)


def _extent(response: Any, have: int) -> tuple[int, int | None]:
    """Where the body belongs in the file, and how long the whole file is."""
    match = re.match(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if response.status == _PARTIAL and match and int(match[1]) == have:
        return have, int(match[2])
    length = response.headers.get("Content-Length")
    return 0, int(length) if length and length.isdigit() else None


def _write(
    response: Any, part: Path, start: int, total: int | None, on_progress: OnProgress
) -> tuple[int, str]:
    size = start
    with part.open("ab" if start else "wb") as file:
        on_progress(size, total)
        while True:
            try:
                chunk = response.read(_CHUNK_BYTES)
            except (OSError, http.client.HTTPException) as exc:
                return size - start, reason_of(exc)
            if not chunk:
                break
            file.write(chunk)
            size += len(chunk)
            on_progress(size, total)
    if total is not None and size < total:
        return size - start, f"after {size} of {total} bytes"
    return size - start, ""


def _headers() -> dict[str, str]:
    return {"User-Agent": f"ftbench/{__version__}"}
