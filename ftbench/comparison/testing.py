"""Whether differences from the baseline are more than chance: the same questions, pair by pair.

Every dataset, group and subset that can be compared is tested, and Holm's correction is made within
each kind: over the datasets of a run, over its groups, and over its subsets. What cannot be tested
says why, and is never called better or worse.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ftbench.comparison.answers import SubsetAnswers, Unpaired
from ftbench.comparison.evaluated import Evaluated
from ftbench.comparison.pairing import Pair, outcomes_of, pairs_of
from ftbench.comparison.values import DatasetLines, Line
from ftbench.statistics import Paired, holm, paired

MAX_TESTED = 10
"""Runs whose differences are tested, the first in the ranking: reading answers takes a while."""
TOO_MANY = f"only the {MAX_TESTED} best runs are tested: name this one beside the baseline"


class Reader:
    """Reads the answers of runs, those of each dataset once."""

    def __init__(self, runs: Sequence[Evaluated]) -> None:
        self._runs = runs
        self._read: dict[tuple[int, str], Mapping[str, SubsetAnswers] | Unpaired] = {}

    def verdicts(self, run: int, dataset: str) -> Mapping[str, SubsetAnswers]:
        """Which answers of a run are right.

        Raises:
            Unpaired: They cannot be read.
        """
        key = run, dataset
        if key not in self._read:
            self._read[key] = self._verdicts(run, dataset)
        found = self._read[key]
        if isinstance(found, Unpaired):
            raise found
        return found

    def pairs(self, run: int, baseline: int, dataset: str, line: Line) -> list[Pair]:
        """The answers behind a line's scores beside each other.

        Raises:
            Unpaired: They cannot be.
        """
        ours = self.verdicts(run, dataset)
        try:
            theirs = self.verdicts(baseline, dataset)
        except Unpaired as error:
            raise Unpaired(f"the baseline: {error}") from error
        return pairs_of(line.members, ours, theirs)

    def _verdicts(self, run: int, name: str) -> Mapping[str, SubsetAnswers] | Unpaired:
        dataset, answers = self._runs[run].dataset(name), self._runs[run].answers
        if dataset is None or answers is None:
            return Unpaired("its answers are not recorded")
        try:
            return answers.verdicts(dataset)
        except Unpaired as error:
            return error


def tested(
    datasets: Sequence[DatasetLines],
    runs: Sequence[Evaluated],
    baseline: int,
    ranking: Sequence[int],
    reader: Reader,
) -> list[DatasetLines]:
    """The lines with ``paired`` or ``unpaired_why`` in every standing that has a difference.

    Args:
        datasets: Lines of all runs.
        runs: Of the comparison.
        baseline: Index of the run that differences start from.
        ranking: Indices of runs, best first; the runs that are tested where there are many.
        reader: Of the same runs.
    """
    found = list(datasets)
    others = [i for i in (*ranking, *range(len(runs))) if i != baseline]
    told = set(list(dict.fromkeys(others))[:MAX_TESTED])
    for run in range(len(runs)):
        if run != baseline:
            found = _tested_run(found, _Test(runs, run, baseline, reader, run in told))
    return found


@dataclass(frozen=True)
class _Test:
    """One run against the baseline; is_made says whether it is one of those that are tested."""

    runs: Sequence[Evaluated]
    run: int
    baseline: int
    reader: Reader
    is_made: bool

    def outcome(self, dataset: str, line: Line) -> Paired | str | None:
        """The test of one line, or why there is none; None where nothing is to be tested."""
        if line.standings[self.run].difference is None:
            return None
        if not self.is_made:
            return TOO_MANY
        ours, theirs = (self.runs[i].dataset(dataset) for i in (self.run, self.baseline))
        assert ours is not None and theirs is not None
        try:
            pairs = self.reader.pairs(self.run, self.baseline, dataset, line)
            return paired(*outcomes_of(line.members, pairs, ours, theirs))
        except (Unpaired, ValueError) as error:
            return str(error)


def _tested_run(datasets: Sequence[DatasetLines], test: _Test) -> list[DatasetLines]:
    of_datasets = _family(datasets, lambda d: (d.line,), test)
    of_groups = _family(datasets, lambda d: d.groups, test)
    of_subsets = _family(datasets, lambda d: d.subsets, test)
    return [
        replace(
            dataset,
            line=_with(dataset.line, test.run, of_datasets.pop(0)),
            groups=tuple(_with(line, test.run, of_groups.pop(0)) for line in dataset.groups),
            subsets=tuple(_with(line, test.run, of_subsets.pop(0)) for line in dataset.subsets),
        )
        for dataset in datasets
    ]


def _family(
    datasets: Sequence[DatasetLines],
    lines_of: Callable[[DatasetLines], Collection[Line]],
    test: _Test,
) -> list[Paired | str | None]:
    """The tests of one kind of line, each corrected for all of them."""
    outcomes = [test.outcome(d.name, line) for d in datasets for line in lines_of(d)]
    made = holm([outcome for outcome in outcomes if isinstance(outcome, Paired)])
    left = iter(made)
    return [next(left) if isinstance(outcome, Paired) else outcome for outcome in outcomes]


def _with(line: Line, run: int, outcome: Paired | str | None) -> Line:
    if outcome is None:
        return line
    standings = list(line.standings)
    standing = standings[run]
    standings[run] = (
        replace(standing, paired=outcome)
        if isinstance(outcome, Paired)
        else replace(standing, unpaired_why=outcome)
    )
    return replace(line, standings=tuple(standings))
