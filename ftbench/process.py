"""Runs one process to its end: its lines to a file and a callback, its stop by deadline or signal.

Knows nothing of evaluation; both runtimes and the environment's installer stand on it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

_LONGEST_LINE = 65_536
"""Bytes after which a line without an end is handed on: a progress bar may never end its line."""

_TICK_S = 0.5
"""How often a silent process is looked at, in seconds."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP reached this process; handled like Ctrl-C.

    Args:
        signum: The signal's number.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


@contextlib.contextmanager
def stop_on_signals() -> Iterator[None]:
    """Turns SIGTERM and SIGHUP into ``Terminated`` inside the block, so that cleanup code runs.

    A signal that the caller ignores (``nohup``) stays ignored. Outside the main thread, where
    Python does not allow handlers, it does nothing.

    Side effects: replaces the signal handlers and puts the old ones back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, _frame: FrameType | None) -> None:
        raise Terminated(signum)

    caught = [s for s in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) != signal.SIG_IGN]
    previous = {signum: signal.signal(signum, stop) for signum in caught}
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


class LineLog:
    """Appends a stream of bytes to a file and hands each complete line on.

    Args:
        path: The file; its folder is created.
        on_line: Called with each line, without its end.
        clean: Takes secrets out of a piece that holds whole lines, before it goes anywhere; the
            file then follows line by line. None: every byte is written as it comes.
    """

    def __init__(
        self,
        path: Path,
        on_line: Callable[[str], None],
        clean: Callable[[bytes], bytes] | None = None,
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._on_line = on_line
        self._clean = clean
        self._held = b""
        self._rest = b""

    def __enter__(self) -> LineLog:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._held and self._clean is not None:
            self._take(self._clean(self._held))
        self._file.close()
        if exc_type is None and self._rest:
            self._hand_on(self._rest)

    def write(self, piece: bytes) -> None:
        """Takes the next bytes, which may end in the middle of a line or of a character."""
        if self._clean is None:
            self._take(piece)
            return
        # A secret has no line end in it, so none is cut in two where a line ends.
        text = self._held + piece
        end = max(text.rfind(b"\n"), text.rfind(b"\r")) + 1
        end = end or (len(text) if len(text) > _LONGEST_LINE else 0)
        self._held = text[end:]
        self._take(self._clean(text[:end]))

    def _take(self, piece: bytes) -> None:
        self._file.write(piece)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._hand_on(line)
        if len(self._rest) > _LONGEST_LINE:
            self._hand_on(self._rest)
            self._rest = b""

    def mute(self) -> None:
        """Hands no further line on; the file still receives everything."""
        self._on_line = lambda line: None

    def _hand_on(self, line: bytes) -> None:
        # Of a progress bar that redraws itself with \r, only the last state is worth a line.
        last = line.rstrip(b"\r").rpartition(b"\r")[2]
        self._on_line(last.decode("utf-8", errors="replace"))


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        exit_code: As a shell counts: 128 + the signal's number when a signal ended it.
        timed_out: It was stopped at its deadline.
        seconds: Wall time.
    """

    exit_code: int
    timed_out: bool
    seconds: float


def run_process(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    log: Path,
    on_line: Callable[[str], None],
    timeout_s: float = 0,
    grace_s: float = 10,
    inherited: Sequence[int] = (),
    passes_on: bool = False,
    clean: Callable[[bytes], bytes] | None = None,
) -> Ended:
    """Runs a command in a session of its own, to its end, its deadline or a signal.

    Args:
        argv: The command, one argument each.
        env: All of its environment.
        cwd: Its working folder.
        log: File that receives standard output and error, merged.
        on_line: Called with each line, in this thread.
        timeout_s: Seconds until it is asked to stop; 0: never.
        grace_s: Seconds from SIGTERM to SIGKILL.
        inherited: File descriptors that stay open in it: locks on them outlive this process.
        passes_on: The signal that stops us is the one that it receives, as at a terminal; False:
            always SIGTERM.
        clean: As of ``LineLog``.

    Raises:
        OSError: The command cannot be started.
        KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP (as ``Terminated``), after it was stopped.

    Side effects: leaves no process of its session behind.
    """
    started = time.monotonic()
    deadline = started + timeout_s if timeout_s else float("inf")
    with stop_on_signals(), LineLog(log, on_line, clean) as lines:
        process = subprocess.Popen(
            argv,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=inherited,
        )
        timed_out = False
        try:
            if _follow(process, lines, deadline):
                timed_out = True
                _signal_group(process, signal.SIGTERM)
                _follow(process, lines, time.monotonic() + grace_s)
        except BaseException as exc:
            lines.mute()
            _signal_group(process, _signal_of(exc) if passes_on else signal.SIGTERM)
            # Time to write what is finished; a second Ctrl-C ends the wait.
            with contextlib.suppress(KeyboardInterrupt):
                _follow(process, lines, time.monotonic() + grace_s)
            raise
        finally:
            # Also ends what the command left behind in its session.
            _signal_group(process, signal.SIGKILL)
            code = process.wait()
            if process.stdout:
                process.stdout.close()
    seconds = time.monotonic() - started
    return Ended(128 - code if code < 0 else code, timed_out, seconds)


def start_time(pid: int) -> str:
    """When a process started, in clock ticks since boot; empty when there is none such."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The second field is the name in parentheses, which may hold spaces; start time is the 22nd.
    return stat.rpartition(")")[2].split()[19]


def _follow(process: subprocess.Popen[bytes], lines: LineLog, deadline: float) -> bool:
    """Reads until the process has ended; True when the deadline came first."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while process.poll() is None:
            if time.monotonic() >= deadline:
                return True
            if selector.select(min(_TICK_S, max(0.0, deadline - time.monotonic()))):
                piece = os.read(process.stdout.fileno(), 65_536)
                if not piece:
                    return _has_outlived(process, deadline)
                lines.write(piece)
        # What it left behind holds the pipe open, and may write for ever.
        _signal_group(process, signal.SIGKILL)
        last = time.monotonic() + _TICK_S
        while time.monotonic() < last and selector.select(0):
            piece = os.read(process.stdout.fileno(), 65_536)
            if not piece:
                break
            lines.write(piece)
    return False


def _has_outlived(process: subprocess.Popen[bytes], deadline: float) -> bool:
    """Waits for a process that closed its output; True when the deadline came first."""
    timeout_s = None if deadline == float("inf") else max(0.0, deadline - time.monotonic())
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return True
    return False


def _signal_of(error: BaseException) -> int:
    if isinstance(error, Terminated):
        return error.signum
    return signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM


def _signal_group(process: subprocess.Popen[bytes], signum: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signum)
