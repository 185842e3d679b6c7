"""A comparison as Markdown, for a pull request, a wiki or a note."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from ftbench.comparison.compare import movers
from ftbench.comparison.values import Comparison, Line, Mover
from ftbench.comparison.verdicts import CHANCE
from ftbench.comparison.words import (
    MOVERS,
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


def comparison_markdown(comparison: Comparison) -> str:
    """The whole comparison; every text of the runs is escaped."""
    lines = [f"**{_text(verdict(comparison))}**", "", *_scores(comparison)]
    if said := average_line(comparison):
        lines += ["", _text(said)]
    told = (*not_compared(comparison), *flag_sentences(comparison), *comparison.notes)
    if told:
        lines += ["", *(f"- {_text(line)}" for line in told)]
    lines += _movers(comparison)
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
    heads = ["dataset"]
    for index, label in enumerate(comparison.labels):
        heads += [label] if index == comparison.baseline else [label, "difference"]
    rows = []
    for dataset in comparison.datasets:
        rows += [_row(comparison, line) for line in (dataset.line, *dataset.groups)]
    if len(comparison.datasets) > 1 and comparison.averaged:
        row = ["avg"]
        for index, average in enumerate(comparison.averages):
            row += [average_text(average)]
            row += [] if index == comparison.baseline else [signed(average.difference)]
        rows += [row]
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
        row += [] if index == comparison.baseline else [difference_text(standing)]
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
        row = [rank, name, average_text(average), signed(average.difference)]
        for dataset in comparison.datasets:
            standing = dataset.line.standings[index]
            differs = f" ({signed(standing.difference)})" if standing.difference else ""
            row += [score_text(standing) + differs]
        rows += [row]
    return _table(heads, rows, left=2)


def _movers(comparison: Comparison) -> list[str]:
    lines = []
    for index in comparison.others:
        gained, lost = movers(comparison, index, MOVERS)
        rows = [_mover_row(mover) for mover in (*gained, *reversed(lost))]
        if rows:
            heads = ["subset", "before", "after", "difference", "questions"]
            title = f"### What moved most: {_text(comparison.labels[index])}"
            lines += ["", title, "", *_table(heads, rows, left=1)]
    return lines


def _mover_row(mover: Mover) -> list[str]:
    scores = [f"{mover.before:.2f}", f"{mover.after:.2f}"]
    return [f"{mover.dataset}/{mover.subset}", *scores, signed(mover.difference), str(mover.rows)]


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
