"""Ends the program promptly on SIGTERM, SIGINT or its own time limit, whatever it is doing.

While the program may have no thread, the signal's handler ends it. Later a thread waits for the
signal, because Python runs signal handlers in the main thread only, between two byte codes: a long
matrix product, or a bare ``except`` in a library, would delay or eat an exception raised there.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

EXIT_TIMEOUT = 124
"""What ``timeout(1)`` exits with."""


def end_on_signals(on_stop: Callable[[str], None]) -> None:
    """Lets SIGTERM and SIGINT end the process with 128 + signal number, until ``watch_for_stop``.

    For the time before a fork, in which no thread may run: libraries are imported then, where no
    single call takes long. The handler does not raise, which a library could swallow.

    Args:
        on_stop: As of ``watch_for_stop``; called in the main thread.

    Side effects: installs signal handlers; ends the process without running exit handlers.
    """

    def end(number: int, _frame: object = None) -> None:
        _end(on_stop, signal.Signals(number).name, 128 + number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


def watch_for_stop(timeout_s: float | None, on_stop: Callable[[str], None]) -> None:
    """Starts the watch; from now on SIGTERM and SIGINT end the process with 128 + signal number.

    Args:
        timeout_s: Seconds after which the process ends itself with ``EXIT_TIMEOUT``; None: never.
        on_stop: Called once, in the watching thread, with the reason in words; the process ends
            when it returns.

    Side effects: installs signal handlers; ends the process without running exit handlers.
    """
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)

    def note(number: int, _frame: object = None) -> None:
        os.write(write_fd, bytes([number]))

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, note)
    # Written from C at once, even while the main thread is in a library's C code.
    signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    deadline = None if timeout_s is None else time.monotonic() + timeout_s

    def wait() -> None:
        number = _next_signal(read_fd, deadline)
        if number is None:
            _end(on_stop, f"its time limit of {timeout_s:.0f} s", EXIT_TIMEOUT)
        else:
            _end(on_stop, signal.Signals(number).name, 128 + number)

    threading.Thread(target=wait, name="stop", daemon=True).start()


def _next_signal(read_fd: int, deadline: float | None) -> int | None:
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([read_fd], [], [], left)
        if not ready:
            return None
        number = os.read(read_fd, 1)[0]
        # The wakeup descriptor reports every handled signal, such as a library's SIGALRM.
        if number in (signal.SIGTERM, signal.SIGINT):
            return number


def _end(on_stop: Callable[[str], None], reason: str, exit_code: int) -> None:
    try:
        on_stop(reason)
    finally:
        kill_descendants()
        os._exit(exit_code)


def kill_descendants() -> None:
    """Kills what this process started and what that started; ours may not be a PID namespace.

    Workers, and vLLM's engine with its own workers, are such processes.
    """
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        # It may end while we look.
        with contextlib.suppress(OSError, ValueError, IndexError):
            # pid (name) state ppid ...; the name may contain spaces and parentheses
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    left = list(children.get(os.getpid(), ()))
    while left:
        pid = left.pop()
        left += children.get(pid, ())
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
