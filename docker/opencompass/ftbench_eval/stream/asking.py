"""Asks the model everything that a set of subsets asks, as one stream."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ftbench.schema import Reason
from ftbench_eval.output import Output
from ftbench_eval.presets import Subset
from ftbench_eval.progress import Progress
from ftbench_eval.reasons import explain
from ftbench_eval.settings import Settings
from ftbench_eval.stream.batches import BatchLimit, plan_batches
from ftbench_eval.stream.journal import Journal
from ftbench_eval.stream.prompts import Prompter
from ftbench_eval.stream.requests import Batch, Request
from ftbench_eval.stream.stream import Answerer, Stream


@dataclass
class _Asked:
    """A subset on its way: its requests, and how many of them wait for an answer."""

    subset: Subset
    requests: list[Request]
    open: int
    before: int


class StreamedSubsets:
    """From subsets to predictions: first their prompts, then the model, then their files.

    Args:
        prompters: By role.
        predictions: Folder of the model's predictions.
        seconds: Inference seconds by subset, of an interrupted run; kept up to date.
        on_written: Called in a thread of ours when a subset's predictions are written.
        on_failed: Called when a subset cannot be asked or written, with the reason; in any thread.
    """

    def __init__(
        self,
        settings: Settings,
        progress: Progress,
        output: Output,
        journal: Journal,
        prompters: Mapping[str, Prompter],
        predictions: Path,
        seconds: dict[str, float],
        on_written: Callable[[Subset], None],
        on_failed: Callable[[str, Reason], None],
    ) -> None:
        self._settings = settings
        self._progress = progress
        self._output = output
        self._journal = journal
        self._prompters = prompters
        self._predictions = predictions
        self._seconds = seconds
        self._on_written = on_written
        self._on_failed = on_failed
        self._asked: dict[str, _Asked] = {}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="predictions")
        self._writing: list[Future[None]] = []
        self._lock = threading.Lock()

    def collect(self, subsets: Sequence[Subset]) -> None:
        """Makes the prompts of every subset; needs no weights."""
        for subset in subsets:
            try:
                requests = self._prompters[subset.role].collect(subset, self._seed(subset))
            except Exception as exc:  # foreign code; what fails is this subset only
                self._on_failed(subset.abbr, explain(exc, "prompts"))
                continue
            left = sum(self._journal.answer(request) is None for request in requests)
            expected = self._progress.subset(subset.result_abbr).expected
            before = subset.run * expected // subset.runs
            asked = _Asked(subset, requests, left, before)
            self._asked[subset.abbr] = asked
            self._count(asked)
            if not left:
                self._write(asked)

    @property
    def is_answered(self) -> bool:
        """Whether no request waits for the model."""
        return not any(asked.open for asked in self._asked.values())

    def ask(
        self,
        answerers: Sequence[Answerer],
        limits: Mapping[str, BatchLimit],
        by_length: bool = True,
    ) -> None:
        """Asks the model, and writes what is whole.

        Args:
            limits: How large a batch may be, by method of the call.
            by_length: As in ``plan_batches``.

        Raises:
            OSError: Answers cannot be kept.
            ModelGone: No answerer has a model any more.
        """
        requests = [request for asked in self._asked.values() for request in asked.requests]
        batches = plan_batches(requests, dict(limits), by_length)
        self._output.say(
            f"ftbench: {len(requests)} prompts of {len(self._asked)} subsets "
            f"in {len(batches)} batches"
        )
        stream = Stream(answerers, self._journal, self._answered, self._on_failed, self._output.say)
        try:
            stream.run(batches)
        finally:
            self._journal.close()

    def wait(self) -> None:
        """Waits until every prediction file is written.

        Raises:
            Exception: Whatever ``on_written`` raised.
        """
        for written in self._writing:
            written.result()
        self._writer.shutdown()

    def _answered(self, batch: Batch, seconds: float) -> None:
        share = seconds / len(batch.requests)
        with self._lock:
            for abbr, count in Counter(request.abbr for request in batch.requests).items():
                asked = self._asked[abbr]
                asked.open -= count
                name = asked.subset.result_abbr
                self._seconds[name] = self._seconds.get(name, 0.0) + share * count
                self._count(asked)
                if not asked.open:
                    self._write(asked)

    def _count(self, asked: _Asked) -> None:
        """Reports samples; a sample is whole when all its labels are answered."""
        name = asked.subset.result_abbr
        total = len(asked.requests)
        expected = self._progress.subset(name).expected // asked.subset.runs
        whole = (total - asked.open) * expected // total if total else 0
        seconds = self._seconds.get(name, 0.0)
        self._progress.note(name, completed=asked.before + whole, seconds=seconds)

    def _write(self, asked: _Asked) -> None:
        self._writing.append(self._writer.submit(self._write_now, asked))

    def _write_now(self, asked: _Asked) -> None:
        subset = asked.subset
        answers = [(request.digest, self._journal.answer(request)) for request in asked.requests]
        target = self._predictions / f"{subset.abbr}.json"
        try:
            prompter = self._prompters[subset.role]
            prompter.write(subset, answers, self._seed(subset), target)
        except Exception as exc:  # foreign code; what fails is this subset only
            self._on_failed(subset.abbr, explain(exc, "prompts"))
        else:
            self._on_written(subset)

    def _seed(self, subset: Subset) -> int:
        return self._settings.seed + subset.run
