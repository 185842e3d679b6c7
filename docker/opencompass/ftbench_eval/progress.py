"""The result as it grows: every thread reports here, and ``progress.json`` follows."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from ftbench.aggregates import aggregate
from ftbench.schema import (
    FAILED,
    PENDING,
    DatasetResult,
    ModelFacts,
    Reason,
    Result,
    RunFiles,
    SubsetResult,
    write_result,
)

WRITE_INTERVAL_S = 0.5


class Progress:
    """The growing result; safe to call from any thread.

    Args:
        files: The run folder.
        result: What is known at the start.
    """

    def __init__(self, files: RunFiles, result: Result) -> None:
        self._files = files
        self._result = result
        self._lock = threading.RLock()
        self._written_at = 0.0

    @property
    def result(self) -> Result:
        """The result as of now."""
        return self._result

    def subset(self, abbr: str) -> SubsetResult:
        """The subset of that name as of now.

        Raises:
            KeyError: There is none.
        """
        for dataset in self._result.datasets:
            for subset in dataset.subsets:
                if subset.abbr == abbr:
                    return subset
        raise KeyError(abbr)

    def update(
        self,
        stage: str | None = None,
        model: ModelFacts | None = None,
        versions: dict[str, str] | None = None,
        datasets: Sequence[DatasetResult] | None = None,
        hardware: dict[str, str] | None = None,
    ) -> None:
        """Replaces what is given and writes.

        Args:
            stage: ``starting``, ``loading``, ``running`` or ``done``.
            model: How the model was loaded.
            versions: Package versions by name.
            datasets: Every dataset, with its subsets, in the user's order.
            hardware: What the program runs on, by name.
        """
        with self._lock:
            changes = {
                "stage": stage,
                "model": model,
                "versions": versions,
                "hardware": hardware,
                "datasets": None if datasets is None else tuple(map(aggregate, datasets)),
            }
            given = {key: value for key, value in changes.items() if value is not None}
            self._result = replace(self._result, **given)  # type: ignore[arg-type]
            self.write()

    def count(self, abbr: str, completed: int) -> None:
        """Says how many samples of a subset have a prediction; writes at most twice a second."""
        self.note(abbr, completed=completed)

    def note(self, abbr: str, **changes: object) -> None:
        """Changes fields of one subset, as ``settle`` does; writes at most twice a second."""
        with self._lock:
            self._replace(abbr, **changes)
            if time.monotonic() - self._written_at >= WRITE_INTERVAL_S:
                self.write()

    def settle(self, abbr: str, **changes: object) -> DatasetResult:
        """Changes fields of one subset, such as its status and score, and writes.

        Returns:
            Its dataset, aggregated anew.
        """
        with self._lock:
            dataset = self._replace(abbr, **changes)
            self.write()
            return dataset

    def fail_pending(self, reason: Reason) -> None:
        """Makes every pending subset and dataset a failed one, for one reason."""
        with self._lock:
            failed = []
            for dataset in self._result.datasets:
                subsets = tuple(
                    replace(s, status=FAILED, reason=reason) if s.status == PENDING else s
                    for s in dataset.subsets
                )
                if dataset.status == PENDING and not subsets:
                    dataset = replace(dataset, status=FAILED, reason=reason)
                failed.append(aggregate(replace(dataset, subsets=subsets)))
            self._result = replace(self._result, datasets=tuple(failed))

    def finish(self, failure: Reason | None = None) -> None:
        """Writes ``progress.json`` and then ``result.json``, which says that this is all."""
        with self._lock:
            self._result = replace(
                self._result, stage="done", failure=failure, finished_at=time.time()
            )
            self.write()
            write_result(self._files.result, self._result)

    def write(self) -> None:
        """Writes ``progress.json``."""
        with self._lock:
            write_result(self._files.progress, self._result, is_passing=True)
            self._written_at = time.monotonic()

    def _replace(self, abbr: str, **changes: object) -> DatasetResult:
        datasets = list(self._result.datasets)
        for position, dataset in enumerate(datasets):
            if any(subset.abbr == abbr for subset in dataset.subsets):
                subsets = tuple(
                    replace(s, **changes) if s.abbr == abbr else s  # type: ignore[arg-type]
                    for s in dataset.subsets
                )
                datasets[position] = aggregate(replace(dataset, subsets=subsets))
                self._result = replace(self._result, datasets=tuple(datasets))
                return datasets[position]
        raise KeyError(abbr)
