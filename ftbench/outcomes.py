"""From the samples of an evaluation to what its error bars are computed from.

Only what is known counts: a subset whose answers are not all right or wrong, or do not give its
score, has no outcomes, and a sentence says why. Error bars of other numbers than the score are
never made. It reads ``samples/<abbr>.jsonl``; rows from elsewhere pass through the same functions.
"""

from __future__ import annotations

import itertools
import json
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbench.schema import DatasetResult, RunFiles, SubsetResult
from ftbench.statistics import MIN_CLUSTERS, SubsetOutcomes

if TYPE_CHECKING:
    import numpy.typing as npt

Answer = tuple[int, int, bool | None]
"""Index of the row, from 0; repeat, from 0; whether it is right, None when unknown."""


class UnknownOutcomes(ValueError):
    """The outcomes of a subset are not known; the message says why."""


@dataclass(frozen=True)
class DatasetOutcomes:
    """How every subset of a dataset was answered.

    Attributes:
        subsets: By abbr, each with the weight 1.
        unknown: Why there are none, by abbr.
        scores: Of all subsets that have one, by abbr.
    """

    subsets: Mapping[str, SubsetOutcomes] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)

    def weighted(self, weights: Mapping[str, float]) -> list[SubsetOutcomes]:
        """The outcomes behind a score.

        Where subsets are clusters (MIN_CLUSTERS and more), the score of one will do.

        Args:
            weights: Shares in the score by abbr, which add up to 1.

        Raises:
            UnknownOutcomes: Those of a subset are not known.
        """
        return [self._weighted(abbr, weight, len(weights)) for abbr, weight in weights.items()]

    def _weighted(self, abbr: str, weight: float, count: int) -> SubsetOutcomes:
        if abbr in self.subsets:
            return replace(self.subsets[abbr], weight=weight)
        if count < MIN_CLUSTERS or abbr not in self.scores:
            raise UnknownOutcomes(self.unknown.get(abbr, f"{abbr} has no score"))
        return by_score(abbr, self.scores[abbr], weight)


def paired_outcomes(
    ours: DatasetOutcomes, theirs: DatasetOutcomes, weights: Mapping[str, float]
) -> tuple[list[SubsetOutcomes], list[SubsetOutcomes]]:
    """The outcomes behind two scores; a subset that one of them knows only by score is so in both.

    Args:
        weights: As of ``DatasetOutcomes.weighted``; those of both.

    Raises:
        UnknownOutcomes: Those of a subset are not known.
    """
    pairs = zip(ours.weighted(weights), theirs.weighted(weights), strict=True)
    matched = [
        (mine, other)
        if mine.abbr in ours.subsets and mine.abbr in theirs.subsets
        else (
            by_score(mine.abbr, ours.scores[mine.abbr], mine.weight),
            by_score(mine.abbr, theirs.scores[mine.abbr], mine.weight),
        )
        for mine, other in pairs
    ]
    return [mine for mine, _ in matched], [other for _, other in matched]


def read_outcomes(files: RunFiles, dataset: DatasetResult) -> DatasetOutcomes:
    """The outcomes of a dataset from the samples in its run folder, a line at a time.

    Args:
        dataset: Collected; a subset without a score has no outcomes.
    """
    scored = [subset for subset in dataset.subsets if subset.score is not None]
    return collect_outcomes(
        scored, ((s.abbr, _answers(files.samples(s.abbr))) for s in scored if _may_be_known(s))
    )


def collect_outcomes(
    subsets: Iterable[SubsetResult], answers: Iterable[tuple[str, Iterable[Answer]]]
) -> DatasetOutcomes:
    """The outcomes of some subsets from their rows, wherever those were read.

    Args:
        subsets: With their scores; those without one are passed over.
        answers: For each abbr its rows, in any order.
    """
    by_abbr = {subset.abbr: subset for subset in subsets if subset.score is not None}
    found: dict[str, SubsetOutcomes] = {}
    unknown = {abbr: _why_unknown(subset) for abbr, subset in by_abbr.items()}
    for abbr, rows in answers:
        if abbr not in by_abbr:
            continue
        try:
            found[abbr] = subset_outcomes(by_abbr[abbr], rows)
        except UnknownOutcomes as exc:
            unknown[abbr] = str(exc)
    scores = {abbr: s.score for abbr, s in by_abbr.items() if s.score is not None}
    left = {abbr: why for abbr, why in unknown.items() if abbr not in found}
    return DatasetOutcomes(found, left, scores)


def subset_outcomes(subset: SubsetResult, answers: Iterable[Answer]) -> SubsetOutcomes:
    """The outcomes of one subset, with the weight 1.

    Args:
        subset: With its score.
        answers: Every row in every repeat, in any order.

    Raises:
        UnknownOutcomes: An answer is missing, there twice or neither right nor wrong, or the
            answers do not give the score.
    """
    right = _table(subset, answers)
    assert subset.score is not None
    worth = _worth(right, subset.score)
    if worth is None:
        raise UnknownOutcomes(
            f"{subset.abbr}: the right answers are {100 * float(right.mean()):.2f} %, which is not "
            f"its {subset.metric or 'score'} of {subset.score:.2f}"
        )
    return SubsetOutcomes(subset.abbr, worth * right, 1.0, worth)


def by_score(abbr: str, score: float, weight: float) -> SubsetOutcomes:
    """A subset of which nothing but the score is known."""
    import numpy as np

    return SubsetOutcomes(abbr, np.array([[score]]), weight)


def _may_be_known(subset: SubsetResult) -> bool:
    """Whether reading its samples may tell; BLEU's need not be read to know that they do not."""
    return 0 < subset.completed <= subset.correct_known


def _why_unknown(subset: SubsetResult) -> str:
    unknown = subset.completed - subset.correct_known
    why = f": {subset.unknown_why}" if subset.unknown_why else ""
    answers = f"{unknown} of {subset.completed} answers" if unknown > 0 else "its answers"
    return f"{subset.abbr}: whether {answers} are right is not known{why}"


def _answers(path: Path) -> Iterator[Answer]:
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                row = json.loads(line)
                yield int(row["index"]), int(row.get("repeat") or 0), row.get("correct")
    except FileNotFoundError as exc:
        raise UnknownOutcomes(f"{path.stem}: its samples are not there") from exc
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
        raise UnknownOutcomes(
            f"{path.stem}: its samples cannot be read: {type(exc).__name__}: {exc}"
        ) from exc


def _table(subset: SubsetResult, answers: Iterable[Answer]) -> npt.NDArray[Any]:
    """Rows x repeats, 1 where the answer is right and 0 where it is wrong."""
    import numpy as np

    rows, repeats, right = array("q"), array("q"), array("b")
    for row, repeat, correct in answers:
        if not isinstance(correct, bool):
            raise UnknownOutcomes(_why_unknown(subset))
        rows.append(row)
        repeats.append(repeat)
        right.append(correct)
    if not rows:
        raise UnknownOutcomes(f"{subset.abbr}: its samples are not there")
    # The rows of a subset need not begin at 0, and a run of it may have failed.
    _, row_at = np.unique(np.frombuffer(rows, dtype=np.int64), return_inverse=True)
    _, repeat_at = np.unique(np.frombuffer(repeats, dtype=np.int64), return_inverse=True)
    shape = (int(row_at.max()) + 1, int(repeat_at.max()) + 1)
    table = np.full(shape, np.nan)
    table[row_at, repeat_at] = np.frombuffer(right, dtype=np.int8)
    if len(rows) != table.size or np.isnan(table).any():
        raise UnknownOutcomes(
            f"{subset.abbr}: {len(rows)} answers do not make {shape[0]} rows x {shape[1]} repeats"
        )
    if len(rows) != (subset.completed or len(rows)):
        raise UnknownOutcomes(f"{subset.abbr}: {len(rows)} of {subset.completed} samples are there")
    return table


def _worth(right: npt.NDArray[Any], score: float) -> float | None:
    """What a right answer counts, 100 or 1, where the answers give the score; else None.

    The score is the mean of the runs', each of which an evaluator may have rounded, to two digits
    or more, as percent or as a share. Source: ``reproduces`` of ``ftbench_eval/extract.py``.
    """
    runs = [float(share) for share in right.mean(axis=0)]
    for worth, digits in itertools.product((100.0, 1.0), (None, 2, 3, 4)):
        means = [_rounded(worth * run, digits) for run in runs]
        if abs(sum(means) / len(means) - score) < 1e-6:
            return worth
    means = [100 * round(run, 4) for run in runs]
    return 100.0 if abs(sum(means) / len(means) - score) < 1e-6 else None


def _rounded(value: float, digits: int | None) -> float:
    return value if digits is None else round(value, digits)
