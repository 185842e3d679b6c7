"""Processes that are told apart from later ones of the same number. Linux only, as ftbench is.

Source: proc(5), /proc/PID/stat: field 3 is the state, field 22 the start time.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

_DEAD = "ZXx"
"""States of a process that has ended and that its parent has not looked at yet."""


@dataclass(frozen=True)
class ProcessId:
    """One process, and no other that gets its number later.

    Attributes:
        pid: Its number.
        start: When it started, in clock ticks since the machine did.
    """

    pid: int
    start: int

    def __str__(self) -> str:
        return f"{self.pid}:{self.start}"


def identify(pid: int) -> ProcessId | None:
    """The process that has a number now; None when there is none, or it has ended."""
    state, start = _stat(pid)
    return ProcessId(pid, start) if state and state not in _DEAD else None


def is_alive(process: ProcessId) -> bool:
    """Whether it has not ended; who else has its number now does not count."""
    return identify(process.pid) == process


def parse_process(text: str) -> ProcessId:
    """A process from ``PID`` or ``PID:START``, as ``str(ProcessId)`` writes it.

    A number that nobody has gives a process that has ended.

    Raises:
        ValueError: It is neither.
    """
    number, colon, start = text.partition(":")
    pid = int(number)
    if pid < 1:
        raise ValueError(f"no process has the number {pid}")
    if colon:
        return ProcessId(pid, int(start))
    return identify(pid) or ProcessId(pid, -1)


def send(process: ProcessId, signum: int) -> None:
    """Signals a process, if it has not ended. Of another user's nothing is asked."""
    # The pidfd is opened before the look, so that it means the process that was looked at.
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        if is_alive(process):
            signal.pidfd_send_signal(handle, signum)
    except OSError:
        return
    finally:
        os.close(handle)


def boot_id() -> str:
    """Changes when the machine starts anew: numbers and start times begin again then."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _stat(pid: int) -> tuple[str, int]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", 0
    # Field 2 is the program's name in parentheses, which may hold spaces and parentheses itself.
    fields = text.rpartition(")")[2].split()
    return (fields[0], int(fields[19])) if len(fields) > 19 else ("", 0)
