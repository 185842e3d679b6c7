"""Live progress of an evaluation: samples done of the known total, per dataset, and each score.

Reads the progress file that the evaluation program rewrites; it never influences the run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ftbench.plan import Plan
from ftbench.printing import say
from ftbench.report import outcome
from ftbench.schema import PENDING, DatasetResult, Result, read_result
from ftbench.score_rows import MARK
from ftbench.validity import flagged

_POLL_S = 0.5


@contextmanager
def live_progress(plan: Plan, console: Console) -> Iterator[Callable[[str], None]]:
    """Shows progress while the block runs.

    Yields:
        A function that takes each line of the evaluation program.
    """
    stop = threading.Event()
    display = _Bars(plan, console) if console.is_terminal else _Lines(plan, console)
    watcher = threading.Thread(target=_watch, args=(plan, display, stop), daemon=True)
    with display:
        watcher.start()
        try:
            yield display.on_line
        finally:
            stop.set()
            watcher.join()
            _show(plan, display)


def _watch(plan: Plan, display: _Lines | _Bars, stop: threading.Event) -> None:
    while not stop.wait(_POLL_S):
        _show(plan, display)


def _show(plan: Plan, display: _Lines | _Bars) -> None:
    try:
        result = read_result(plan.files.progress)
    except (OSError, ValueError):
        return
    if result.fingerprint == plan.fingerprint:
        display.show(flagged(result, plan.flag_above))


class _Lines:
    """Plain lines, for a file or a pipe: the program's own, which tell each score as it comes."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self._console = console

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def on_line(self, line: str) -> None:
        say(self._console, line)

    def show(self, result: Result) -> None:
        """Nothing: the program's lines have said it."""


class _Bars(_Lines):
    """A bar per dataset, for a terminal; the program's lines scroll above it."""

    def __init__(self, plan: Plan, console: Console) -> None:
        super().__init__(plan, console)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("samples"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[score]}", style="bold"),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {
            dataset.name: self._progress.add_task(dataset.name, total=None, start=False, score="")
            for dataset in plan.datasets
            if dataset.earlier is None
        }

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def show(self, result: Result) -> None:
        for dataset in result.datasets:
            self._show_dataset(dataset)

    def _show_dataset(self, dataset: DatasetResult) -> None:
        task = self._tasks.get(dataset.name)
        if task is None:
            return
        done = sum(s.completed for s in dataset.subsets)
        total = sum(s.expected for s in dataset.subsets)
        if done or dataset.status != PENDING:
            self._progress.start_task(task)
        score = "" if dataset.status == PENDING else outcome(dataset)
        if score and dataset.flags:
            score += f" {MARK}"
        self._progress.update(task, completed=done, total=total or None, score=score)
        if dataset.status != PENDING:
            self._progress.stop_task(task)
