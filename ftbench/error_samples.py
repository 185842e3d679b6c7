"""Chooses wrong answers for programs that learn from them: a few of every dataset, the same again.

Reads the samples of a run folder line by line and keeps no more than it may hand on. What asked
for ``split=test`` gives none: whoever tunes on these answers must not have seen those rows.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftbench.plan import Plan
from ftbench.schema import DatasetResult, Result, RunFiles

WITHHELD = "split=test"
"""Why a run, or a dataset, has no error samples."""

MAX_PROMPT = 4000
MAX_TEXT = 2000
"""Characters; of a longer text the middle is left out, with a mark."""

_WRONG = (b'"correct": false', b'"correct":false')
"""In a line of samples; inside a text its quotes would have backslashes before them."""


@dataclass(frozen=True)
class ErrorSamples:
    """Wrong answers of one evaluation.

    Attributes:
        samples: As ``feedback.json`` has them.
        withheld: Why none of the whole run is given, or empty.
        withheld_of: Why a dataset gives none, by name.
        wrong: Questions that were answered wrong at least once, by dataset; those of a withheld one
            are not counted.
    """

    samples: tuple[dict[str, Any], ...] = ()
    withheld: str = ""
    withheld_of: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, int] = field(default_factory=dict)


def choose_errors(plan: Plan, result: Result) -> ErrorSamples:
    """Chooses as many wrong answers as the plan says, evenly over datasets and their subsets.

    Args:
        plan: Its options say which rows are for testing only.
        result: Collected; the samples lie in the plan's run folder.
    """
    if plan.parameters.get("split") == "test":
        names = {dataset.name: WITHHELD for dataset in result.datasets}
        return ErrorSamples(withheld=WITHHELD, withheld_of=names)
    tests = {d.name for d in plan.datasets if d.options.split == "test"}
    withheld = {d.name: WITHHELD for d in result.datasets if d.name in tests}
    pools = [
        _Pool(plan.files, dataset, plan.feedback_samples, plan.feedback_seed)
        for dataset in result.datasets
        if dataset.name not in withheld
    ]
    chosen = itertools.islice(_in_turn([iter(pool) for pool in pools]), plan.feedback_samples)
    return ErrorSamples(
        samples=tuple(chosen),
        withheld_of=withheld,
        wrong={pool.dataset.name: pool.wrong for pool in pools if plan.feedback_samples},
    )


class _Pool:
    """Wrong answers of one dataset, in the order in which they are handed on.

    Args:
        files: The run folder.
        dataset: As collected.
        most: Answers that a subset keeps.
        seed: Of the choice.
    """

    def __init__(self, files: RunFiles, dataset: DatasetResult, most: int, seed: int) -> None:
        self.dataset = dataset
        self.wrong = 0
        self._subsets: list[list[bytes]] = []
        for subset in dataset.subsets if most else ():
            rng = random.Random(f"{seed}/{dataset.name}/{subset.abbr}")
            lines = _wrong_lines(files.samples(subset.abbr), subset.repeats > 1)
            count, kept = _reservoir(lines, most, rng)
            self.wrong += count
            self._subsets += [kept] if kept else []
        # Else the first of 57 subsets would always have one, and the last never.
        random.Random(f"{seed}/{dataset.name}").shuffle(self._subsets)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for line in _in_turn([iter(lines) for lines in self._subsets]):
            sample = _sample(line)
            if sample is not None:
                yield _entry(self.dataset.name, sample)


def _wrong_lines(path: Path, is_repeated: bool) -> Iterator[bytes]:
    """Lines of wrong samples; of a question that was asked several times one."""
    if not path.is_file():
        return  # a subset that failed has none
    seen: set[int] = set()
    with path.open("rb") as lines:
        for line in lines:
            if not any(mark in line for mark in _WRONG):
                continue
            if is_repeated:
                sample = _sample(line)
                if sample is None or sample["index"] in seen:
                    continue
                seen.add(sample["index"])
            yield line


def _sample(line: bytes) -> dict[str, Any] | None:
    """The sample of a line; None where it is broken, as a killed process may leave one."""
    try:
        sample = json.loads(line)
        is_whole = {"subset", "index", "prompt", "prediction"} <= sample.keys()
    except (ValueError, AttributeError):
        return None
    return sample if is_whole else None


def _reservoir(lines: Iterator[bytes], most: int, rng: random.Random) -> tuple[int, list[bytes]]:
    """How many lines there are, and ``most`` of them, each as likely as any other."""
    kept: list[bytes] = []
    count = 0
    for line in lines:
        count += 1
        if len(kept) < most:
            kept.append(line)
        elif (place := rng.randrange(count)) < most:
            kept[place] = line
    rng.shuffle(kept)
    return count, kept


def _in_turn(iterators: list[Iterator[Any]]) -> Iterator[Any]:
    """One of each, then the next of each, until all are at their end."""
    while iterators:
        left = []
        for iterator in iterators:
            try:
                yield next(iterator)
            except StopIteration:
                continue
            left.append(iterator)
        iterators = left


def _entry(dataset: str, sample: dict[str, Any]) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "subset": sample["subset"],
        "index": sample["index"],
        "repeat": sample.get("repeat", 0),
        "prompt": shortened(sample["prompt"], MAX_PROMPT),
        "answer": shortened(sample["prediction"], MAX_TEXT),
        "extracted": shortened(sample.get("extracted"), MAX_TEXT),
        "reference": shortened(sample.get("reference"), MAX_TEXT),
        "truncated": sample.get("truncated"),
    }


def shortened(text: str | None, most: int) -> str | None:
    """A text without its middle where it is longer than ``most`` characters; the mark counts not.

    Both ends tell most: the task before the examples, the question behind them.
    """
    if text is None or len(text) <= most:
        return text
    head, tail = most // 2, most - most // 2
    return f"{text[:head]} […{len(text) - most} characters left out…] {text[-tail:]}"
