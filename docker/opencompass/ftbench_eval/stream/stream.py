"""Takes batches to the model until every request is answered or its subset has failed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from ftbench.schema import Reason
from ftbench_eval.reasons import explain
from ftbench_eval.stream.answering import is_out_of_memory, release_memory
from ftbench_eval.stream.batches import by_subset, fits, halves
from ftbench_eval.stream.journal import Journal
from ftbench_eval.stream.requests import Answer, Batch


class Answerer(Protocol):
    """A model that answers batches, one at a time."""

    def answer(self, batch: Batch) -> list[Answer]:
        """One answer for each request, in order; raises whatever goes wrong."""


class Stream:
    """Asks batches, keeps their answers, and finds out which subset breaks a batch.

    Args:
        answerers: They pull from the same batches, each in a thread of its own.
        journal: Receives the answers; requests that it has an answer to are not asked.
        on_answered: Called after each batch, with the seconds that it took; in any thread.
        on_failed: Called once for a subset that cannot be asked, with the reason; in any thread.
        say: Prints a line.
    """

    def __init__(
        self,
        answerers: Sequence[Answerer],
        journal: Journal,
        on_answered: Callable[[Batch, float], None],
        on_failed: Callable[[str, Reason], None],
        say: Callable[[str], None],
    ) -> None:
        self._answerers = answerers
        self._journal = journal
        self._on_answered = on_answered
        self._on_failed = on_failed
        self._say = say
        self._failed: set[str] = set()
        self._too_large: int | None = None
        self._lock = threading.Lock()

    def run(self, batches: Iterable[Batch]) -> None:
        """Asks every batch.

        Raises:
            OSError: Answers cannot be kept.
        """
        left = iter(batches)
        if len(self._answerers) == 1:
            self._pull(self._answerers[0], left)
            return
        with ThreadPoolExecutor(len(self._answerers), thread_name_prefix="model") as pool:
            for ended in [pool.submit(self._pull, one, left) for one in self._answerers]:
                ended.result()

    def _pull(self, answerer: Answerer, left: Iterator[Batch]) -> None:
        while True:
            with self._lock:
                batch = next(left, None)
            if batch is None:
                return
            self._ask(answerer, batch)

    def _ask(self, answerer: Answerer, batch: Batch) -> None:
        open_ones = tuple(
            request
            for request in batch.requests
            if request.abbr not in self._failed and self._journal.answer(request) is None
        )
        if not open_ones:
            return
        batch = Batch(open_ones)
        if not fits(batch, self._too_large):
            self._ask_all(answerer, halves(batch))
            return
        started = time.monotonic()
        try:
            answers = answerer.answer(batch)
        except Exception as exc:  # foreign code; what fails is the subset that breaks it only
            had_no_room = is_out_of_memory(exc)
            reason = explain(exc, "out_of_memory" if had_no_room else "inference")
        else:
            self._journal.add(batch.requests, answers)
            self._on_answered(batch, time.monotonic() - started)
            return
        # Out here the traceback no longer holds what the batch had in memory.
        self._divide(answerer, batch, had_no_room, reason)

    def _divide(self, answerer: Answerer, batch: Batch, had_no_room: bool, reason: Reason) -> None:
        release_memory()
        parts = by_subset(batch)
        if had_no_room and len(batch.requests) > 1:
            with self._lock:
                self._too_large = min(batch.tokens, self._too_large or batch.tokens)
            count, widest = len(batch.requests), batch.requests[0].tokens
            self._say(
                f"ftbench: {count} samples of up to {widest} tokens had no room in memory; "
                "going on with half as many"
            )
            self._ask_all(answerer, halves(batch))
        elif len(parts) > 1:
            self._ask_all(answerer, parts)
        else:
            self._fail(batch.requests[0].abbr, reason)

    def _ask_all(self, answerer: Answerer, batches: Iterable[Batch]) -> None:
        for batch in batches:
            self._ask(answerer, batch)

    def _fail(self, abbr: str, reason: Reason) -> None:
        with self._lock:
            if abbr in self._failed:
                return
            self._failed.add(abbr)
        self._on_failed(abbr, reason)
