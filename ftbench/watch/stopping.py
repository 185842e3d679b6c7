"""Ctrl-C, SIGTERM and SIGHUP, counted rather than raised: no write is torn by one."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_TICK_S = 0.2


class Stop:
    """Whether the watcher was asked to stop.

    Attributes:
        signum: The last signal that asked; 0: none has.
        count: How many have.
    """

    def __init__(self) -> None:
        self.signum = 0
        self.count = 0

    @property
    def is_asked(self) -> bool:
        return self.count > 0

    @contextmanager
    def listening(self) -> Iterator[Stop]:
        """Counts signals inside the block; one that the caller ignores (``nohup``) stays ignored.

        Side effects: replaces the signal handlers and puts the old ones back.
        """
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        caught = [s for s in signals if signal.getsignal(s) != signal.SIG_IGN]
        previous = {signum: signal.signal(signum, self._count) for signum in caught}
        try:
            yield self
        finally:
            for signum, handler in previous.items():
                signal.signal(signum, handler)

    def sleep(self, seconds: float) -> None:
        """Waits; less when a signal comes."""
        before = self.count
        until = time.monotonic() + seconds
        while self.count == before and (left := until - time.monotonic()) > 0:
            time.sleep(min(_TICK_S, left))

    def _count(self, signum: int, _frame: FrameType | None) -> None:
        self.signum = signum
        self.count += 1
