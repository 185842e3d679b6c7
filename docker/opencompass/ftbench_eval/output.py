"""Keeps our few lines on the real standard output and sends every library's noise to a log."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import TextIO


class Output:
    """The program's own lines.

    Args:
        log: File that receives what OpenCompass and the libraries under it print.

    Side effects: file descriptors 1 and 2 of this process, and of all it starts, point at ``log``.
    """

    def __init__(self, log: Path) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._lines: TextIO = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
        log.parent.mkdir(parents=True, exist_ok=True)
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(target, 1)
        os.dup2(target, 2)
        os.close(target)
        print(time.strftime("--- %Y-%m-%d %H:%M:%S start"), flush=True)

    def say(self, line: str) -> None:
        """Prints one line on the real standard output and in the log."""
        # A reader that has gone does not end the run; the log still has the line.
        with contextlib.suppress(OSError):
            self._lines.write(line + "\n")
        print(f"--- {time.strftime('%H:%M:%S')} {line}", flush=True)
