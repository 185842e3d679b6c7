"""Takes batches to the model until every request is answered or its subset has failed."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from ftbench.schema import Canary, Reason
from ftbench_eval.reasons import Refused, explain
from ftbench_eval.stream.answering import is_out_of_memory, release_memory
from ftbench_eval.stream.batches import by_subset, fits, halves
from ftbench_eval.stream.journal import Journal
from ftbench_eval.stream.requests import Answer, Batch, Request

Keep = Callable[[Sequence[Request], Sequence[Answer]], None]
"""Receives answers of some requests of a batch."""


class Answerer(Protocol):
    """A model that answers batches, one at a time.

    One that answers the requests of a batch one by one has ``answer_in_parts(batch, keep)``
    instead, and calls ``keep`` with each part; it returns when the batch is whole.
    """

    def answer(self, batch: Batch) -> list[Answer]:
        """One answer for each request, in order; raises whatever goes wrong."""


class ModelGone(Refused):
    """An answerer has lost its model for good: no batch is at fault, others may go on.

    Args:
        kind, message: As of ``Refused``.
        canary: What was measured of an adapter that has no effect, or None.
    """

    def __init__(self, kind: str, message: str, canary: Canary | None = None) -> None:
        super().__init__(kind, message)
        self.canary = canary


class _NotKept(Exception):
    """A part of a batch was answered and could not be kept."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Stream:
    """Asks batches, keeps their answers, and finds out which subset breaks a batch.

    Args:
        answerers: They pull from the same batches, each in a thread of its own.
        journal: Receives the answers; requests that it has an answer to are not asked.
        on_answered: Called after each batch or part of one, with the seconds since the answers
            before it, so that they sum up to the time that passed; in any thread.
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
        self._left: deque[Batch] = deque()
        self._last_answer_at = 0.0

    def run(self, batches: Iterable[Batch]) -> None:
        """Asks every batch.

        Raises:
            OSError: Answers cannot be kept.
            ModelGone: No answerer has a model any more.
        """
        self._left.extend(batches)
        self._last_answer_at = time.monotonic()
        alive = list(self._answerers)
        while True:
            losses = self._pull_all(alive)
            alive = [one for one, loss in zip(alive, losses, strict=True) if loss is None]
            if not self._left:
                return
            if not alive:
                raise next(loss for loss in losses if loss is not None)

    def _pull_all(self, answerers: Sequence[Answerer]) -> list[ModelGone | None]:
        if len(answerers) == 1:
            return [self._pull(answerers[0])]
        with ThreadPoolExecutor(len(answerers), thread_name_prefix="model") as pool:
            return list(pool.map(self._pull, answerers))

    def _pull(self, answerer: Answerer) -> ModelGone | None:
        """Asks until nothing is left; gives its batch back when its model has gone."""
        while True:
            with self._lock:
                if not self._left:
                    return None
                batch = self._left.popleft()
            try:
                self._ask(answerer, batch)
            except ModelGone as exc:
                with self._lock:
                    self._left.appendleft(batch)
                return exc
            except BaseException:
                with self._lock:
                    self._left.clear()  # the others end with their batch
                raise

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
        try:
            answers = self._answers(answerer, batch)
        except _NotKept as exc:
            raise exc.error from None
        except ModelGone:
            raise
        except Exception as exc:  # foreign code; what fails is the subset that breaks it only
            had_no_room = is_out_of_memory(exc)
            reason = explain(exc, "out_of_memory" if had_no_room else "inference")
        else:
            if answers is not None:
                self._keep(batch.requests, answers)
            return
        # Out here the traceback no longer holds what the batch had in memory.
        self._divide(answerer, batch, had_no_room, reason)

    def _answers(self, answerer: Answerer, batch: Batch) -> list[Answer] | None:
        """The answers; None where they were kept already."""
        in_parts = getattr(answerer, "answer_in_parts", None)
        if in_parts is None:
            return answerer.answer(batch)
        in_parts(batch, self._keep_part)
        return None

    def _keep_part(self, requests: Sequence[Request], answers: Sequence[Answer]) -> None:
        try:
            self._keep(requests, answers)
        except Exception as exc:  # not the model's: the batch is not to be blamed
            raise _NotKept(exc) from exc

    def _keep(self, requests: Sequence[Request], answers: Sequence[Answer]) -> None:
        self._journal.add(requests, answers)
        with self._lock:
            now = time.monotonic()
            seconds, self._last_answer_at = now - self._last_answer_at, now
        self._on_answered(Batch(tuple(requests)), seconds)

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
