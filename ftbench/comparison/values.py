"""What a comparison comes to, as values that every output shows alike. Nothing is rounded here."""

from __future__ import annotations

from dataclasses import dataclass

from ftbench.comparison.answers import AnswerText
from ftbench.comparison.evaluated import Evaluated
from ftbench.statistics import Paired, PairedMean

MAX_TOLD = 3
"""Runs whose flips, losses and movers are told; of more, the best one's."""


@dataclass(frozen=True)
class Difference:
    """A score minus the baseline's.

    Attributes:
        value: In the scores' own unit (most: percentage points), from unrounded scores.
    """

    value: float


@dataclass(frozen=True)
class Standing:
    """One run's score of one dataset, group or subset.

    Attributes:
        score: None when there is none.
        weighted_score: Mean weighted by samples; None for a single subset.
        status: Of the dataset or subset; empty when it was not evaluated.
        coverage: What stands behind an incomplete score, such as ``55 of 57 subsets``; or empty.
        rows: Questions behind the score, each once however often it was asked.
        flags: Why the score should not be taken at its face, a sentence each.
        why_not: Why it is not compared with the baseline's; empty where it is.
        difference: From the baseline's score; None for the baseline and where why_not says so.
        is_best: No score that can be compared with it is higher, and one is lower.
        paired: The difference with its interval, from the very samples; None for the baseline and
            where it is not known.
        unpaired_why: Why there is a difference and no test of it, or empty.
    """

    score: float | None = None
    weighted_score: float | None = None
    status: str = ""
    coverage: str = ""
    rows: int = 0
    flags: tuple[str, ...] = ()
    why_not: str = ""
    difference: Difference | None = None
    is_best: bool = False
    paired: Paired | None = None
    unpaired_why: str = ""


@dataclass(frozen=True)
class Share:
    """A subset, by OpenCompass's abbr, and what part of a score it makes; all parts are 1."""

    abbr: str
    weight: float


@dataclass(frozen=True)
class Line:
    """The scores of all runs in one dataset, group or subset.

    Attributes:
        depth: 1 for a group, 2 for a group inside it and so on, else 0.
        metric: Of the baseline's score, or of the first that has one.
        standings: One per run, in the runs' order.
        members: The subsets behind the scores.
    """

    name: str
    depth: int
    metric: str
    standings: tuple[Standing, ...]
    members: tuple[Share, ...] = ()


@dataclass(frozen=True)
class DatasetLines:
    """One dataset with everything inside it.

    Attributes:
        groups: Outer groups before those inside.
        subsets: Where a run has several; else empty.
    """

    line: Line
    groups: tuple[Line, ...] = ()
    subsets: tuple[Line, ...] = ()

    @property
    def name(self) -> str:
        return self.line.name

    @property
    def lines(self) -> tuple[Line, ...]:
        """The dataset, its groups, its subsets."""
        return (self.line, *self.groups, *self.subsets)


@dataclass(frozen=True)
class Average:
    """One run's mean over the datasets that count.

    Attributes:
        score: Unweighted mean, unrounded; None when one of the datasets is missing.
        difference: From the baseline's; None for the baseline.
        is_flagged: One of the scores in it is flagged.
        why_not: Why there is none, or empty.
        paired: The difference with its interval, from those of its datasets; None for the baseline
            and where one of them was not tested.
        unpaired_why: Which one and why, or empty.
    """

    score: float | None = None
    difference: Difference | None = None
    is_flagged: bool = False
    why_not: str = ""
    paired: PairedMean | None = None
    unpaired_why: str = ""


@dataclass(frozen=True)
class Mover:
    """A subset that a run answers otherwise than the baseline.

    Attributes:
        before, after: The baseline's score and the run's.
        rows: Its questions.
        paired: The difference with its interval; None where it is not tested.
    """

    dataset: str
    subset: str
    before: float
    after: float
    difference: Difference
    rows: int
    paired: Paired | None = None


@dataclass(frozen=True)
class Flip:
    """A question that the baseline answered wrong and a run right, or the other way round.

    Attributes:
        subset: Its name inside the dataset.
        index: Position in the subset, from 0.
        is_gained: It is right in the run.
        before, after: The baseline's answer and the run's.
    """

    subset: str
    index: int
    is_gained: bool
    before: AnswerText
    after: AnswerText


@dataclass(frozen=True)
class Flips:
    """The questions of a dataset on which a run and the baseline differ.

    Attributes:
        run: Index of the run.
        gained, lost: Questions that it answers right more often, and less often.
        shown: An even choice of both, gained before lost, in the dataset's order.
        why_not: Why no texts are shown, or empty.
    """

    run: int
    dataset: str
    gained: int
    lost: int
    shown: tuple[Flip, ...] = ()
    why_not: str = ""


@dataclass(frozen=True)
class Loss:
    """A score that is worse than the baseline's by more than chance.

    Attributes:
        kind: ``dataset``, ``group`` or ``subset``.
        name: Of the line.
    """

    dataset: str
    kind: str
    name: str
    paired: Paired


@dataclass(frozen=True)
class Setting:
    """Something that not all runs have alike.

    Attributes:
        key: Such as ``backend.temperature``, ``adapter.r`` or ``train.learning_rate``.
        values: One per run; empty where a run does not have it.
    """

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """Several runs side by side.

    Attributes:
        runs: Best first in a leaderboard; else as they were named.
        labels: What tells each run from the others, one per run.
        baseline: Index of the run that the differences start from.
        averages: One per run, over the datasets ``averaged``.
        averaged: Names of the datasets that all averages are over.
        left_out: Datasets that they are not over, each with why.
        ranking: Indices of the runs that have an average, best first.
        settings: What differs between the runs.
        notes: What else a reader should know, one sentence each.
        flips: Of every dataset whose answers can be paired, of the runs that are told in detail.
    """

    runs: tuple[Evaluated, ...]
    labels: tuple[str, ...]
    baseline: int
    datasets: tuple[DatasetLines, ...]
    averages: tuple[Average, ...]
    averaged: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    ranking: tuple[int, ...]
    settings: tuple[Setting, ...]
    notes: tuple[str, ...] = ()
    flips: tuple[Flips, ...] = ()

    @property
    def others(self) -> tuple[int, ...]:
        """Indices of all runs but the baseline."""
        return tuple(i for i in range(len(self.runs)) if i != self.baseline)

    @property
    def told(self) -> tuple[int, ...]:
        """The runs that are told in detail: all but the baseline, or of many the best one."""
        if len(self.others) <= MAX_TOLD:
            return self.others
        return next(((i,) for i in self.ranking if i != self.baseline), ())

    @property
    def baseline_name(self) -> str:
        """What the baseline is called in a sentence."""
        is_only = sum(run.is_base for run in self.runs) == 1
        is_base = self.runs[self.baseline].is_base and is_only
        return "base" if is_base else self.labels[self.baseline]
