"""From a result to what people and programs read: feedback block, table, report.md.

A dataset without a score that can be stood behind shows its status and reason instead of a number.
A score that is flagged has a mark, and its flags stand below as sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ftbench.canary_words import canary_sentence
from ftbench.decision import Decision, decision_lines
from ftbench.delta_text import delta_lines, delta_markdown
from ftbench.deltas import Deltas
from ftbench.error_samples import choose_errors
from ftbench.feedback import feedback_json, final_decision
from ftbench.host import command_line
from ftbench.plan import Plan
from ftbench.printing import say
from ftbench.schema import OK, TIMEOUT, DatasetResult, Reason, Result, write_atomically
from ftbench.score_rows import (
    ANSWERS,
    AVERAGE,
    DATASET,
    GROUP,
    INDENT,
    INTERVAL,
    ScoreRow,
    average_row,
    cells,
    flag_lines,
    result_rows,
    subset_rows,
)
from ftbench.validity import notes

BY_SAMPLES = "weighted by samples"

_LEFT = ("dataset", "subset", "answers", "what it is", "status")

_MAX_WIDTH = 1000
"""Wider than any table."""

_STYLES = {"ok": "green", "partial": "yellow", "timeout": "yellow", "failed": "red"}


@dataclass(frozen=True)
class Pointers:
    """Where the reader goes next.

    Attributes:
        run_url: The benchmark run in MLflow's UI; empty when there is none.
        view_url: All benchmark runs of the experiment with their scores, best first.
        charts_url: Charts of them, with the difference against the base model.
        training_view_url: The same beside training runs and their losses; empty without one.
        open_with: A command that opens these pages; empty when they need none.
        notes: What else a reader should know, one sentence each.
        run_id, experiment_id: Of the benchmark run; empty when there is none.
    """

    run_url: str = ""
    view_url: str = ""
    charts_url: str = ""
    training_view_url: str = ""
    open_with: str = ""
    notes: tuple[str, ...] = ()
    run_id: str = ""
    experiment_id: str = ""


def feedback(result: Result, deltas: Deltas | None = None, decision: Decision | None = None) -> str:
    """The feedback block, in the mission's words; below it flags, differences and the gate.

    Args:
        deltas: The scores against the baseline's; None where there is no baseline.
        decision: What the gate decided; None where none was chosen.
    """
    total = len(result.datasets)
    done = sum(d.status == OK for d in result.datasets)
    lines = []
    if not total:
        lines += ["Execution: Benchmark skipped: no datasets", "Return Checking:"]
        lines += ["  Benchmark Results: none", "Code: Average Score: none"]
    else:
        lines += [f"Execution: {_execution(result, done, total)}", "Return Checking:"]
        lines += ["  Benchmark Results:"]
        lines += [f"    {d.name}: {outcome(d)}" for d in result.datasets]
        lines += [f"Code: Average Score: {_average(result, done, total)}"]
    lines += [f"Final Decision: {final_decision(result, decision)}"]
    if found := flag_lines(result.datasets):
        lines += ["Flags:", *(f"  {line}" for line in found)]
    lines += delta_lines(deltas) if deltas else []
    lines += decision_lines(decision) if decision else []
    return "\n".join(lines)


def outcome(dataset: DatasetResult) -> str:
    """A dataset's score to one decimal, or why there is none that counts."""
    if dataset.status == OK and dataset.score is not None:
        return f"{dataset.score:.1f}"
    reason = dataset.reason.message if dataset.reason else "no reason was recorded"
    text = f"{dataset.status}: {reason}"
    if dataset.score is not None:
        text += f" ({dataset.aggregation}: {dataset.score:.1f})"
    return text


def score_tables(result: Result, width: int) -> list[Table]:
    """The scores and what their answers are like: one table, or two where one is too wide.

    Args:
        width: Characters of a line.
    """
    whole = _score_table(result, has_answers=True)
    if Console(width=_MAX_WIDTH).measure(whole).maximum <= width:
        return [whole]
    answers = _table(("answers", *ANSWERS), "")
    for row in result_rows(result):
        if row.kind != AVERAGE:
            answers.add_row(_indented(row), *cells(row).answers, style=_style(row))
    return [_score_table(result, has_answers=False), answers]


def _score_table(result: Result, has_answers: bool) -> Table:
    """A row per dataset, below it the mean weighted by samples and the groups; last the average."""
    middle = ANSWERS if has_answers else ()
    rows = result_rows(result)
    bars = (INTERVAL,) if _has_bars(rows) else ()
    heads = ("dataset", "score", *bars, "what it is", "samples", *middle, "status")
    table = _table(heads, result.model_abbr)
    for row in rows:
        own = cells(row)
        answers = own.answers if has_answers else ()
        status = Text(own.status, style=_STYLES.get(own.status, ""))
        interval = (own.interval,) if bars else ()
        line = (_indented(row), own.score, *interval, own.what, own.samples, *answers)
        table.add_row(*line, status, style=_style(row))
        if row.kind == DATASET and own.weighted:
            table.add_row("", own.weighted, *[""] * len(bars), BY_SAMPLES)
    return table


def _table(heads: Sequence[str], title: str) -> Table:
    table = Table(
        title=title or None,
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for head in heads:
        table.add_column(head, justify="left" if head in _LEFT else "right")
    return table


def _has_bars(rows: Sequence[ScoreRow]) -> bool:
    return any(cells(row).interval for row in rows)


def _indented(row: ScoreRow) -> str:
    return "  " * row.depth + row.name


def _style(row: ScoreRow) -> str:
    return "dim" if row.kind == GROUP else ""


def markdown(
    plan: Plan,
    result: Result,
    pointers: Pointers,
    deltas: Deltas | None = None,
    decision: Decision | None = None,
) -> str:
    """The report as Markdown."""
    lines = [f"# {plan.model_abbr}", ""]
    lines += _markdown_table("dataset", result_rows(result))
    lines += ["", "```", feedback(result, deltas, decision), "```", ""]
    lines += [f"- {line}" for line in details(plan, result)]
    lines += [f"- {line}" for line in _links(pointers)]
    lines += [f"- {line}" for line in (*pointers.notes, *_going_on(plan, result))]
    lines += delta_markdown(deltas) if deltas else []
    lines += _markdown_subsets(result)
    return "\n".join(lines) + "\n"


def details(plan: Plan, result: Result) -> list[str]:
    """What else a reader needs to judge the scores, one line each."""
    lines = [f"Model: {plan.model.adapter or plan.model.base}"]
    if plan.model.adapter:
        lines += [f"Base model: {plan.model.base}"]
    lines += _canary(result)
    lines += list(result.model.notes)
    lines += _notes(result)
    lines += [f"Fingerprint: {plan.fingerprint}"] if plan.fingerprint else []
    lines += [f"Run folder: {plan.run_dir}"]
    lines += [f"Command: `{command_line(plan.command)}`"]
    return lines


def write_reports(
    plan: Plan,
    result: Result,
    pointers: Pointers | None = None,
    deltas: Deltas | None = None,
    decision: Decision | None = None,
) -> None:
    """Writes ``report.md`` and ``feedback.json`` into the run folder.

    Once before the recording, which takes them along, and again when more is known.

    Args:
        pointers: Where the reader goes next; None before that is known.
        deltas: The scores against the baseline's; None where there is none, or not yet.
        decision: What the gate decided; None where none was chosen, or not yet.
    """
    errors = choose_errors(plan, result)
    report = markdown(plan, result, pointers or Pointers(), deltas, decision)
    write_atomically(plan.files.report, report)
    write_atomically(plan.files.feedback, feedback_json(result, errors, deltas, decision))


def print_report(
    console: Console,
    plan: Plan,
    result: Result,
    pointers: Pointers,
    deltas: Deltas | None = None,
    decision: Decision | None = None,
) -> None:
    """Prints the table, the feedback block and where to look next."""
    if result.datasets:
        for table in score_tables(result, console.width):
            console.print(table)
            console.print()
    for reason in _reasons(result):
        console.print(f"{reason.kind}: {reason.message}", markup=False, highlight=False)
        if reason.log:
            log = f"  log: {plan.run_dir / reason.log}"
            say(console, log)
    say(console, feedback(result, deltas, decision))
    where = [f"Report: {plan.files.report}", *_links(pointers), *pointers.notes]
    for line in [*_canary(result), *_notes(result), *where, *_going_on(plan, result)]:
        say(console, line)


def _canary(result: Result) -> list[str]:
    sentence = canary_sentence(result.model.canary)
    return [sentence] if sentence else []


def _notes(result: Result) -> list[str]:
    reused = [
        f"{d.name}: reused, evaluated in {d.reused_from}" for d in result.datasets if d.reused_from
    ]
    found = [f"{d.name}: {note}" for d in result.datasets for note in notes(d.subsets)]
    return [*reused, *found, *_average_notes(result)]


def _average_notes(result: Result) -> list[str]:
    """Why the average has no interval, where datasets have some."""
    average = average_row(result)
    if average is None or average.uncertainty is None or not average.uncertainty.why_not:
        return []
    if all(d.uncertainty is None or d.uncertainty.low is None for d in result.datasets):
        return []
    return [f"avg has no interval: {average.uncertainty.why_not}"]


def _going_on(plan: Plan, result: Result) -> list[str]:
    """The command to go on with, after a time limit; what is done is not asked again."""
    if not any(dataset.status == TIMEOUT for dataset in result.datasets):
        return []
    return [f"To go on where it stopped: {command_line(plan.command)}"]


def _links(pointers: Pointers) -> list[str]:
    named = {
        "MLflow": pointers.run_url,
        "Leaderboard": pointers.view_url,
        "Charts": pointers.charts_url,
        "Beside training": pointers.training_view_url,
        "Open them with": pointers.open_with,
    }
    return [f"{name}: {link}" for name, link in named.items() if link]


def _execution(result: Result, done: int, total: int) -> str:
    text = f"Benchmark completed: {done}/{total} datasets"
    return f"{text} ({result.failure.message})" if result.failure else text


def _average(result: Result, done: int, total: int) -> str:
    if result.average is None:
        return f"none ({done}/{total} datasets)"
    partly = "" if done == total else f" ({done}/{total} datasets)"
    return f"{result.average:.1f}%{partly}"


def _reasons(result: Result) -> list[Reason]:
    reasons = [d.reason for d in result.datasets if d.reason]
    return list(dict.fromkeys(reasons))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _markdown_subsets(result: Result) -> list[str]:
    lines = []
    for dataset in result.datasets:
        if rows := subset_rows(dataset):
            lines += ["", f"## {dataset.name}", "", *_markdown_table("subset", rows)]
    return lines


def _markdown_table(first: str, rows: Sequence[ScoreRow]) -> list[str]:
    has_means = any(row.weighted_score is not None for row in rows)
    weighted = (BY_SAMPLES,) if has_means else ()
    bars = (INTERVAL,) if _has_bars(rows) else ()
    heads = (
        first,
        "score",
        *bars,
        *weighted,
        "what it is",
        "samples",
        *ANSWERS,
        "seconds",
        "status",
    )
    lines = ["| " + " | ".join(heads) + " |"]
    lines += ["|" + "|".join("---" if head in _LEFT else "---:" for head in heads) + "|"]
    for row in rows:
        own = cells(row)
        # Markdown drops spaces at the start of a cell.
        name = INDENT * row.depth + own.name
        status = f"{row.status}: {row.reason.message}" if row.reason else row.status
        means = (own.score, *([own.interval] if bars else []))
        means += (own.weighted,) if has_means else ()
        line = (name, *means, own.what, own.samples, *own.answers, own.seconds, status)
        lines += ["| " + " | ".join(map(_cell, line)) + " |"]
    return lines
