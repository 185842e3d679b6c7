"""Whether the scores came out the same: to the last digit, and answer by answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ftbench.reproduce.original import Original, answers_in
from ftbench.reproduce.surroundings import Difference
from ftbench.schema import DatasetResult, Result, RunFiles, to_json
from ftbench.tracking.recorded_run import Answer

REPRODUCTION_VERSION = 1


@dataclass(frozen=True)
class DatasetVerdict:
    """One dataset, then and now.

    Attributes:
        then, now: Scores, unrounded; None where there is none.
        is_same: Both have the same status and, to the last digit, the same score.
        compared: Answers that both have.
        differing: Answers among them that are not equal, character by character.
        is_within: The new score lies in the 95 % interval of then; None where that is unknown.
    """

    name: str
    then: float | None
    now: float | None
    is_same: bool
    compared: int
    differing: int
    is_within: bool | None


@dataclass(frozen=True)
class Verdict:
    """The whole repetition.

    Attributes:
        differences: Between the surroundings of then and now.
    """

    datasets: tuple[DatasetVerdict, ...]
    differences: tuple[Difference, ...]

    @property
    def is_same(self) -> bool:
        """Every dataset is the same."""
        return all(dataset.is_same for dataset in self.datasets)


def judge(
    original: Original, result: Result, files: RunFiles, differences: Sequence[Difference]
) -> Verdict:
    """Compares a repetition with its original.

    Args:
        original: The evaluation.
        result: Of the repetition.
        files: Its run folder.
        differences: Of the surroundings.
    """
    now = {dataset.name: dataset for dataset in result.datasets}
    judged = tuple(
        _judge(then, now.get(then.name) or DatasetResult(then.name), original, files)
        for then in original.result.datasets
    )
    return Verdict(judged, tuple(differences))


def _judge(
    then: DatasetResult, now: DatasetResult, original: Original, files: RunFiles
) -> DatasetVerdict:
    compared, differing = compare_answers(original.answers(then), answers_in(files, now))
    return DatasetVerdict(
        name=then.name,
        then=then.score,
        now=now.score,
        is_same=(then.status, then.score) == (now.status, now.score),
        compared=compared,
        differing=differing,
        is_within=_is_within(then, now),
    )


def _is_within(then: DatasetResult, now: DatasetResult) -> bool | None:
    known = then.uncertainty
    if known is None or known.low is None or known.high is None or now.score is None:
        return None
    return known.low <= now.score <= known.high


def compare_answers(then: Iterable[Answer], now: Iterable[Answer]) -> tuple[int, int]:
    """How many answers both have, and how many of them differ.

    Args:
        then, now: Each answer once, in any order.
    """
    # A digest in place of each answer: 100,000 long ones would take a gigabyte.
    before = {(abbr, index, repeat): _digest(text) for abbr, index, repeat, text in then}
    compared = differing = 0
    for abbr, index, repeat, text in now:
        digest = before.pop((abbr, index, repeat), None)
        if digest is not None:
            compared += 1
            differing += digest != _digest(text)
    return compared, differing


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()[:16]


def lines(verdict: Verdict) -> list[str]:
    """The verdict for people."""
    found = [_line(dataset) for dataset in verdict.datasets]
    if verdict.differences:
        found += ["What was otherwise:", *(f"  {each}" for each in verdict.differences)]
    elif verdict.datasets:
        found += ["Nothing that was recorded of the surroundings was otherwise."]
    same = sum(dataset.is_same for dataset in verdict.datasets)
    total = len(verdict.datasets)
    word = "The same" if verdict.is_same else "Not the same"
    return [*found, f"{word}: {same}/{total} datasets have the very score of then"]


def _line(dataset: DatasetVerdict) -> str:
    then, now = _score(dataset.then), _score(dataset.now)
    told = (
        f"{dataset.name}: the same, {then}"
        if dataset.is_same
        else f"{dataset.name}: {then} then, {now} now"
    )
    if not dataset.is_same and dataset.is_within is not None:
        told += ", inside its 95 % interval" if dataset.is_within else ", outside its 95 % interval"
    if not dataset.compared:
        return f"{told}; the answers of then are not there to compare"
    return f"{told}; {dataset.differing} of {dataset.compared} answers differ"


def _score(score: float | None) -> str:
    return "no score" if score is None else repr(score)


def verdict_json(verdict: Verdict, original: Original, command: Sequence[str]) -> dict[str, Any]:
    """The content of ``reproduction.json``."""
    return {
        "kind": "ftbench.reproduction",
        "schema_version": REPRODUCTION_VERSION,
        "reproduces": original.name,
        "is_same": verdict.is_same,
        "datasets": to_json(verdict.datasets),
        "differences": to_json(verdict.differences),
        "command": list(command),
    }
