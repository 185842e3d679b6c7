"""How single questions were answered, read late: from disk or a tracker, by who knows how to.

A comparison asks for verdicts only of datasets that can be compared, and for texts only of the few
questions that it shows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ftbench.schema import DatasetResult, SubsetResult

MAX_TEXT = 1200
"""Characters of a prompt or an answer that are shown; of a longer one both ends are."""
_HEAD = 300
"""Characters of the beginning, where a text is cut: questions and results stand at its end."""


class Unpaired(Exception):
    """Answers cannot be read, or not be put beside those of another run; the message says why."""


class Place(NamedTuple):
    """Where an answer belongs: OpenCompass abbr of the subset, position in it, repeat."""

    subset: str
    position: int
    repeat: int


class Verdict(NamedTuple):
    """What is known of one answer; ``right`` is None where OpenCompass does not say."""

    place: Place
    right: bool | None
    reference: str | None
    unknown_why: str


@dataclass(frozen=True)
class SubsetAnswers:
    """How the questions of one subset were answered.

    Attributes:
        abbr: OpenCompass abbr of the subset.
        indices: Positions of its questions, ascending.
        right: Questions x repeats, in the order of indices; empty where unknown_why says so.
        references: The right answer of each question; None where none is recorded.
        unknown_why: Why it is not known which answers are right, or empty.
    """

    abbr: str
    indices: tuple[int, ...] = ()
    right: tuple[tuple[bool, ...], ...] = ()
    references: tuple[str | None, ...] = ()
    unknown_why: str = ""

    @property
    def share(self) -> float:
        """Of right answers, over questions and repeats."""
        return sum(map(sum, self.right)) / sum(map(len, self.right))

    @property
    def repeats(self) -> int:
        """How often every question was asked."""
        return len(self.right[0]) if self.right else 0


@dataclass(frozen=True)
class AnswerText:
    """One answer as people read it; long texts are cut visibly."""

    prompt: str
    reference: str
    prediction: str
    extracted: str


class Answers(Protocol):
    """Reads the answers of one run."""

    def verdicts(self, dataset: DatasetResult) -> Mapping[str, SubsetAnswers]:
        """Which answers of a dataset are right, by the subset's abbr.

        Raises:
            Unpaired: They cannot be read.
        """

    def texts(
        self, dataset: DatasetResult, places: Collection[Place]
    ) -> Mapping[Place, AnswerText]:
        """The texts of some answers; of those that are there.

        Raises:
            Unpaired: They cannot be read.
        """


def by_subset(dataset: DatasetResult, verdicts: Iterable[Verdict]) -> dict[str, SubsetAnswers]:
    """Sorts what was read of a dataset, and says where it is not whole."""
    rows: dict[str, dict[tuple[int, int], Verdict]] = {s.abbr: {} for s in dataset.subsets}
    for verdict in verdicts:
        place = verdict.place
        if place.subset in rows:
            rows[place.subset][place.position, place.repeat] = verdict
    return {s.abbr: _subset_answers(s, rows[s.abbr]) for s in dataset.subsets}


def answer_text(
    prompt: str | None, reference: str | None, prediction: str | None, extracted: str | None
) -> AnswerText:
    """The texts of an answer, cut to what is shown."""
    return AnswerText(*(_cut(text or "") for text in (prompt, reference, prediction, extracted)))


def _subset_answers(subset: SubsetResult, rows: Mapping[tuple[int, int], Verdict]) -> SubsetAnswers:
    repeats = max(1, subset.repeats)
    indices = tuple(sorted({index for index, _ in rows}))
    if not rows:
        return SubsetAnswers(subset.abbr, unknown_why="its answers are not recorded")
    is_whole = all((index, repeat) in rows for index in indices for repeat in range(repeats))
    if not is_whole or len(rows) != subset.expected:
        happened = f"{len(rows)} of {subset.expected} answers are recorded"
        return SubsetAnswers(subset.abbr, unknown_why=happened)
    unknown = [row for row in rows.values() if row.right is None]
    if unknown:
        why = next((row.unknown_why for row in unknown if row.unknown_why), "")
        said = f"OpenCompass does not say which answers are right{f' ({why})' if why else ''}"
        return SubsetAnswers(subset.abbr, unknown_why=said)
    right = tuple(tuple(bool(rows[i, repeat].right) for repeat in range(repeats)) for i in indices)
    return SubsetAnswers(subset.abbr, indices, right, tuple(rows[i, 0].reference for i in indices))


def _cut(text: str) -> str:
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:_HEAD]} […] {text[-(MAX_TEXT - _HEAD) :]}"
