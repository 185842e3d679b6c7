"""Benchmark runs to compare, built from a few numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ftbench.aggregates import aggregate, unscored
from ftbench.comparison import Evaluated
from ftbench.comparison.answers import (
    AnswerText,
    Place,
    SubsetAnswers,
    Verdict,
    answer_text,
    by_subset,
)
from ftbench.schema import OK, DatasetResult, Group, Result, SubsetResult

DATA_HASH = "d0" * 8
PROMPT_HASH = "aa" * 8


def subset(abbr: str, score: float | None, **changes: Any) -> SubsetResult:
    """A subset of 8 rows; without a score it failed."""
    given = SubsetResult(
        abbr=abbr,
        name=abbr.rpartition("_")[2],
        status=OK if score is not None else "failed",
        metric="accuracy" if score is not None else "",
        score=score,
        expected=8,
        completed=8 if score is not None else 3,
        data_hash=DATA_HASH,
        prompt_hash=PROMPT_HASH,
    )
    return replace(given, **changes)


def mmlu(law: float | None, anatomy: float | None, virology: float | None) -> DatasetResult:
    """Three subsets, of which anatomy and virology are a group."""
    scores = {"mmlu_law": law, "mmlu_anatomy": anatomy, "mmlu_virology": virology}
    subsets = tuple(subset(abbr, score) for abbr, score in scores.items())
    groups = unscored([Group("mmlu-stem", ("mmlu_anatomy", "mmlu_virology"))])
    return aggregate(DatasetResult("mmlu", subsets=subsets, groups=groups))


def single(name: str, score: float | None, **changes: Any) -> DatasetResult:
    """A dataset of one subset; changes are the subset's."""
    flags = changes.get("flags", ())
    own = subset(name, score, **changes)
    return replace(aggregate(DatasetResult(name, subsets=(own,))), flags=flags)


def run(model: str, *datasets: DatasetResult, **changes: Any) -> Evaluated:
    """A benchmark run of a model, ``base`` for the base model; its key is the model's name."""
    given = Evaluated(
        key=changes.pop("key", model),
        name=f"{model} · greedy",
        model=model,
        setting="greedy",
        base_model="tiny/base-model",
        is_base=model == "base",
        result=Result(fingerprint=f"fingerprint of {model}", stage="done", datasets=datasets),
    )
    return replace(given, **changes)


@dataclass(frozen=True)
class Told:
    """Answers from memory: a string for each subset, ``1`` a right answer and ``0`` a wrong one.

    Attributes:
        rows: By the subset's abbr; repeats one after another, with a space between them.
        reference: The right answer of every question.
    """

    rows: Mapping[str, str]
    reference: str = "A"

    def verdicts(self, dataset: DatasetResult) -> Mapping[str, SubsetAnswers]:
        return by_subset(
            dataset,
            (
                Verdict(Place(abbr, position, repeat), right == "1", self.reference, "")
                for abbr, row in self.rows.items()
                for repeat, answers in enumerate(row.split())
                for position, right in enumerate(answers)
            ),
        )

    def texts(
        self, dataset: DatasetResult, places: Collection[Place]
    ) -> Mapping[Place, AnswerText]:
        return {
            place: answer_text(
                f"Question {place.position}?",
                self.reference,
                f"I say {'A' if self._is_right(place) else 'B'}.",
                "A" if self._is_right(place) else "B",
            )
            for place in places
        }

    def _is_right(self, place: Place) -> bool:
        return self.rows[place.subset].split()[place.repeat][place.position] == "1"


def answered(model: str, **rows: str) -> Evaluated:
    """A benchmark run with its answers: a dataset of one subset for each string."""
    datasets = [
        single(
            name,
            100 * row.count("1") / len(row.replace(" ", "")),
            expected=len(row.replace(" ", "")),
            completed=len(row.replace(" ", "")),
            repeats=len(row.split()),
        )
        for name, row in rows.items()
    ]
    return run(model, *datasets, answers=Told(rows))
