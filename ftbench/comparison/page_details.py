"""What a comparison's page tells of single runs: what got worse, what flipped, what moved."""

from __future__ import annotations

from collections.abc import Sequence

from ftbench.comparison.answers import AnswerText
from ftbench.comparison.compare import losses, movers
from ftbench.comparison.markup import Markup, breakable, data_table, join, tag
from ftbench.comparison.values import Comparison, Flip, Flips, Mover
from ftbench.comparison.verdicts import (
    flip_line,
    interval,
    loss_name,
    loss_title,
    no_loss,
    p_text,
)
from ftbench.comparison.words import MOVERS
from ftbench.statistics import Paired, PairedMean
from ftbench.statistics.values import BETTER, WORSE


def difference_chip(value: float, paired: Paired | PairedMean | None) -> Markup:
    """A difference; coloured only where it is more than chance."""
    verdict = paired.verdict if paired is not None else ""
    kind = {BETTER: "up", WORSE: "down"}.get(verdict, "none")
    return tag("span", f"{value:+.2f}" if value else "0.00", class_=f"difference {kind}")


def losses_section(comparison: Comparison) -> list[Markup]:
    """Where runs are worse than the baseline by more than chance, or that nothing shows it."""
    parts: list[Markup] = []
    for run in comparison.told:
        parts += [tag("h2", loss_title(comparison, run))]
        if said := no_loss(comparison, run):
            parts += [tag("p", said)]
            continue
        heads = [tag("th", head, scope="col") for head in ("", "difference", "p (Holm)")]
        rows = []
        for loss in losses(comparison, run):
            name = tag("th", breakable(loss_name(loss)), _questions(loss.paired.rows), scope="row")
            change = difference_chip(loss.paired.difference, loss.paired)
            cells = [tag("td", change, tag("small", interval(loss.paired)))]
            rows += [tag("tr", name, *cells, tag("td", p_text(loss.paired)))]
        parts += [data_table(heads, rows)]
    return parts


def flips_section(comparison: Comparison) -> list[Markup]:
    """Questions that changed sides, with the answers side by side."""
    parts = [part for flips in comparison.flips for part in _flips(comparison, flips)]
    return [tag("h2", "Answers that changed sides"), *parts] if parts else []


def movers_section(comparison: Comparison) -> list[Markup]:
    """The subsets that gained and lost most."""
    parts = []
    for index in comparison.told:
        gained, lost = movers(comparison, index, MOVERS)
        tables = [
            tag("div", tag("h3", f"{word}: {comparison.labels[index]}"), _mover_table(found))
            for word, found in (("Gained most", gained), ("Lost most", lost))
            if found
        ]
        if tables:
            parts += [tag("div", *tables, class_="columns")]
    return [tag("h2", "Subsets that moved most"), *parts] if parts else []


def _mover_table(found: Sequence[Mover]) -> Markup:
    heads = [tag("th", head, scope="col") for head in ("subset", "before", "after")]
    rows = []
    for mover in found:
        name = breakable(f"{mover.dataset}/{mover.subset}")
        chip = difference_chip(mover.difference.value, mover.paired)
        after = tag("td", f"{mover.after:.2f} ", chip, tag("small", interval(mover.paired)))
        head = tag("th", name, _questions(mover.rows), scope="row")
        rows += [tag("tr", head, tag("td", f"{mover.before:.2f}"), after)]
    return data_table(heads, rows)


def _questions(count: int) -> Markup:
    return tag("small", f" {count} {'question' if count == 1 else 'questions'}")


def _flips(comparison: Comparison, flips: Flips) -> list[Markup]:
    names = (comparison.baseline_name, comparison.labels[flips.run])
    parts = [tag("p", flip_line(comparison, flips))]
    for is_gained, said, count in (
        (True, "wrong → right", flips.gained),
        (False, "right → wrong", flips.lost),
    ):
        shown = [flip for flip in flips.shown if flip.is_gained is is_gained]
        if shown:
            of = f"{len(shown)} of {count}" if len(shown) < count else f"all {count}"
            cards = [_card(flip, *names) for flip in shown]
            parts += [tag("details", tag("summary", f"{flips.dataset}: {said}, {of}"), *cards)]
    return parts


def _card(flip: Flip, before: str, after: str) -> Markup:
    return tag(
        "article",
        tag("h3", f"{flip.subset}/{flip.index}"),
        tag("div", flip.after.prompt, class_="text"),
        tag("p", tag("small", "right answer: "), flip.after.reference or "not recorded"),
        tag(
            "div",
            _answer(before, flip.before, is_right=not flip.is_gained),
            _answer(after, flip.after, is_right=flip.is_gained),
            class_="sides",
        ),
    )


def _answer(name: str, text: AnswerText, *, is_right: bool) -> Markup:
    sign = tag("span", "✓" if is_right else "✗", class_="up" if is_right else "down")
    took = tag("small", f" taken: {text.extracted}") if text.extracted else ""
    said = tag("div", text.prediction or "(nothing)", class_="text")
    return tag("div", tag("p", sign, join(" ", name), took), said)
