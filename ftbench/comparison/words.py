"""What is said about a comparison, in words and rounded numbers, the same in every output."""

from __future__ import annotations

import shlex

from ftbench.comparison.values import Average, Comparison, Difference, Line, Standing
from ftbench.comparison.verdicts import (
    average_mark,
    called,
    headline,
    interval,
    mark,
    tally,
    word,
)
from ftbench.score_rows import MARK

FLAGGED = f"{MARK} flagged: see below"
MOVERS = 5
"""Subsets that a text names as gaining, and as losing, most."""


def verdict(comparison: Comparison) -> str:
    """One line: what a run is against the baseline; of several, which is best and by how much."""
    if len(comparison.others) == 1:
        return headline(comparison, comparison.others[0])
    ranking, averages = comparison.ranking, comparison.averages
    if not ranking:
        why = "; ".join(f"{name}: {reason}" for name, reason in comparison.left_out)
        return f"no run can be called best: {why or 'no dataset was evaluated'}"
    best = ranking[0]
    name = called(comparison, best)
    what = _average_name(comparison)
    score = f"{what} {average_text(averages[best])}"
    if len(ranking) == 1:
        return f"only {name} has a score that counts: {score}"
    second = averages[ranking[1]]
    if averages[best].score == second.score:
        equals = [called(comparison, i) for i in ranking if averages[i].score == second.score]
        return f"equal: {', '.join(equals)}, {score}"
    if difference := averages[best].difference:
        over = " ".join(filter(None, (signed(difference), interval(averages[best].paired))))
        said = f"{score}, {over} over {comparison.baseline_name}"
        return f"best: {name}, {said}: {tally(comparison, best)}"
    return f"best: {name}, {score}, nearest {called(comparison, ranking[1])} {_behind(second)}"


def average_line(comparison: Comparison) -> str:
    """What the averages are over, and what not; empty where there is one dataset."""
    lines = []
    if comparison.averaged:
        total = len(comparison.datasets)
        counted = len(comparison.averaged)
        of = f"all {total}" if counted == total else f"{counted} of {total}"
        noun = "dataset" if total == 1 else "datasets"
        lines += [f"avg: unweighted mean over {of} {noun} ({', '.join(comparison.averaged)})"]
    lines += [f"not in it: {name} ({why})" for name, why in comparison.left_out]
    return "; ".join(lines)


def not_compared(comparison: Comparison) -> list[str]:
    """Every dataset score that is not compared with the baseline's, with why."""
    return [
        f"{dataset.name}, {comparison.labels[index]}: not comparable: {standing.why_not}"
        for dataset in comparison.datasets
        for index, standing in enumerate(dataset.line.standings)
        if standing.why_not
    ]


def flag_sentences(comparison: Comparison) -> list[str]:
    """The flags of all dataset scores, with the run and dataset they belong to."""
    return [
        f"{dataset.name}, {comparison.labels[index]}: {flag}"
        for dataset in comparison.datasets
        for index, standing in enumerate(dataset.line.standings)
        for flag in standing.flags
    ]


def winner(comparison: Comparison, line: Line) -> str:
    """Label of the run that is best in a line; several where they are equal; or empty."""
    best = [comparison.labels[i] for i, s in enumerate(line.standings) if s.is_best]
    return " = ".join(best)


def score_text(standing: Standing) -> str:
    """A score to two decimals with its mark, with its coverage where it is not complete."""
    if standing.score is None:
        return standing.status or "-"
    text = f"{standing.score:.2f}{f' {MARK}' if standing.flags else ''}"
    return f"{text} ({standing.coverage})" if standing.coverage else text


def average_text(average: Average) -> str:
    """An average to two decimals with its mark, or a dash."""
    if average.score is None:
        return "-"
    return f"{average.score:.2f}{f' {MARK}' if average.is_flagged else ''}"


def signed(difference: Difference | None) -> str:
    """A difference to two decimals with its sign; exactly none is ``0.00``."""
    if difference is None:
        return ""
    return f"{difference.value:+.2f}" if difference.value else "0.00"


def difference_text(standing: Standing, *, is_baseline: bool = False) -> str:
    """The difference with its verdict as a sign, or in short that there is none to be had."""
    if is_baseline:
        return ""
    return (
        f"{signed(standing.difference)}{mark(standing)}" if standing.difference else word(standing)
    )


def average_difference(average: Average) -> str:
    """The difference of an average with its verdict as a sign; empty where there is none."""
    return f"{signed(average.difference)}{average_mark(average)}" if average.difference else ""


def commands(comparison: Comparison) -> list[tuple[str, str]]:
    """Label and command line of every run whose command is known."""
    return [
        (label, shlex.join(run.command))
        for label, run in zip(comparison.labels, comparison.runs, strict=True)
        if run.command
    ]


def _average_name(comparison: Comparison) -> str:
    return comparison.averaged[0] if len(comparison.averaged) == 1 else "avg"


def _behind(second: Average) -> str:
    return signed(second.difference)
