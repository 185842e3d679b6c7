"""When two scores mean the same: same questions, same prompt, same rows, same metric, complete.

What the model was (adapter, temperature, backend) may differ: that is what a comparison compares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

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
    if ours is None:
        return MISSING
    if reason := incomplete(ours):
        return reason
    if theirs is None:
        return "the baseline did not evaluate it"
    if reason := incomplete(theirs):
        return f"the baseline is {reason}"
    return _other_subsets(ours.subsets, theirs.subsets) or _other(ours.subsets, theirs.subsets)


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
    return frozenset(
        (dataset.name, subset.abbr, *(value(subset) for _, value in _MEANINGS))
        for dataset in datasets
        for subset in dataset.subsets
    )


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
    for text, value in _MEANINGS:
        differing = [(a, b) for a, b in pairs if value(a) != value(b)]
        # Another number of rows is other questions too; it is said once, in numbers.
        if differing and not (text == _QUESTIONS and any(r.startswith(_ROWS) for r in reasons)):
            reasons.append(_said(text, value, differing, len(pairs)))
    if any(not s.data_hash or not s.prompt_hash for pair in pairs for s in pair):
        reasons.append("what was asked is not recorded")
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

_MEANINGS: tuple[tuple[str, _Value], ...] = (
    ("asked another number of times", lambda s: str(s.repeats)),
    (_ROWS, lambda s: str(s.expected // max(1, s.repeats))),
    (_QUESTIONS, lambda s: s.data_hash),
    ("other prompt", lambda s: s.prompt_hash),
    ("other metric", lambda s: s.metric),
    ("scored otherwise", lambda s: s.label),
)
"""What must be equal, in the words that say it is not."""
