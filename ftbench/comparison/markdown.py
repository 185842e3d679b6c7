"""A comparison as Markdown, for a pull request, a wiki or a note."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from ftbench.comparison.answers import cut_text
from ftbench.comparison.compare import losses, movers
from ftbench.comparison.values import Comparison, Flip, Line, Mover
from ftbench.comparison.verdicts import (
    CHANCE,
    average_word,
    explanations,
    flip_line,
    headlines,
    interval,
    legend,
    loss_name,
    loss_title,
    no_loss,
    p_text,
    word,
)
from ftbench.comparison.words import (
    MOVERS,
    average_difference,
    average_line,
    average_text,
    commands,
    difference_text,
    flag_sentences,
    not_compared,
    score_text,
    signed,
    verdict,
    winner,
)
from ftbench.score_rows import INDENT

_MAX_COLUMNS_OF_RUNS = 4
_MAX_CELL = 400
"""Characters of a prompt or an answer in a table."""


def comparison_markdown(comparison: Comparison) -> str:
    """The whole comparison; every text of the runs is escaped."""
    lines = [f"**{_text(verdict(comparison))}**", "", *_scores(comparison)]
    for said in (average_line(comparison), legend(comparison)):
        lines += ["", _text(said)] if said else []
    told = (
        *(headlines(comparison)),
        *not_compared(comparison),
        *explanations(comparison),
        *flag_sentences(comparison),
        *comparison.notes,
    )
    if told:
        lines += ["", *(f"- {_text(line)}" for line in told)]
    for run in comparison.told:
        lines += [*_losses(comparison, run), *_movers(comparison, run), *_flips(comparison, run)]
    if comparison.settings:
        heads = ["differs", *comparison.labels]
        rows = [[s.key, *(v or "-" for v in s.values)] for s in comparison.settings]
        lines += ["", "### What differs", "", *_table(heads, rows, left=len(heads))]
    if found := commands(comparison):
        lines += ["", "### Evaluate again", "", "```sh"]
        lines += [f"# {' '.join(label.split())}\n{command}" for label, command in found]
        lines += ["```"]
    lines += ["", *_links(comparison), CHANCE]
    return "\n".join(lines) + "\n"


def _scores(comparison: Comparison) -> list[str]:
    if len(comparison.runs) > _MAX_COLUMNS_OF_RUNS:
        return _by_run(comparison)
    is_pair = len(comparison.runs) == 2
    heads = ["dataset"]
    for index, label in enumerate(comparison.labels):
        heads += [label] if index == comparison.baseline else [label, "difference"]
        heads += ["95 % interval", "verdict"] if is_pair and index != comparison.baseline else []
    rows = []
    for dataset in comparison.datasets:
        rows += [_row(comparison, line) for line in (dataset.line, *dataset.groups)]
    if len(comparison.datasets) > 1 and comparison.averaged:
        row = ["avg"]
        for index, average in enumerate(comparison.averages):
            row += [average_text(average)]
            if is_pair and index != comparison.baseline:
                row += [signed(average.difference), interval(average.paired), average_word(average)]
            elif index != comparison.baseline:
                row += [average_difference(average)]
        rows += [row]
    if is_pair:
        return _table(heads, rows, left=1)
    rows = [
        [*row, winner(comparison, line) if line else ""]
        for row, line in zip(rows, _lines_of(comparison, len(rows)), strict=True)
    ]
    return _table([*heads, "best"], rows, left=1)


def _lines_of(comparison: Comparison, count: int) -> list[Line | None]:
    lines: list[Line | None] = []
    for dataset in comparison.datasets:
        lines += [dataset.line, *dataset.groups]
    return [*lines, *([None] * (count - len(lines)))]


def _row(comparison: Comparison, line: Line) -> list[str]:
    row = [INDENT * line.depth + line.name]
    for index, standing in enumerate(line.standings):
        row += [score_text(standing)]
        if index != comparison.baseline and len(comparison.runs) == 2:
            row += [signed(standing.difference), interval(standing.paired), word(standing)]
        elif index != comparison.baseline:
            row += [difference_text(standing)]
    return row


def _by_run(comparison: Comparison) -> list[str]:
    heads = ["", "run", "avg", "difference", *(d.name for d in comparison.datasets)]
    rest = [i for i in range(len(comparison.runs)) if i not in comparison.ranking]
    rows = []
    for index in (*comparison.ranking, *rest):
        rank = str(comparison.ranking.index(index) + 1) if index in comparison.ranking else ""
        average = comparison.averages[index]
        label = comparison.labels[index]
        name = f"{label} (baseline)" if index == comparison.baseline else label
        row = [rank, name, average_text(average), average_difference(average)]
        for dataset in comparison.datasets:
            standing = dataset.line.standings[index]
            differs = f" ({difference_text(standing)})" if standing.difference else ""
            row += [score_text(standing) + differs]
        rows += [row]
    return _table(heads, rows, left=2)


def _losses(comparison: Comparison, run: int) -> list[str]:
    lines = ["", f"### {_text(loss_title(comparison, run))}", ""]
    if said := no_loss(comparison, run):
        return [*lines, _text(said)]
    heads = ["", "difference", "95 % interval", "p (Holm)", "questions"]
    rows = [
        [
            loss_name(loss),
            f"{loss.paired.difference:+.2f}",
            interval(loss.paired),
            p_text(loss.paired),
            str(loss.paired.rows),
        ]
        for loss in losses(comparison, run)
    ]
    return [*lines, *_table(heads, rows, left=1)]


def _movers(comparison: Comparison, run: int) -> list[str]:
    gained, lost = movers(comparison, run, MOVERS)
    rows = [_mover_row(mover) for mover in (*gained, *reversed(lost))]
    if not rows:
        return []
    heads = ["subset", "before", "after", "difference", "95 % interval", "questions"]
    title = f"### What moved most: {_text(comparison.labels[run])}"
    return ["", title, "", *_table(heads, rows, left=1)]


def _mover_row(mover: Mover) -> list[str]:
    scores = [f"{mover.before:.2f}", f"{mover.after:.2f}", signed(mover.difference)]
    return [f"{mover.dataset}/{mover.subset}", *scores, interval(mover.paired), str(mover.rows)]


def _flips(comparison: Comparison, run: int) -> list[str]:
    """The counts of every dataset; the answers fold out, where a page shows Markdown's HTML."""
    found = [flips for flips in comparison.flips if flips.run == run]
    if not found:
        return []
    lines = ["", f"### Answers that changed sides: {_text(comparison.labels[run])}"]
    heads = ["question", "prompt", "right answer", comparison.baseline_name]
    for flips in found:
        lines += ["", _text(flip_line(comparison, flips))]
        rows = [_flip_row(flip) for flip in flips.shown]
        if rows:
            count = f"{len(rows)} of them" if len(rows) < flips.gained + flips.lost else "all"
            lines += ["", "<details>", f"<summary>{count}</summary>", ""]
            lines += [*_table([*heads, comparison.labels[run]], rows, left=5), "", "</details>"]
    return lines


def _flip_row(flip: Flip) -> list[str]:
    before, after = ("✗", "✓") if flip.is_gained else ("✓", "✗")
    return [
        f"{flip.subset}/{flip.index}",
        cut_text(flip.after.prompt, _MAX_CELL),
        cut_text(flip.after.reference, _MAX_CELL),
        f"{before} {cut_text(flip.before.prediction, _MAX_CELL)}",
        f"{after} {cut_text(flip.after.prediction, _MAX_CELL)}",
    ]


def _links(comparison: Comparison) -> list[str]:
    lines = []
    for label, run in zip(comparison.labels, comparison.runs, strict=True):
        named = {"run": run.link, "model": run.model_link, "training run": run.training_link}
        links = [f"[{name}](<{link}>)" for name, link in named.items() if link]
        if links:
            lines += [f"- {_text(label)}: {', '.join(links)}"]
    return [*lines, ""] if lines else []


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    lines = ["| " + " | ".join(map(_text, heads)) + " |"]
    lines += ["|" + "|".join("---" if i < left else "---:" for i in range(len(heads))) + "|"]
    return [*lines, *("| " + " | ".join(map(_text, row)) + " |" for row in rows)]


def _text(text: str) -> str:
    # The em space of an indented name is kept; line breaks would end a table's row.
    escaped = re.sub(r"([\\|\[\]*_`])", r"\\\1", html.escape(text, quote=False))
    return re.sub(r"[\r\n\t ]+", " ", escaped)
