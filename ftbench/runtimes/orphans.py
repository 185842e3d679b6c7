"""What a launcher that was killed left behind: its program, still at work, and its folders.

A SIGKILL leaves no time to clean up. The next launch of the same evaluation does it, before it
starts a second program that would write into the same run folder.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ftbench.plan import Plan
from ftbench.process import start_time

_LONGEST_SOCKET = 107
"""Bytes of a socket's path. Source: unix(7)."""


@dataclass(frozen=True)
class _Process:
    pid: int
    session: int


def stop_orphans(plan: Plan, on_line: Callable[[str], None]) -> None:
    """Stops every process of the evaluation program that works in the run folder of a plan.

    Called by the one launcher that holds the run folder, so that whoever is found has none. They
    are found by their variables (``OUTPUT_PATH``), which Linux shows; elsewhere none is found.

    Args:
        plan: About to be launched.
        on_line: Called with a line when there is one to stop.

    Side effects: SIGTERM to each session's leader, and SIGKILL to all after the grace period.
    """
    found = _programs(plan)
    if not found:
        return
    on_line(f"ftbench: stopping process {found[0].session}, which a killed launcher left at work")
    for process in found:
        if process.pid == process.session:
            _signal(process.pid, signal.SIGTERM)
    last = time.monotonic() + plan.stop_grace_s
    while _programs(plan) and time.monotonic() < last:
        time.sleep(0.1)
    while left := _programs(plan):
        for process in left:
            _signal(process.pid, signal.SIGKILL)
        time.sleep(0.1)


@contextlib.contextmanager
def private_folder(kind: str, fingerprint: str, room: int = 0) -> Iterator[Path]:
    """A temporary folder for one launch (mode 0700), whose name tells whose it is.

    Args:
        kind: ``ftbench`` and what it is for.
        fingerprint: Of the evaluation.
        room: Bytes that the path of a socket takes below it. Where the system's temporary folder
            leaves less, it lies in ``/tmp``.

    Side effects: removes it at the end, and at the beginning those of the same evaluation whose
        launcher is dead.
    """
    prefix = f"{kind}-{fingerprint[:6]}-"
    name = f"{prefix}{os.getpid()}-{start_time(os.getpid())}"
    parent = Path(tempfile.gettempdir())
    if room and len(os.fsencode(parent / name)) + room > _LONGEST_SOCKET:
        parent = Path("/tmp")
    for path in parent.glob(f"{prefix}*"):
        pid, _, started = path.name.removeprefix(prefix).partition("-")
        if pid.isdigit() and start_time(int(pid)) != started.partition("-")[0]:
            shutil.rmtree(path, ignore_errors=True)
    folder = _make_folder(parent / name)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_folder(path: Path) -> Path:
    for number in itertools.count():
        folder = path.with_name(f"{path.name}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            return folder
    raise AssertionError


def _programs(plan: Plan) -> list[_Process]:
    wanted = {f"OUTPUT_PATH={plan.run_dir}".encode(), f"FINGERPRINT={plan.fingerprint}".encode()}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        # It may end while we look, or be another user's.
        with contextlib.suppress(OSError, IndexError):
            if wanted <= set((folder / "environ").read_bytes().split(b"\0")):
                # pid (name) state ppid pgrp session ...; the name may hold spaces and parentheses
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if fields[0] != "Z":
                    found.append(_Process(int(folder.name), int(fields[3])))
    return sorted(found, key=lambda process: process.pid)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
