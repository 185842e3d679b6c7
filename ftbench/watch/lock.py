"""One watcher at a time for the same settings."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ftbench.errors import LaunchError, Problem
from ftbench.schema import write_atomically
from ftbench.watch.ledger import unwritable
from ftbench.watch.stopping import Stop

_PAUSE_S = 1.0


@dataclass(frozen=True)
class Holder:
    """Who holds the lock.

    Attributes:
        pid: Its process; 0 when it has not said.
        has_end: It ends by itself.
    """

    pid: int = 0
    has_end: bool = True


@contextmanager
def held(
    state: Path, has_end: bool, may_wait: bool, stop: Stop, say: Callable[[str], None]
) -> Iterator[bool]:
    """Holds a watcher's folder; the system frees it when the watcher dies, however it does.

    Args:
        state: The folder; it is made.
        has_end: This watcher ends by itself; others are told.
        may_wait: Wait for a watcher that ends by itself, such as that of a training that crashed.
        stop: A signal ends the wait.
        say: Takes a line for the user.

    Yields:
        Whether it is held; False after a signal.

    Raises:
        LaunchError: Another watcher holds it, or it cannot be written.
    """
    lock = FileLock(state / "lock")
    path = state / "watcher.json"
    try:
        state.mkdir(parents=True, exist_ok=True)
        told = False
        while not (is_held := _try(lock)) and not stop.is_asked:
            holder = _read(path)
            if not (may_wait and holder.has_end):
                raise LaunchError(_second(state, holder))
            if not told:
                say(f"waiting for the watcher of process {holder.pid}, with the same settings")
                told = True
            stop.sleep(_PAUSE_S)
        if is_held:
            mine = {"pid": os.getpid(), "since": time.time(), "has_end": has_end}
            write_atomically(path, json.dumps(mine))
    except OSError as exc:
        raise unwritable(state, exc) from exc
    try:
        yield is_held
    finally:
        lock.release()


def _try(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def _read(path: Path) -> Holder:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return Holder(int(value["pid"]), bool(value["has_end"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Holder()  # it has only just taken the lock


def _second(state: Path, holder: Holder) -> Problem:
    pid = f"process {holder.pid}" if holder.pid else "another process"
    return Problem(
        f"the lock of {state}",
        f"{pid} is a watcher with the same settings",
        "let it work, or end it first; with other settings a second one may run",
    )
