"""A proxy before a real HTTP server, which can ask for credentials and die between two requests."""

from __future__ import annotations

import base64
import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Proxy:
    """What the proxy does and saw.

    Attributes:
        url: Its own address.
        upstream: ``host:port`` of the real server.
        credentials: ``user:password`` that every request must bring; None for none.
        dies_after: Requests that are answered; later ones find a broken connection. None: all.
        loses_an_answer: The request after those still reaches the server; only its answer is lost.
        holds: Requests with this in their path wait for ``released`` before they are passed on.
        seen: Method and path of every request that was passed on, or is held.
    """

    upstream: str
    url: str = ""
    credentials: str | None = None
    dies_after: int | None = None
    loses_an_answer: bool = False
    holds: str = ""
    released: threading.Event = field(default_factory=threading.Event)
    seen: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def http_proxy(upstream_url: str, credentials: str | None = None) -> Iterator[Proxy]:
    """Runs a proxy before a server on this machine."""
    proxy = Proxy(urlsplit(upstream_url).netloc, credentials=credentials)
    handler = type("Handler", (_Handler,), {"proxy": proxy})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        proxy = self.proxy
        with proxy.lock:
            is_dead = proxy.dies_after is not None and len(proxy.seen) >= proxy.dies_after
            is_last = is_dead and proxy.loses_an_answer
            proxy.loses_an_answer = proxy.loses_an_answer and not is_last
            if is_dead and not is_last:
                self.close_connection = True
                return
            if not is_last:
                proxy.seen.append(f"{self.command} {self.path.partition('?')[0]}")
        if proxy.holds and proxy.holds in self.path:
            proxy.released.wait(60)
        if proxy.credentials is not None and not self._is_authorized(proxy.credentials):
            self._answer(401, {}, b"You are not authenticated.")
            return
        status, headers, content = self._forward(body)
        if is_last:
            self.close_connection = True
            return
        self._answer(status, headers, content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def _is_authorized(self, credentials: str) -> bool:
        wanted = "Basic " + base64.b64encode(credentials.encode()).decode()
        return self.headers.get("Authorization") == wanted

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        upstream = http.client.HTTPConnection(self.proxy.upstream, timeout=60)
        skipped = ("host", "connection", "authorization", "content-length")
        headers = {k: v for k, v in self.headers.items() if k.lower() not in skipped}
        try:
            upstream.request(self.command, self.path, body=body, headers=headers)
            answer = upstream.getresponse()
            kept = {"Content-Type": answer.headers.get("Content-Type", "text/plain")}
            return answer.status, kept, answer.read()
        finally:
            upstream.close()

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the test's output clean."""
