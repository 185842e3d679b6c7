"""Ends what a training that did not end well left running outside of its own session.

Launchers of several processes (torchrun) give each worker a session of its own; where the launcher
is killed, its workers stay and hold their GPUs. A variable that all of them inherit tells them.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

MARK = "FTBENCH_TRAINING_MARK"


def end_leftovers(mark: str) -> int:
    """Kills every process of ours whose environment holds the mark.

    Args:
        mark: Value of MARK, unlike any other training's.

    Returns:
        How many were killed; 0 where there is no /proc.
    """
    wanted = f"{MARK}={mark}".encode()
    killed = 0
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted in variables and pid != os.getpid():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
    return killed
