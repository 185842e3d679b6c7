"""Finds the line of a log that says why something failed.

Source: the log anatomy of OpenCompass 0.5.4 and of torch, transformers and vLLM under it.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

_TAIL = 256 * 1024
"""Bytes of a log that are looked at, from its end."""

_CAUSE = re.compile(r"^(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Interrupt|Exit)\b(?::.*)?$")

_START = re.compile(r"^--- \d{4}-\d\d-\d\d \d\d:\d\d:\d\d start$", re.MULTILINE)
"""What ``start_mark`` gives; the evaluation program writes the same into its own log."""

_SECONDARY = ("See root cause above", "Engine core initialization failed")


def start_mark() -> str:
    """The line that begins a launch in a log that earlier launches have written to."""
    return time.strftime("--- %Y-%m-%d %H:%M:%S start\n")


def root_cause(path: Path) -> str:
    """The last exception line of a log, or an empty string.

    Of several launches in one log only the last counts. vLLM and torchrun end with an exception
    that only points upwards; then it is the first one.

    Args:
        path: A log; an absent one has no cause.
    """
    if not path.is_file():
        return ""
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - _TAIL))
        text = log.read().decode("utf-8", "replace")
    last = max((found.end() for found in _START.finditer(text)), default=0)
    return root_cause_of(text[last:])


def root_cause_of(text: str) -> str:
    """The same, for text."""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines()]
    causes = [line for line in lines if _CAUSE.match(line)]
    if not causes:
        return ""
    pointed = any(word in causes[-1] for word in _SECONDARY)
    return causes[0] if pointed else causes[-1]
