"""Better, worse, no evidence, or not comparable: what the tests come to, in words."""

from __future__ import annotations

from collections.abc import Sequence

from ftbench.comparison.compare import losses
from ftbench.comparison.values import Average, Comparison, Flips, Line, Loss, Standing
from ftbench.score_rows import DATASET
from ftbench.statistics import Paired, PairedMean
from ftbench.statistics.values import BETTER, NO_EVIDENCE, NOT_COMPARABLE, WORSE

NOT_TESTED = "not tested"
CHANCE = (
    "Tests are paired, question by question, and two-sided at 5 %, with Holm's correction over the "
    "datasets of a run, over its groups, and over its subsets. Intervals are 95 % and not "
    "corrected; an average is better or worse where its interval leaves out 0. "
    "Differences are computed from unrounded scores."
)
MARKS = {BETTER: "▲", WORSE: "▼", NO_EVIDENCE: "≈", NOT_TESTED: "?"}
_MAX_NAMED = 4
"""Datasets that a headline names of each kind."""


def word(standing: Standing) -> str:
    """One of the four verdicts on a score, or that it was not tested; empty for the baseline."""
    if standing.why_not:
        return NOT_COMPARABLE
    if standing.paired is not None:
        return standing.paired.verdict
    return NOT_TESTED if standing.difference is not None else ""


def average_word(average: Average) -> str:
    """The verdict on an average, or that it was not tested; empty where nothing differs."""
    if average.paired is not None:
        return average.paired.verdict
    return NOT_TESTED if average.difference is not None else ""


def mark(standing: Standing) -> str:
    """The verdict as a sign behind a difference, with a space before it; see ``legend``."""
    return _mark(word(standing))


def average_mark(average: Average) -> str:
    """The same of an average."""
    return _mark(average_word(average))


def _mark(said: str) -> str:
    sign = MARKS.get(said, "")
    return f" {sign}" if sign else ""


def legend(comparison: Comparison) -> str:
    """What the signs mean; empty for two runs, whose verdicts are words."""
    if len(comparison.runs) <= 2:
        return ""
    return ", ".join(f"{sign} {said}" for said, sign in MARKS.items())


def interval(paired: Paired | PairedMean | None) -> str:
    """A 95 % interval to one decimal, such as ``[-1.2, 4.0]``; empty where there is none."""
    return "" if paired is None else f"[{paired.low:.1f}, {paired.high:.1f}]"


def noise(paired: Paired) -> str:
    """What is lost in noise at this number of questions, such as ``±2.1``."""
    return f"±{paired.detectable:.1f}"


def headlines(comparison: Comparison) -> list[str]:
    """A headline for each run that is told; none of two runs, whose headline is the title."""
    if len(comparison.others) < 2:
        return []
    return [headline(comparison, run) for run in comparison.told]


def headline(comparison: Comparison, run: int) -> str:
    """What a run is against the baseline, with the datasets that say so; one line."""
    name, other = called(comparison, run), comparison.baseline_name
    found = _by_word(comparison, run)
    better, worse, neither = (found.get(w, []) for w in (BETTER, WORSE, NO_EVIDENCE))
    rest = [f"{w}: {_names(found[w])}" for w in (NOT_TESTED, NOT_COMPARABLE) if w in found]
    none = [f"no evidence: {_changes(neither, run)}"] if neither else []
    if better and worse:
        forgot = "forgetting: " if _is_forgetting(comparison, run) else ""
        first = f"mixed: {name} against {other}: better in {len(better)} "
        first += f"({_changes(better, run)}), worse in {len(worse)} "
        first += f"({forgot}{_changes(worse, run)})"
        return "; ".join([first, *none, *rest])
    if better:
        return "; ".join([f"better: {name} over {other}: {_changes(better, run)}", *none, *rest])
    if worse:
        return "; ".join([f"worse: {name} than {other}: {_changes(worse, run)}", *none, *rest])
    if neither:
        told = f"no evidence of a difference: {name} and {other}: {_changes(neither, run)}"
        same = ["they are the same evaluation"] if _is_same(comparison, run) else []
        return "; ".join([told, *same, *rest])
    if NOT_TESTED in found:
        told = f"not tested: {name} against {other}: {_changes(found[NOT_TESTED], run)}"
        return "; ".join([told, *(r for r in rest if not r.startswith(NOT_TESTED))])
    why = "; ".join(f"{dataset}: {reason}" for dataset, reason in comparison.left_out)
    return f"not comparable: {name} and {other}: {why or 'no dataset was evaluated'}"


def called(comparison: Comparison, index: int) -> str:
    """What a run is called in a sentence."""
    is_baseline = index == comparison.baseline
    return comparison.baseline_name if is_baseline else comparison.labels[index]


def tally(comparison: Comparison, run: int) -> str:
    """How many datasets of a run have which verdict, such as ``better in 2, worse in 1``."""
    found = _by_word(comparison, run)
    words = (BETTER, WORSE, NO_EVIDENCE, NOT_TESTED, NOT_COMPARABLE)
    return ", ".join(f"{w} in {len(found[w])}" for w in words if w in found)


def explanations(comparison: Comparison) -> list[str]:
    """What no verdict says: how much is noise, and why something was not tested."""
    lines = []
    for run in comparison.told:
        label = f", {comparison.labels[run]}" if len(comparison.others) > 1 else ""
        for dataset in comparison.datasets:
            standing = dataset.line.standings[run]
            paired = standing.paired
            if paired is not None and paired.verdict == NO_EVIDENCE:
                lines += [f"{dataset.name}{label}: no evidence: {_noise_sentence(paired)}"]
            elif standing.unpaired_why:
                lines += [f"{dataset.name}{label}: not tested: {standing.unpaired_why}"]
        average = comparison.averages[run]
        if average.unpaired_why and len(comparison.averaged) > 1:
            lines += [f"avg{label}: not tested: {average.unpaired_why}"]
    return lines


def flip_line(comparison: Comparison, flips: Flips) -> str:
    """How many questions of a dataset changed sides."""
    label = f", {comparison.labels[flips.run]}" if len(comparison.others) > 1 else ""
    dataset = next(d for d in comparison.datasets if d.name == flips.dataset)
    rows = dataset.line.standings[flips.run].rows
    said = f"{flips.gained} wrong → right, {flips.lost} right → wrong"
    why = f" ({flips.why_not})" if flips.why_not else ""
    return f"{flips.dataset}{label}: of {rows} questions {said}{why}"


def loss_name(loss: Loss) -> str:
    """A dataset's own name; a group or subset has its dataset's before it."""
    return loss.dataset if loss.kind == DATASET else f"{loss.dataset}/{loss.name}"


def p_text(paired: Paired) -> str:
    """The corrected p-value to two digits."""
    return "<0.0001" if paired.p_adjusted < 0.0001 else f"{paired.p_adjusted:.2g}"


def loss_title(comparison: Comparison, run: int) -> str:
    """Heading of the scores that are worse by more than chance."""
    name = f": {comparison.labels[run]}" if len(comparison.others) > 1 else ""
    return (
        f"What it forgot{name}" if _is_forgetting(comparison, run) else f"Where it is worse{name}"
    )


def no_loss(comparison: Comparison, run: int) -> str:
    """That nothing is worse, as far as so many questions can show; or that nothing was tested."""
    if losses(comparison, run):
        return ""
    tested = [
        (dataset.name, paired)
        for dataset in comparison.datasets
        if (paired := dataset.line.standings[run].paired) is not None
    ]
    if not tested:
        return "Not known: nothing was tested."
    limits = [f"{name} {paired.detectable:.1f}" for name, paired in tested]
    return (
        "Nothing that this many questions can show. A loss smaller than this may go unseen, in "
        f"points: {', '.join(limits)}."
    )


def _is_forgetting(comparison: Comparison, run: int) -> bool:
    """Whether the run was meant to get better than the baseline: it stands on that base model."""
    ours, base = comparison.runs[run], comparison.runs[comparison.baseline]
    return base.is_base and not ours.is_base and base.has_base_of(ours)


def _is_same(comparison: Comparison, run: int) -> bool:
    ours, base = comparison.runs[run].result, comparison.runs[comparison.baseline].result
    return bool(ours.fingerprint) and ours.fingerprint == base.fingerprint


def _noise_sentence(paired: Paired) -> str:
    questions = "1 question" if paired.rows == 1 else f"{paired.rows} questions"
    return f"{noise(paired)} points is noise with {questions}"


def _by_word(comparison: Comparison, run: int) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    for dataset in comparison.datasets:
        if said := word(dataset.line.standings[run]):
            found.setdefault(said, []).append(dataset.line)
    return found


def _changes(lines: Sequence[Line], run: int) -> str:
    texts = []
    for line in lines[:_MAX_NAMED]:
        standing = line.standings[run]
        value = standing.difference.value if standing.difference else 0.0
        change = f"{value:+.2f}" if value else "0.00"
        texts += [" ".join(filter(None, (line.name, change, interval(standing.paired))))]
    more = len(lines) - _MAX_NAMED
    return ", ".join(texts) + (f" and {more} more" if more > 0 else "")


def _names(lines: Sequence[Line]) -> str:
    more = len(lines) - _MAX_NAMED
    names = ", ".join(line.name for line in lines[:_MAX_NAMED])
    return names + (f" and {more} more" if more > 0 else "")
