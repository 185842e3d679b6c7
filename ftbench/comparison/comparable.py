"""When two scores mean the same: same questions, same prompt, same rows, same metric, complete.

What the model was (adapter, temperature, backend) may differ: that is what a comparison compares.

What decides is put into a line of text (``asked``), which a tracker keeps as a tag: from two
summaries and from two recorded runs the answer is the same one, and only the words of a reason are
fuller from summaries, which know both values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from ftbench.schema import OK, DatasetResult, SubsetResult

MISSING = "not evaluated"

_Value = Callable[[SubsetResult], str]


def why_not(ours: DatasetResult | None, theirs: DatasetResult | None) -> str:
    """Why two scores of a dataset cannot be compared.

    Args:
        ours: Of the run that is compared; None: it did not evaluate the dataset.
        theirs: Of the baseline.

    Returns:
        Every reason in words, ours before theirs (``other prompt (a1b2 vs c3d4)``); empty where
        the scores can be compared.
    """
    reason = why_not_asked(
        None if ours is None else asked(ours), None if theirs is None else asked(theirs)
    )
    if not reason or ours is None or theirs is None or incomplete(ours) or incomplete(theirs):
        return reason
    subsets = _other_subsets(ours.subsets, theirs.subsets)
    return subsets or _other(ours.subsets, theirs.subsets) or reason


def asked(dataset: DatasetResult) -> str:
    """What must be equal for two scores to be compared, as one line of ``name=digest``.

    Of a score that is not complete it says so instead.
    """
    if reason := incomplete(dataset):
        return f"{_INCOMPLETE}{reason}"
    facts = {_SUBSETS: _digest([s.abbr for s in dataset.subsets])}
    for meaning in _MEANINGS:
        facts[meaning.key] = _digest([f"{s.abbr}\t{meaning.value(s)}" for s in dataset.subsets])
    known = all(s.data_hash and s.prompt_hash for s in dataset.subsets)
    return " ".join(f"{key}={digest}" for key, digest in facts.items()) + (
        "" if known else f" {_UNRECORDED}"
    )


def why_not_asked(ours: str | None, theirs: str | None) -> str:
    """Why two scores cannot be compared, from what ``asked`` gave; empty where they can.

    Args:
        ours: Of the run that is compared; None: it did not evaluate the dataset.
        theirs: Of the baseline. Either is empty where it was not kept.
    """
    if ours is None:
        return MISSING
    if ours.startswith(_INCOMPLETE):
        return ours.removeprefix(_INCOMPLETE)
    if theirs is None:
        return "the baseline did not evaluate it"
    if theirs.startswith(_INCOMPLETE):
        return f"the baseline is {theirs.removeprefix(_INCOMPLETE)}"
    if not ours or not theirs:
        return _NOT_RECORDED
    own, other = _facts(ours), _facts(theirs)
    if own.get(_SUBSETS) != other.get(_SUBSETS):
        return "other subsets"
    differing = [m.text for m in _MEANINGS if own.get(m.key) != other.get(m.key)]
    if _ROWS in differing and _QUESTIONS in differing:
        # Another number of rows is other questions too.
        differing.remove(_QUESTIONS)
    if _UNRECORDED in own or _UNRECORDED in other:
        differing += [_NOT_RECORDED]
    return "; ".join(differing)


def why_not_subset(ours: SubsetResult | None, theirs: SubsetResult | None) -> str:
    """The same of one subset, whatever the others of its dataset are."""
    if ours is None:
        return MISSING
    if ours.status != OK or ours.score is None:
        return ours.status
    if theirs is None:
        return "the baseline did not evaluate it"
    if theirs.status != OK or theirs.score is None:
        return f"the baseline is {theirs.status}"
    return _other([ours], [theirs])


def incomplete(dataset: DatasetResult) -> str:
    """What is missing of a score, such as ``partial: 55 of 57 subsets``; empty: it is complete."""
    if dataset.status == OK and dataset.score is not None:
        return ""
    if dataset.score is None:
        return dataset.status
    return f"{dataset.status}: {coverage(dataset)}"


def coverage(dataset: DatasetResult) -> str:
    """What stands behind a score, such as ``55 of 57 subsets`` or ``12 of 16 samples``."""
    if len(dataset.subsets) > 1:
        return f"{dataset.subsets_done} of {len(dataset.subsets)} subsets"
    completed = sum(s.completed for s in dataset.subsets)
    return f"{completed} of {sum(s.expected for s in dataset.subsets)} samples"


def questions(datasets: Iterable[DatasetResult]) -> frozenset[tuple[str, ...]]:
    """What was asked, and how: equal for two results all of whose scores can be compared."""
    return frozenset((dataset.name, asked(dataset)) for dataset in datasets)


def _facts(text: str) -> dict[str, str]:
    return dict(fact.partition("=")[::2] for fact in text.split())


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:12]


def _other_subsets(ours: Sequence[SubsetResult], theirs: Sequence[SubsetResult]) -> str:
    own, other = {s.abbr for s in ours}, {s.abbr for s in theirs}
    if own == other:
        return ""
    if len(own) != len(other):
        return f"other subsets ({len(own)} vs {len(other)})"
    return f"other subsets ({min(own - other)} vs {min(other - own)})"


def _other(ours: Sequence[SubsetResult], theirs: Sequence[SubsetResult]) -> str:
    """Every way in which the same subsets were not asked or scored alike."""
    by_abbr = {subset.abbr: subset for subset in theirs}
    pairs = [(subset, by_abbr[subset.abbr]) for subset in ours]
    reasons: list[str] = []
    for _, text, value in _MEANINGS:
        differing = [(a, b) for a, b in pairs if value(a) != value(b)]
        # Another number of rows is other questions too; it is said once, in numbers.
        if differing and not (text == _QUESTIONS and any(r.startswith(_ROWS) for r in reasons)):
            reasons.append(_said(text, value, differing, len(pairs)))
    if any(not s.data_hash or not s.prompt_hash for pair in pairs for s in pair):
        reasons.append(_NOT_RECORDED)
    return "; ".join(reasons)


def _said(
    text: str, value: _Value, differing: Sequence[tuple[SubsetResult, SubsetResult]], total: int
) -> str:
    first, second = differing[0]
    ours, theirs = _short(value(first), value(second))
    if total == 1:
        return f"{text} ({ours} vs {theirs})"
    if len(differing) == total:
        return f"{text} ({first.name}: {ours} vs {theirs})"
    return f"{text} in {len(differing)} of {total} subsets ({first.name}: {ours} vs {theirs})"


def _short(ours: str, theirs: str) -> tuple[str, str]:
    """Hashes as far as a reader needs them; other texts as they are."""
    if len(ours) == len(theirs) == 16 and ours[:8] != theirs[:8]:
        width = 4 if ours[:4] != theirs[:4] else 8
        return ours[:width], theirs[:width]
    return ours or "none", theirs or "none"


_ROWS = "other number of rows"
_QUESTIONS = "other questions"

_NOT_RECORDED = "what was asked is not recorded"
_INCOMPLETE = "incomplete: "
_SUBSETS = "subsets"
_UNRECORDED = "unrecorded"


class _Meaning(NamedTuple):
    """Something that must be equal: its name, the words that say it is not, a subset's value."""

    key: str
    text: str
    value: _Value


_MEANINGS = (
    _Meaning("repeats", "asked another number of times", lambda s: str(s.repeats)),
    _Meaning("rows", _ROWS, lambda s: str(s.expected // max(1, s.repeats))),
    _Meaning("questions", _QUESTIONS, lambda s: s.data_hash),
    _Meaning("prompt", "other prompt", lambda s: s.prompt_hash),
    _Meaning("metric", "other metric", lambda s: s.metric),
    _Meaning("label", "scored otherwise", lambda s: s.label),
)
