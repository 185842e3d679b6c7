"""The ledger: what was started and how it ended, one JSON line each, kept through any kill.

A line is appended with one write and forced to disk before anything rests on it. A line that a kill
tore is as if it had never been written. What was computed is safe in any case: it lies in the run
folder, which answers at once. The ledger knows what need not be asked again, and what still runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftbench.errors import EXIT_BREACH, EXIT_INCONCLUSIVE, EXIT_OK, LaunchError, Problem
from ftbench.watch.processes import ProcessId, boot_id

EVALUATED = (EXIT_OK, EXIT_BREACH, EXIT_INCONCLUSIVE)
"""Exit codes of an evaluation that has its scores: what a gate says of them stays the same."""

STARTING, STARTED, ENDED, AGAIN, SINCE = "starting", "started", "ended", "again", "since"


@dataclass(frozen=True)
class Running:
    """An evaluation that was started and of whose end nothing is known.

    Attributes:
        key, name: Of the candidate.
        log: File that its process writes to.
        process: None when the watcher was killed before it could write it down.
    """

    key: str
    name: str
    log: Path
    process: ProcessId | None = None


@dataclass(frozen=True)
class Account:
    """What the ledger says of one candidate.

    Attributes:
        is_done: It was evaluated, whatever a gate said of it.
        failures: Failed tries, those before an ``AGAIN`` left out.
        failed_at: End of the last of them, in seconds since the epoch.
        exit_code: Of the last evaluation.
    """

    is_done: bool = False
    failures: int = 0
    failed_at: float = 0.0
    exit_code: int = 0


class Ledger:
    """A ledger on disk. Only who holds the watcher's lock writes to it.

    Args:
        path: The file; it and its folder are made with the first line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._boot = boot_id()
        self._accounts: dict[str, Account] = {}
        self.since: float | None = None
        self.running: Running | None = None
        try:
            entries = _read(path)
        except OSError as exc:
            raise unwritable(path, exc) from exc
        for entry in entries:
            # A line that somebody wrote into it by hand is passed over, as a torn one is.
            with contextlib.suppress(KeyError, ValueError, TypeError):
                self._take(entry)

    def account(self, key: str) -> Account:
        """What is known of a candidate."""
        return self._accounts.get(key, Account())

    def starting(self, key: str, name: str, log: Path) -> None:
        """A process is about to be started."""
        self._append({"event": STARTING, "key": key, "name": name, "log": str(log)})

    def started(self, process: ProcessId) -> None:
        """It was started."""
        entry = {"pid": process.pid, "start": process.start, "boot": self._boot}
        self._append({"event": STARTED, **entry})

    def ended(self, key: str, name: str, exit_code: int, is_failure: bool) -> None:
        """It ended.

        Args:
            key, name: Of the candidate.
            exit_code: Of the evaluation.
            is_failure: It counts as a failed try; an interrupted evaluation does not.
        """
        entry = {"key": key, "name": name, "exit_code": exit_code, "is_failure": is_failure}
        self._append({"event": ENDED, **entry})

    def try_again(self, key: str) -> None:
        """Forgets the failures of a candidate."""
        self._append({"event": AGAIN, "key": key})

    def keep_since(self, moment: float) -> None:
        """Keeps the moment from which finished runs count, in seconds since the epoch."""
        self._append({"event": SINCE, "since": moment})

    def failed_keys(self) -> list[str]:
        """Every candidate with a failed try and no success."""
        return [key for key, a in self._accounts.items() if a.failures and not a.is_done]

    def _append(self, entry: dict[str, Any]) -> None:
        entry = {"at": round(time.time(), 3), **entry}
        try:
            append_line(self._path, json.dumps(entry, ensure_ascii=False))
        except OSError as exc:
            raise unwritable(self._path, exc) from exc
        self._take(entry)

    def _take(self, entry: dict[str, Any]) -> None:
        event, key = entry.get("event"), str(entry.get("key", ""))
        known = self.account(key)
        if event == STARTING:
            self.running = Running(key, str(entry.get("name", "")), Path(str(entry.get("log", ""))))
        elif event == STARTED and self.running:
            same_boot = entry.get("boot") == self._boot
            start = int(entry["start"]) if same_boot else -1
            process = ProcessId(int(entry["pid"]), start)
            self.running = dataclasses.replace(self.running, process=process)
        elif event == ENDED:
            self.running = None
            code = int(entry["exit_code"])
            if code in EVALUATED:
                self._accounts[key] = Account(is_done=True, exit_code=code)
            elif entry.get("is_failure"):
                self._accounts[key] = Account(
                    known.is_done, known.failures + 1, float(entry["at"]), code
                )
        elif event == AGAIN:
            self._accounts[key] = Account(known.is_done)
        elif event == SINCE:
            self.since = float(entry["since"])


def unwritable(path: Path, error: OSError) -> LaunchError:
    """The error of a ledger that cannot be kept: without it, things would be done twice."""
    happened = f"it cannot be kept: {error.strerror or error}"
    return LaunchError(Problem(f"the watcher's {path}", happened, "choose a folder: --state DIR"))


def append_line(path: Path, line: str) -> None:
    """Appends a line and forces it to disk; a torn line before it is closed first.

    Args:
        path: The file.
        line: Without its end.
    """
    is_new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        rest = f"{chr(10) if is_torn else ''}{line}\n".encode()
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    # Else a new file's name may be lost with the machine, though its bytes are not.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [entry for line in text.split("\n") if (entry := _parse(line)) is not None]


def _parse(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
