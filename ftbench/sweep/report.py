"""A sweep's table for people and programs: terminal, Markdown, JSON."""

from __future__ import annotations

import html
import json
import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from ftbench.printing import say
from ftbench.schema import write_atomically
from ftbench.score_rows import MARK
from ftbench.sweep.jobs import OK, Job, Sweep
from ftbench.sweep.table import Row, Table, short_key

BEST = "★"

_MAX_WIDTH = 1000
"""Wider than any table."""

_STYLES = {OK: "green", "failed": "red", "killed": "red"}


def job_line(row: Row) -> str:
    """How one job ended, in one line."""
    job = row.job
    how = job.status if job.exit_code in (None, 0) else f"{job.status} (exit code {job.exit_code})"
    tail = job.error or job.run_url
    return f"#{job.number} {how}: {row.label}" + (f": {tail}" if tail else "")


def heads(table: Table) -> list[str]:
    """Headings of the columns that ``cells`` fills."""
    difference = ["against base"] if table.has_base else []
    # The mean over one dataset is that dataset's score.
    average = ["avg"] if len(table.datasets) != 1 else []
    settings = [short_key(key, table.keys) for key in table.keys]
    return ["job", *settings, *average, *table.datasets, *difference, "status"]


def cells(row: Row, table: Table, show_best: Callable[[str], str]) -> list[str]:
    """One row's texts; a best score goes through ``show_best``."""

    def score(name: str, value: float | None, is_flagged: bool) -> str:
        if value is None:
            return ""
        text = f"{value:.2f} {MARK}" if is_flagged else f"{value:.2f}"
        is_best = row.is_job and row.job.number in table.best.get(name, ())
        return show_best(text) if is_best else text

    average = [score("", row.average, bool(row.flagged))] if len(table.datasets) != 1 else []
    scores = [score(d, row.scores.get(d), d in row.flagged) for d in table.datasets]
    difference = []
    if table.has_base:
        value = _difference(row, table)
        difference = ["base" if row.job.is_base else "" if value is None else f"{value:+.2f}"]
    settings = [row.settings.get(key, "") for key in table.keys]
    number = f"#{row.job.number}" if row.is_job else "base"
    return [number, *settings, *average, *scores, *difference, row.job.status]


def by_number(table: Table) -> list[Row]:
    """The rows in the order in which the jobs were started."""
    return sorted(table.rows, key=lambda row: row.job.number)


def markdown_table(
    table: Table, link: Callable[[Job], str], rows: Sequence[Row] | None = None
) -> list[str]:
    """The table as lines of Markdown.

    Args:
        table: Of the sweep.
        link: Address of a job's benchmark run, empty when there is none.
        rows: Some of its rows; None: all, and the bases.
    """
    titles = heads(table)
    numbers = {"avg", "against base", *table.datasets}
    lines = ["| " + " | ".join(map(_cell, titles)) + " |"]
    lines += ["|" + "|".join("---:" if title in numbers else "---" for title in titles) + "|"]
    for row in table.shown if rows is None else rows:
        own = cells(row, table, lambda text: f"**{text}**")
        texts = [own[0], *(_cell(text, keeps_bold=True) for text in own[1:])]
        if address := link(row.job):
            texts[0] = f"[{texts[0]}]({address})"
        lines += ["| " + " | ".join(texts) + " |"]
    return lines


def markdown(sweep: Sweep, table: Table) -> str:
    """The whole report as Markdown."""
    lines = [f"# Sweep {sweep.sweep_id}", "", f"{headline(table)}.", ""]
    lines += markdown_table(table, lambda job: job.run_url)
    if any(row.flagged for row in table.shown):
        lines += ["", f"\\{MARK} flagged: the job's own report says why"]
    if failed := [row for row in by_number(table) if row.job.status != OK]:
        lines += ["", "## Not complete", ""]
        lines += [f"- {_cell(job_line(row))}" for row in failed]
    lines += ["", "## Command", "", "```sh", shlex.join(sweep.command), "```"]
    return "\n".join(lines) + "\n"


def headline(table: Table) -> str:
    """What came out, in one sentence without its full stop."""
    done = sum(row.job.status == OK for row in table.rows)
    text = f"{done} of {len(table.rows)} jobs are complete"
    if (winner := table.winner) is None or winner.average is None:
        return text
    text += f"; best: {winner.label}, {winner.average:.2f}"
    value = _difference(winner, table)
    return text if value is None else f"{text} ({value:+.2f} against the base)"


def summary_json(sweep: Sweep, table: Table) -> str:
    """The table for programs; scores are not rounded."""
    value = {
        "sweep_id": sweep.sweep_id,
        "command": list(sweep.command),
        "exit_code": sweep.exit_code,
        "best": table.winner.job.number if table.winner else None,
        "jobs": [_row_json(row) for row in table.rows],
        "bases": [_row_json(row) for row in table.bases],
    }
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def write_summary(sweep: Sweep, table: Table) -> None:
    """Writes ``summary.md`` and ``summary.json`` into the sweep's folder."""
    write_atomically(sweep.folder / "summary.md", markdown(sweep, table))
    write_atomically(sweep.folder / "summary.json", summary_json(sweep, table))


def print_summary(console: Console, sweep: Sweep, table: Table) -> None:
    """Prints the table, then one line for each job that is not complete."""
    if any(row.scores for row in table.rows):
        console.print(_fitting(table, console.width))
        if any(row.job.number in numbers for row in table.rows for numbers in table.best.values()):
            say(console, f"{BEST} best")
        if any(row.flagged for row in table.shown):
            say(console, f"{MARK} flagged: the job's own report says why")
        console.print()
    for row in by_number(table):
        say(console, job_line(row))
    say(console, f"Sweep {sweep.sweep_id}: {headline(table)}")
    say(console, f"Table: {sweep.folder / 'summary.md'}")


def _fitting(table: Table, width: int) -> RichTable:
    """The table, without its single datasets where it would be too wide."""
    whole = _rich_table(table)
    if len(table.datasets) < 2 or Console(width=_MAX_WIDTH).measure(whole).maximum <= width:
        return whole
    return _rich_table(table, leave_out=frozenset(table.datasets))


def _rich_table(table: Table, leave_out: frozenset[str] = frozenset()) -> RichTable:
    titles = heads(table)
    kept = [i for i, title in enumerate(titles) if title not in leave_out]
    numbers = {"avg", "against base", *table.datasets}
    shown = RichTable(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for index in kept:
        title = titles[index]
        shown.add_column(title, justify="right" if title in numbers else "left", overflow="fold")
    for row in table.shown:
        texts = [Text(text) for text in cells(row, table, lambda text: f"{BEST} {text}")]
        texts[-1].stylize(_STYLES.get(row.job.status, ""))
        shown.add_row(*(texts[index] for index in kept))
    return shown


def _difference(row: Row, table: Table) -> float | None:
    """Points above the base: of the average, or of the only dataset."""
    if len(table.datasets) == 1:
        return row.differences.get(table.datasets[0])
    return row.average_difference


def _row_json(row: Row) -> dict[str, Any]:
    job = row.job
    return {
        "job": job.number if row.is_job else None,
        "status": job.status,
        "exit_code": job.exit_code,
        "settings": dict(row.settings),
        "model": job.model,
        "is_base": job.is_base,
        "average": row.average,
        "average_difference": row.average_difference,
        "scores": dict(row.scores),
        "differences": dict(row.differences),
        "flagged": sorted(row.flagged),
        "error": job.error,
        "run_dir": job.run_dir,
        "run_url": job.run_url,
        "overrides": list(job.overrides),
    }


def _cell(text: str, keeps_bold: bool = False) -> str:
    """A text that Markdown shows as it is; the ``**`` around a best score may stay."""
    is_bold = keeps_bold and text.startswith("**") and text.endswith("**") and len(text) > 4
    inner = text[2:-2] if is_bold else text
    escaped = re.sub(r"([\\|\[\]*_`])", r"\\\1", html.escape(inner, quote=False))
    escaped = " ".join(escaped.split())
    return f"**{escaped}**" if is_bold else escaped
