"""A server on this machine in the place of OpenCompass's archives and of the Hugging Face hub."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass
class DataServer:
    """What the server has, does and saw.

    Attributes:
        url: Its own address.
        files: Bodies by path, such as ``/datasets/data/mmlu.zip``.
        repositories: Files of hub datasets, by ``id@revision``.
        gated: Ids that the hub gives to ``token`` alone.
        token: The one that opens gated datasets.
        cuts_at: Bytes after which the connection breaks, one number for each download to come.
        ranges: Whether it can send parts of a file.
        answers: Status instead of the file, by path.
        holds: Downloads wait for ``released`` after their first half.
        seen: Method, path, and range where one is asked for, of every request.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    token: str = "hf_token"
    cuts_at: list[int] = field(default_factory=list)
    ranges: bool = True
    answers: dict[str, int] = field(default_factory=dict)
    holds: bool = False
    begun: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    seen: list[str] = field(default_factory=list)

    def add_archive(self, name: str, entries: Mapping[str, str | bytes]) -> str:
        """Serves a zip archive under the path that the catalogue's URLs have; gives its md5."""
        body = zipped(entries)
        self.files[f"/datasets/data/{name}"] = body
        return hashlib.md5(body).hexdigest()

    def downloads(self, name: str) -> list[str]:
        """The requests for one file's bytes."""
        return [line for line in self.seen if line.startswith("GET") and name in line]


def zipped(entries: Mapping[str, str | bytes]) -> bytes:
    """A zip archive; an entry whose name ends with a slash is a folder."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), content)
    return body.getvalue()


@contextmanager
def data_server() -> Iterator[DataServer]:
    """Runs the server."""
    state = DataServer()
    handler = type("Handler", (_Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    state: DataServer

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, with_body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        asked = self.headers.get("Range", "")
        self.state.seen.append(" ".join(filter(None, (self.command, path, asked))))
        if path in self.state.answers:
            self._send(self.state.answers[path], b"", {}, with_body)
        elif path in self.state.files:
            self._send_file(self.state.files[path], asked, with_body)
        else:
            self._answer_hub(path, with_body)

    def _send_file(self, body: bytes, asked: str, with_body: bool) -> None:
        start = int(asked[6:].rstrip("-")) if asked and self.state.ranges else 0
        if start and start >= len(body):
            self._send(416, b"", {}, with_body)
            return
        part = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        self._send(206 if start else 200, body[start:], part, with_body)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], with_body: bool) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | dict(headers)).items():
            self.send_header(name, value)
        self.end_headers()
        if not with_body:
            return
        cut = self.state.cuts_at.pop(0) if self.state.cuts_at and body else len(body)
        if self.state.holds and body:
            half = len(body) // 2
            self.wfile.write(body[:half])
            self.state.begun.set()
            self.state.released.wait(60)
            with contextlib.suppress(OSError):  # who asked may be gone
                self.wfile.write(body[half:])
            return
        self.wfile.write(body[:cut])

    def _answer_hub(self, path: str, with_body: bool) -> None:
        """The part of the hub's interface that ``snapshot_download`` uses (huggingface_hub 2.4)."""
        for key, files in self.state.repositories.items():
            repo_id, _, revision = key.partition("@")
            commit = commit_of(key)
            if not re.match(rf"/(api/)?datasets/{re.escape(repo_id)}(/|$)", path):
                continue
            bearer = self.headers.get("Authorization", "")
            if repo_id in self.state.gated and self.state.token not in bearer:
                self._send(403, b"{}", {"X-Error-Code": "GatedRepo"}, with_body)
                return
            if path == f"/api/datasets/{repo_id}/revision/{revision}":
                self._send_json({"id": repo_id, "sha": commit, "siblings": []}, with_body)
                return
            if path == f"/api/datasets/{repo_id}/tree/{commit}":
                self._send_json([_entry(name, body) for name, body in files.items()], with_body)
                return
            resolve = f"/datasets/{repo_id}/resolve/{commit}/"
            if path.startswith(resolve) and path.removeprefix(resolve) in files:
                body = files[path.removeprefix(resolve)]
                facts = {"X-Repo-Commit": commit, "ETag": f'"{_sha(body)}"'}
                self._send(200, body, facts, with_body)
                return
        known = any(
            path.startswith(f"/api/datasets/{k.partition('@')[0]}/")
            for k in self.state.repositories
        )
        code = "RevisionNotFound" if known else "RepoNotFound"
        self._send(404, b"{}", {"X-Error-Code": code}, with_body)

    def _send_json(self, value: object, with_body: bool) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"}, with_body)


def commit_of(key: str) -> str:
    """The commit that ``id@revision`` stands for, 40 hex digits."""
    return _sha(key.encode())


def _entry(name: str, body: bytes) -> dict[str, object]:
    return {"type": "file", "path": name, "size": len(body), "oid": _sha(body)}


def _sha(body: bytes) -> str:
    return hashlib.sha1(body).hexdigest()
