"""One evaluation: a process of its own, its output to a file and from there to the terminal.

The process writes into a file rather than a pipe, so that it goes on when the watcher is killed.
Its end of that file carries a lock, by which a later watcher sees that it still runs even where the
kill came before its number was written down.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ftbench.watch.candidates import Candidate
from ftbench.watch.ledger import Ledger, Running, unwritable
from ftbench.watch.processes import identify, is_alive, send
from ftbench.watch.stopping import Stop

LEFT_RUNNING = -1
"""In place of an exit code: a second signal ended the wait for a process that is still ending."""

_TICK_S = 0.2

_PIECE_BYTES = 1 << 16


@dataclass(frozen=True)
class Evaluator:
    """Starts evaluations, and waits for those that a killed watcher left.

    Attributes:
        command: Everything before the candidate's own overrides, which go before all others.
        cwd: Working folder of the evaluations.
        env: All of their environment.
        logs: Folder of their output, a file each.
        on_line: Called with the candidate's name and each line of its output.
    """

    command: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    logs: Path
    on_line: Callable[[str, str], None]

    def log_of(self, candidate: Candidate) -> Path:
        """The file that receives the candidate's output; every try appends to it."""
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", candidate.name)
        return self.logs / f"{name[:80]}-{candidate.key[:8]}.log"

    def run(self, candidate: Candidate, ledger: Ledger, stop: Stop) -> int:
        """Evaluates a candidate; a signal is passed on to the process.

        Returns:
            Its exit code, 128 + the signal's number when one ended it, or ``LEFT_RUNNING``.

        Raises:
            LaunchError: The log or the ledger cannot be written.

        Side effects: starts a process in a session of its own, writes two lines into the ledger.
        """
        log = self.log_of(candidate)
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            opened = log.open("ab", buffering=0)
        except OSError as exc:
            raise unwritable(log, exc) from exc
        with opened as output:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(output, fcntl.LOCK_EX | fcntl.LOCK_NB)
            begin = os.fstat(output.fileno()).st_size
            ledger.starting(candidate.key, candidate.name, log)
            process = subprocess.Popen(
                [*self.command, *candidate.overrides],
                cwd=self.cwd,
                env=dict(self.env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started = identify(process.pid)
        if started is not None:
            ledger.started(started)

        def has_ended() -> bool:
            return process.poll() is not None

        tail = _Tail(log, begin, lambda line: self.on_line(candidate.name, line))
        running = Running(candidate.key, candidate.name, log, started)
        if not _wait(running, has_ended, tail, stop):
            return LEFT_RUNNING
        code = process.wait()
        return 128 - code if code < 0 else code

    def wait_for(self, running: Running, stop: Stop) -> bool:
        """Waits for an evaluation that a killed watcher left; a signal is passed on to it.

        Returns:
            Whether it has ended.
        """
        size = running.log.stat().st_size if running.log.is_file() else 0
        tail = _Tail(running.log, size, lambda line: self.on_line(running.name, line))
        return _wait(running, lambda: not still_runs(running), tail, stop)


def still_runs(running: Running) -> bool:
    """Whether an evaluation that a killed watcher left is still at work."""
    if running.process is not None:
        return is_alive(running.process)
    try:
        with running.log.open("rb") as log:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _wait(running: Running, has_ended: Callable[[], bool], tail: _Tail, stop: Stop) -> bool:
    is_passed_on = False
    while not has_ended():
        tail.read()
        if stop.is_asked and not is_passed_on:
            is_passed_on = True
            if running.process is not None:
                # A terminal that closes need not end the program in the same way.
                hang_up = stop.signum == signal.SIGHUP
                send(running.process, signal.SIGTERM if hang_up else stop.signum)
        if stop.count > 1:
            return False
        time.sleep(_TICK_S)
    tail.read(is_last=True)
    return True


class _Tail:
    """Hands on the lines that a file grows by."""

    def __init__(self, path: Path, begin: int, on_line: Callable[[str], None]) -> None:
        self._path = path
        self._at = begin
        self._rest = b""
        self._on_line = on_line

    def read(self, is_last: bool = False) -> None:
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                while piece := file.read(_PIECE_BYTES):
                    self._at += len(piece)
                    *lines, self._rest = (self._rest + piece).split(b"\n")
                    for line in lines:
                        self._hand_on(line)
        except FileNotFoundError:
            return  # somebody removed the log: the evaluation itself goes on
        if is_last and self._rest:
            self._hand_on(self._rest)
            self._rest = b""

    def _hand_on(self, line: bytes) -> None:
        # Of a progress bar that redraws itself with \r, only the last state is worth a line.
        last = line.rstrip(b"\r").rpartition(b"\r")[2]
        self._on_line(last.decode("utf-8", errors="replace"))
