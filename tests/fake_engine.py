"""A container engine on a Unix socket that answers what an image build asks for.

Answers have the form of dockerd 20.10.24. It builds nothing: a build makes an image that has the
labels of the test's choice.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Build:
    """One build as it was asked for: its parameters, and the context's files by name."""

    tag: str
    target: str | None
    network: str
    arguments: dict[str, str]
    files: dict[str, bytes]


@dataclass
class FakeEngine:
    """What the engine has, what it was asked for, and what its next builds print.

    Attributes:
        images: Labels of each image by name.
        output: Events of every build; one with ``error`` makes no image.
        pruned: Filters of each prune.
        removed: Names of removed images.
    """

    address: str = ""
    images: dict[str, dict[str, str]] = field(default_factory=dict)
    output: list[dict[str, Any]] = field(default_factory=list)
    builds: list[Build] = field(default_factory=list)
    pruned: list[dict[str, Any]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        """The status and the body of an answer."""
        url = urlsplit(target)
        path = re.sub(r"^/v[\d.]+", "", unquote(url.path))
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if path == "/version":
            return 200, _json({"ApiVersion": "1.41", "Version": "20.10.24"})
        if path == "/build":
            return 200, self._build(query, body)
        if path == "/images/prune":
            self.pruned.append(json.loads(query["filters"]))
            return 200, _json({"ImagesDeleted": None, "SpaceReclaimed": 0})
        if path == "/images/json":
            return 200, _json([{"Id": self._id(name)} for name in self.images])
        name = path.removeprefix("/images/").removesuffix("/json").removeprefix("sha256:")
        if name not in self.images:
            return 404, _json({"message": f"No such image: {name}"})
        if method == "DELETE":
            self.removed.append(name)
            del self.images[name]
            return 200, _json([{"Untagged": name}])
        config = {"Labels": self.images[name]}
        return 200, _json({"Id": self._id(name), "RepoTags": [name], "Config": config})

    def _build(self, query: dict[str, str], body: bytes) -> bytes:
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            members = [(m.name.removeprefix("./"), tar.extractfile(m)) for m in tar]
            files = {name: content.read() for name, content in members if content}
        arguments = json.loads(query["buildargs"])
        tag, target = query["t"], query.get("target")
        self.builds.append(Build(tag, target, query["networkmode"], arguments, files))
        if not any("error" in event for event in self.output):
            self.images[tag] = {"org.ftbench.stage": "made"}
        return b"".join(_json(event) for event in self.output)

    @staticmethod
    def _id(name: str) -> str:
        return f"sha256:{name}"


def _json(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


@contextmanager
def running_engine(folder: Path) -> Iterator[FakeEngine]:
    """Runs a fake engine whose socket is in ``folder``."""
    engine = FakeEngine(f"unix://{folder}/engine.sock")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = engine.answer(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Connection", "close")
            # The library reads a build's events as they come only of a chunked answer.
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(answer), answer))

        do_GET = do_POST = do_DELETE = _answer

        def log_message(self, *_: Any) -> None:
            """Says nothing; a Unix socket's client has no address to print."""

    with ThreadingUnixStreamServer(f"{folder}/engine.sock", Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield engine
        server.shutdown()
