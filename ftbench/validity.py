"""What the answers behind a score are like: cut off, empty, without an answer, how long.

A score over answers that were cut at the generation limit, or that the evaluator could not read,
says little about the model. Here they are counted, and a score is flagged where their share is
above a threshold. Standard library only: host and evaluation program share this module.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ftbench.aggregates import group_subsets
from ftbench.schema import RULE_ONLY, DatasetResult, Result, Sample, SubsetResult


@dataclass(frozen=True)
class AnswerCounts:
    """The answers of one subset; the fields of ``SubsetResult`` with these names."""

    truncated: int | None = None
    empty: int | None = None
    unextracted: int | None = None
    mean_output_tokens: float | None = None


@dataclass(frozen=True)
class Count:
    """Some of the answers.

    Attributes:
        count: How many.
        of: Of how many answers of which it is known.
    """

    count: int
    of: int

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.count / self.of

    def __str__(self) -> str:
        return f"{self.count} of {self.of} answers ({percent(self.share)})"


@dataclass(frozen=True)
class Validity:
    """The answers behind one score.

    Attributes:
        truncated: Those that reached the generation limit; None when unknown.
        empty: Those without a visible character; None when unknown.
        unextracted: Those from which the evaluator took no answer; None when unknown.
        mean_output_tokens: Mean length in tokens; None when unknown.
        unknown: Samples of which it is not known whether they are correct.
        completed: All answers.
        unknown_why: Why those are unknown, each reason once.
    """

    truncated: Count | None
    empty: Count | None
    unextracted: Count | None
    mean_output_tokens: float | None
    unknown: int
    completed: int
    unknown_why: tuple[str, ...]

    def shares(self) -> dict[str, float | None]:
        """The shares, 0 to 1, by the names that they have in every output."""
        counts = (self.truncated, self.empty, self.unextracted)
        names = ("truncated_share", "empty_share", "unextracted_share")
        return {n: None if c is None else c.share for n, c in zip(names, counts, strict=True)}


def count_answers(samples: Sequence[Sample]) -> AnswerCounts:
    """Counts the answers of one subset.

    Where only some samples tell, what they tell is a count of at least so many; none among them is
    no knowledge.

    Args:
        samples: Answers that the model wrote; a choice by likelihood is none.
    """
    lengths = [sample.output_tokens for sample in samples if sample.output_tokens is not None]
    return AnswerCounts(
        truncated=_known_count([sample.truncated for sample in samples]),
        empty=_known_count([not sample.prediction.strip() for sample in samples]),
        unextracted=_known_count([_is_unextracted(sample) for sample in samples]),
        mean_output_tokens=math.fsum(lengths) / len(lengths) if lengths else None,
    )


def validity_of(subsets: Iterable[SubsetResult]) -> Validity:
    """Adds up the answers of the subsets behind a score."""
    behind = [s for s in subsets if s.score is not None and s.completed]
    lengths = [
        (s.mean_output_tokens, s.completed) for s in behind if s.mean_output_tokens is not None
    ]
    total = sum(completed for _, completed in lengths)
    return Validity(
        truncated=_sum([(s.truncated, s.completed) for s in behind]),
        empty=_sum([(s.empty, s.completed) for s in behind]),
        unextracted=_sum([(s.unextracted, s.completed) for s in behind]),
        mean_output_tokens=math.fsum(mean * n for mean, n in lengths) / total if total else None,
        unknown=sum(s.completed - s.correct_known for s in behind),
        completed=sum(s.completed for s in behind),
        unknown_why=tuple(dict.fromkeys(s.unknown_why for s in behind if s.unknown_why)),
    )


def flags(subsets: Sequence[SubsetResult], threshold: float) -> tuple[str, ...]:
    """Why the mean score of some subsets should not be taken at its face, a sentence each.

    Args:
        subsets: Those behind the score, and those that should be.
        threshold: Share of answers, 0 to 1; a share above it is flagged.
    """
    found = validity_of(subsets)
    sentences = []
    if found.truncated and found.truncated.share > threshold:
        sentences += [f"{found.truncated} reached the generation limit"]
    if found.empty and found.empty.share > threshold:
        sentences += [f"{found.empty} are empty"]
    # An empty answer holds nothing to take, and has been told.
    is_told = found.empty and found.unextracted and found.unextracted.count <= found.empty.count
    if found.unextracted and not is_told and found.unextracted.share > threshold:
        sentences += [f"from {found.unextracted} the evaluator took nothing"]
    metrics = sorted({s.metric for s in subsets if s.score is not None})
    if len(metrics) > 1:
        sentences += [f"it is a mean over different metrics ({', '.join(metrics)})"]
    return (*sentences, *_rule_flags(subsets))


def flagged(result: Result, threshold: float) -> Result:
    """The result with every dataset, group and subset flagged, whatever flags it had before.

    Args:
        result: Complete or in progress.
        threshold: Share of answers, 0 to 1; a share above it is flagged.
    """
    return replace(result, datasets=tuple(_flagged(d, threshold) for d in result.datasets))


def labels(subsets: Iterable[SubsetResult]) -> tuple[str, ...]:
    """What a reader must know of the scores, such as ``rule-only`` or who judged, each once."""
    return tuple(dict.fromkeys(subset.label for subset in subsets if subset.label))


def notes(subsets: Iterable[SubsetResult]) -> tuple[str, ...]:
    """What cannot be said of the samples behind a score, a sentence each; it is no fault of it."""
    found = validity_of(subsets)
    if not found.unknown:
        return ()
    why = f": {'; '.join(found.unknown_why)}" if found.unknown_why else ""
    counts = f"{found.unknown} of {found.completed} samples"
    return (f"whether {counts} are correct is not known{why}",)


def trouble(subsets: Iterable[SubsetResult]) -> str:
    """What is wrong with the answers in a few words, such as ``7 truncated, 1 empty``, or empty."""
    found = validity_of(subsets)
    counts = {
        "truncated": found.truncated,
        "empty": found.empty,
        "unextracted": found.unextracted,
    }
    return ", ".join(f"{c.count} {name}" for name, c in counts.items() if c and c.count)


def percent(share: float) -> str:
    """A share as people read it: two digits, such as ``44 %`` or ``0.12 %``."""
    value = 100 * share
    return f"{value:.0f} %" if value >= 9.5 or not value else f"{value:.2g} %"


def _flagged(dataset: DatasetResult, threshold: float) -> DatasetResult:
    members = group_subsets(dataset)
    return replace(
        dataset,
        flags=flags(dataset.subsets, threshold),
        groups=tuple(
            replace(group, flags=flags(members[group.name], threshold)) for group in dataset.groups
        ),
        subsets=tuple(replace(s, flags=flags([s], threshold)) for s in dataset.subsets),
    )


def _rule_flags(subsets: Sequence[SubsetResult]) -> list[str]:
    scored = [subset for subset in subsets if subset.score is not None]
    count = sum(subset.label == RULE_ONLY for subset in scored)
    if not count:
        return []
    which = "its score is" if count == len(scored) else f"{count} of {len(scored)} scores are"
    return [f"{which} {RULE_ONLY}: what the rules do not accept counts as wrong"]


def _is_unextracted(sample: Sample) -> bool | None:
    return None if sample.extracted is None else not sample.extracted


def _known_count(values: Sequence[bool | None]) -> int | None:
    count = sum(value is True for value in values)
    return count if values and (count or None not in values) else None


def _sum(counts: Sequence[tuple[int | None, int]]) -> Count | None:
    known = [(count, completed) for count, completed in counts if count is not None]
    total = sum(completed for _, completed in known)
    return Count(sum(count for count, _ in known), total) if total else None
