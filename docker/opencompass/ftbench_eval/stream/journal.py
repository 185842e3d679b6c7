"""What the model has answered, kept batch by batch in one file of the run folder.

JSON lines: the first says whose answers follow, every other holds one answer. A line that a kill
left torn is cut off; an answer counts only for the very request that it was given to.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ftbench_eval.resume import drop_torn_lines
from ftbench_eval.stream.requests import Answer, Request

NAME = "answers.jsonl"

_SYNC_INTERVAL_S = 1.0
"""A machine that loses power loses the answers of this time at most; a killed process, none."""

_VERSION = 1


class Journal:
    """The answers of one evaluation; safe to use from any thread.

    Args:
        path: The file; made on the first answer.
        fingerprint: Of the evaluation; a file of another one is not read, and replaced.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self._path = path
        self._head = (fingerprint, _VERSION)
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._synced_at = 0.0
        self._kept: dict[str, dict[int, tuple[str, Answer]]] = defaultdict(dict)
        self.facts: dict[str, Any] = {}
        self._read()

    def answer(self, request: Request) -> Answer | None:
        """What was answered to this very request, or None."""
        kept = self._kept.get(request.abbr, {})
        digest, answer = kept.get(request.position, ("", None))
        return answer if digest == request.digest else None

    def answers(self, abbr: str) -> dict[int, Answer]:
        """All answers of a subset, by position."""
        with self._lock:
            return {at: answer for at, (_, answer) in self._kept.get(abbr, {}).items()}

    def start(self, facts: dict[str, Any]) -> None:
        """Begins or goes on, with facts that a resumed run finds again in ``facts``.

        Raises:
            OSError: The file cannot be written.
        """
        with self._lock:
            self.facts = facts
            fingerprint, version = self._head
            line = {"version": version, "fingerprint": fingerprint, "facts": facts}
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab")
            self._write([line])

    def add(self, requests: Sequence[Request], answers: Sequence[Answer]) -> None:
        """Keeps the answers of a batch.

        Raises:
            OSError: The file cannot be written.
        """
        pairs = list(zip(requests, answers, strict=True))
        with self._lock:
            self._write(_line(request, answer) for request, answer in pairs)
            for request, answer in pairs:
                self._kept[request.abbr][request.position] = (request.digest, answer)

    def close(self) -> None:
        """Puts everything on the disk."""
        with self._lock:
            if self._file is not None:
                os.fsync(self._file.fileno())
                self._file.close()
                self._file = None

    def _write(self, lines: Iterable[dict[str, Any]]) -> None:
        assert self._file is not None
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        self._file.write(text.encode("utf-8", errors="surrogatepass"))
        self._file.flush()
        if time.monotonic() - self._synced_at >= _SYNC_INTERVAL_S:
            os.fsync(self._file.fileno())
            self._synced_at = time.monotonic()

    def _read(self) -> None:
        if not self._path.is_file():
            return
        drop_torn_lines(self._path)
        try:
            self._load()
        except (KeyError, TypeError, ValueError):  # not a journal of this evaluation
            self._kept.clear()
            self.facts = {}
            self._path.unlink()

    def _load(self) -> None:
        is_mine = False
        with self._path.open(encoding="utf-8", errors="surrogatepass") as lines:
            for line in lines:
                value = json.loads(line)
                if "fingerprint" in value:
                    is_mine = (value["fingerprint"], value["version"]) == self._head
                    self.facts = value["facts"]
                elif is_mine:
                    answer = Answer(value["value"], value.get("tokens"), value.get("cut"))
                    self._kept[value["abbr"]][value["at"]] = (value["of"], answer)
                if not is_mine:
                    raise ValueError("answers of another evaluation")


def _line(request: Request, answer: Answer) -> dict[str, Any]:
    line = {"abbr": request.abbr, "at": request.position, "of": request.digest}
    line["value"] = answer.value
    if answer.tokens is not None:
        line["tokens"] = answer.tokens
    if answer.is_cut is not None:
        line["cut"] = answer.is_cut
    return line
