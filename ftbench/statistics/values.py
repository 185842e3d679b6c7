"""What statistics are computed from, and what they come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

BETTER = "better"
WORSE = "worse"
NO_EVIDENCE = "no evidence"
NOT_COMPARABLE = "not comparable"
VERDICTS = (BETTER, WORSE, NO_EVIDENCE, NOT_COMPARABLE)


@dataclass(frozen=True)
class SubsetOutcomes:
    """How every row of one subset was answered.

    Attributes:
        abbr: OpenCompass abbr of the subset.
        values: Rows x repeats, in dataset order, in the score's own unit (a right answer 100, a
            wrong one 0); their mean is the subset's score.
            A score that belongs to no rows, such as BLEU, is one row.
        weight: Share of the subset in its dataset's score; a dataset's shares add up to 1.
        right: What a right answer is worth, in the score's own unit; a wrong one is worth 0.
    """

    abbr: str
    values: npt.NDArray[Any]
    weight: float
    right: float = 100.0


@dataclass(frozen=True)
class Paired:
    """A score against another one of the same samples, answered by another model.

    Attributes:
        difference: Ours minus theirs, in the scores' own unit (most: percentage points), unrounded.
        standard_error: Of the difference.
        low, high: Ends of its 95 % interval.
        p_value: Two-sided, of the test named, before any correction.
        p_adjusted: The same after Holm's correction over the datasets of one comparison.
        test: Such as ``McNemar exact`` or ``paired permutation of 57 subsets``.
        method: Of the interval, in words.
        detectable: The least true difference that would be found four times in five at this sample
            size; a smaller one is noise here. Where none would be, the whole scale.
        rows: Questions, each once however often it was asked.
        gained, lost: Rows that were wrong there and are right here, and the other way round; None
            where answers are not right or wrong.
        verdict: One of VERDICTS, from p_adjusted and the sign of the difference.
    """

    difference: float
    standard_error: float
    low: float
    high: float
    p_value: float
    p_adjusted: float
    test: str
    method: str
    detectable: float
    rows: int
    gained: int | None
    lost: int | None
    verdict: str
