"""What a benchmark of the tests is: rows on disk, scripted replies, and the hand-made truth."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftbench.catalogue import load_catalogue

LETTERS = "ABCD"


@dataclass(frozen=True)
class Row:
    """One sample.

    Attributes:
        marker: Text that stands in its prompt and in no other prompt.
        reply: What the scripted model answers; for perplexity, the ending that it finds likeliest.
        correct: Whether that is right, by the benchmark's own rules.
        extracted: What the evaluator must take from the reply; None: anything but nothing.
        reference: What it must compare with; None: anything but nothing.
        read: Whether the evaluator looks at the reply at all; not where it cannot read the
            reference.
    """

    marker: str
    reply: str
    correct: bool
    extracted: str | None = None
    reference: str | None = None
    read: bool = True


@dataclass(frozen=True)
class Benchmark:
    """One dataset.

    Attributes:
        name: As a user asks for it.
        metric: Headline metric of every subset.
        score: Of the dataset, percent: the unweighted mean over its subsets.
        subsets: Samples by OpenCompass's abbr, in the order of the files.
        write: Writes the files that OpenCompass reads, below a data folder.
        metrics: Other metrics of a single subset, in percent.
    """

    name: str
    metric: str
    score: float
    subsets: Mapping[str, Sequence[Row]]
    write: Callable[[Path], None]
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """Samples of all subsets."""
        return sum(map(len, self.subsets.values()))

    def subset_score(self, abbr: str) -> float:
        """Percent of a subset's rows that are right."""
        rows = self.subsets[abbr]
        return 100 * sum(row.correct for row in rows) / len(rows)


@dataclass(frozen=True)
class Case:
    """A way to answer a multiple-choice question.

    Attributes:
        reply: With ``{right}``, ``{wrong}`` and ``{small}`` for the right option, another one, and
            the right one as a small letter.
        correct: Whether it is right.
        extracted: What the evaluator takes from it, in the same terms.
    """

    reply: str
    correct: bool
    extracted: str

    def row(self, marker: str, letter: str, letters: str = LETTERS) -> Row:
        """A sample that is answered this way.

        Args:
            letter: The right option.
            letters: All options.
        """
        wrong = letters[(letters.index(letter) + 1) % len(letters)]
        terms = {"right": letter, "wrong": wrong, "small": letter.lower()}
        reply, extracted = self.reply.format(**terms), self.extracted.format(**terms)
        return Row(marker, reply, self.correct, extracted, letter)


def subset_names(preset: str, prefix: str) -> dict[str, str]:
    """Names of a preset's subsets: OpenCompass's abbr to what stands behind a prefix, in order."""
    abbrs = load_catalogue().resolve(preset).subsets
    return {abbr: abbr.removeprefix(prefix) for abbr in abbrs}


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes JSON lines."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_text(path, text)


def write_csv(path: Path, rows: Iterable[Sequence[str]], delimiter: str = ",") -> None:
    """Writes comma-separated values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


def write_text(path: Path, text: str) -> None:
    """Writes a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
