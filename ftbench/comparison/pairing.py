"""Puts the answers of two runs to the same questions beside each other, or says why it cannot.

Questions are matched by what they are (subset, position, right answer), never by their order in a
file; that the prompts and rows are the same ones is ``comparable``'s to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ftbench.comparison.answers import SubsetAnswers, Unpaired
from ftbench.comparison.values import Share
from ftbench.schema import DatasetResult
from ftbench.statistics import SubsetOutcomes

_UNITS = (100.0, 1.0)
"""What a right answer counts: scores are percent, or fractions."""
_ROUNDING = 0.0051
"""Of scores in percent: some evaluators round to two digits."""


@dataclass(frozen=True)
class Pair:
    """The answers to the same questions, of the run that is compared and of the baseline."""

    ours: SubsetAnswers
    theirs: SubsetAnswers


def pairs_of(
    members: Sequence[Share],
    ours: Mapping[str, SubsetAnswers],
    theirs: Mapping[str, SubsetAnswers],
) -> list[Pair]:
    """The answers behind a score, subset by subset.

    Raises:
        Unpaired: Some cannot be put beside each other.
    """
    pairs = []
    for member in members:
        own, other = ours.get(member.abbr), theirs.get(member.abbr)
        if own is None or other is None:
            raise Unpaired(f"{member.abbr}: its answers are not recorded")
        if why := _why_unpaired(own, other):
            raise Unpaired(why if len(members) == 1 else f"{member.abbr}: {why}")
        pairs.append(Pair(own, other))
    if not pairs:
        raise Unpaired("it has no subsets")
    return pairs


def outcomes_of(
    members: Sequence[Share], pairs: Sequence[Pair], ours: DatasetResult, theirs: DatasetResult
) -> tuple[list[SubsetOutcomes], list[SubsetOutcomes]]:
    """What statistics are made of, ours and theirs, in the score's own unit.

    Raises:
        Unpaired: A score is not the plain share of right answers: the difference of the answers
            would be another one than that of the scores.
    """
    own, other = [pair.ours for pair in pairs], [pair.theirs for pair in pairs]
    for unit in _UNITS:
        if _gives(unit, own, ours) and _gives(unit, other, theirs):
            return _outcomes(members, own, unit), _outcomes(members, other, unit)
    raise Unpaired("the score is not the share of right answers")


def _why_unpaired(ours: SubsetAnswers, theirs: SubsetAnswers) -> str:
    if ours.unknown_why:
        return ours.unknown_why
    if theirs.unknown_why:
        return f"the baseline: {theirs.unknown_why}"
    if ours.indices != theirs.indices:
        count = len(set(ours.indices) ^ set(theirs.indices))
        return f"{count} questions were asked in only one of the runs"
    if ours.repeats != theirs.repeats:
        return f"asked {ours.repeats} times here and {theirs.repeats} times there"
    others = [
        index
        for index, own, other in zip(ours.indices, ours.references, theirs.references, strict=True)
        if own != other
    ]
    if others:
        return f"{len(others)} questions have another right answer, the first is number {others[0]}"
    return ""


def _gives(unit: float, answers: Sequence[SubsetAnswers], dataset: DatasetResult) -> bool:
    """Whether the share of right answers, in this unit, is the score of every subset."""
    scores = {subset.abbr: subset.score for subset in dataset.subsets}
    for own in answers:
        score = scores.get(own.abbr)
        if score is None or abs(own.share * unit - score) > _ROUNDING * unit / 100:
            return False
    return True


def _outcomes(
    members: Sequence[Share], answers: Sequence[SubsetAnswers], unit: float
) -> list[SubsetOutcomes]:
    import numpy as np

    return [
        SubsetOutcomes(own.abbr, unit * np.array(own.right, float), member.weight, unit)
        for member, own in zip(members, answers, strict=True)
    ]
