"""A small OpenAI-compatible server on this machine: scripted replies, and every way to fail."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-judge-plantedKey123"
MODEL = "grader-1"


@dataclass(frozen=True)
class Answer:
    """One answer of the server.

    Attributes:
        text: The judge's reply; None leaves the message without one.
        status: HTTP status; above 299 ``text`` is the error's message.
        headers: Further headers.
        body: Instead of a chat completion, exactly this.
        finish_reason: Why the reply ends.
        delay_s: Seconds before it answers.
    """

    text: str | None = "A"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    finish_reason: str = "stop"
    delay_s: float = 0.0


@dataclass
class JudgeServer:
    """What the server says and saw.

    Attributes:
        url: Address to put into ``judge.api_base``.
        answer: From the body of a request to the answer.
        models: Names that it knows; None: it does not list any.
        key: What it asks for; empty: no key.
        seen: Body of every request for a completion, in order.
        headers: Their headers.
        at_once: Most requests that were being answered at the same time.
    """

    answer: Callable[[dict[str, Any]], Answer] = lambda _body: Answer()
    models: tuple[str, ...] | None = (MODEL,)
    key: str = KEY
    url: str = ""
    seen: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    at_once: int = 0
    running: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def in_turn(answers: Sequence[Answer]) -> Callable[[dict[str, Any]], Answer]:
    """One answer after the other; the last one for ever."""
    left = list(answers)
    return lambda _body: left.pop(0) if len(left) > 1 else left[0]


@contextmanager
def judge_server(**facts: Any) -> Iterator[JudgeServer]:
    """Runs a server; ``facts`` are fields of ``JudgeServer``."""
    judge = JudgeServer(**facts)
    handler = type("Handler", (_Handler,), {"judge": judge})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    judge.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield judge
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    judge: JudgeServer

    def do_GET(self) -> None:
        if self._is_refused():
            return
        if self.path != "/v1/models" or self.judge.models is None:
            self._send(404, b'{"error": {"message": "no such page"}}')
        else:
            listed = [{"id": name} for name in self.judge.models]
            self._send(200, json.dumps({"data": listed}).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        judge = self.judge
        with judge.lock:
            judge.seen.append(body)
            judge.headers.append(dict(self.headers))
            judge.running += 1
            judge.at_once = max(judge.at_once, judge.running)
        try:
            if self._is_refused():
                return
            if judge.models is not None and body["model"] not in judge.models:
                message = f"The model `{body['model']}` does not exist"
                self._send(404, json.dumps({"error": {"message": message}}).encode())
                return
            answer = judge.answer(body)
            time.sleep(answer.delay_s)
            self._send_answer(answer)
        finally:
            with judge.lock:
                judge.running -= 1

    def _is_refused(self) -> bool:
        if not self.judge.key or self.headers["Authorization"] == f"Bearer {self.judge.key}":
            return False
        said = f"Incorrect API key provided: {self.headers['Authorization']}"
        self._send(401, json.dumps({"error": {"message": said}}).encode())
        return True

    def _send_answer(self, answer: Answer) -> None:
        if answer.body is not None:
            content = answer.body
        elif answer.status > 299:
            content = json.dumps({"error": {"message": answer.text}}).encode()
        else:
            message = {"role": "assistant", "content": answer.text}
            choice = {"index": 0, "message": message, "finish_reason": answer.finish_reason}
            content = json.dumps({"choices": [choice]}).encode()
        self._send(answer.status, content, answer.headers)

    def _send(self, status: int, content: bytes, headers: Sequence[tuple[str, str]] = ()) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", "application/json"), *headers):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """The server keeps what it saw, and prints nothing."""
