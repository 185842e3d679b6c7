"""From a result to what people and programs read: feedback block, table, report.md, feedback.json.

Scores are rounded here and nowhere else. A dataset without a score that can be stood behind shows
its status and reason instead of a number.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ftbench.host import command_line
from ftbench.plan import Plan
from ftbench.schema import OK, DatasetResult, Reason, Result, to_json, write_atomically

_STYLES = {"ok": "green", "partial": "yellow", "timeout": "yellow", "failed": "red"}


@dataclass(frozen=True)
class Pointers:
    """Where the reader goes next.

    Attributes:
        run_url: The benchmark run in MLflow's UI; empty when there is none.
        view_url: All benchmark runs of the experiment with their scores, best first.
        training_view_url: The same beside training runs and their losses; empty without one.
        open_with: A command that opens these pages; empty when they need none.
        notes: What else a reader should know, one sentence each.
    """

    run_url: str = ""
    view_url: str = ""
    training_view_url: str = ""
    open_with: str = ""
    notes: tuple[str, ...] = ()


def feedback(result: Result) -> str:
    """The feedback block, in the mission's words."""
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
    return "\n".join([*lines, f"Final Decision: {result.is_complete}"])


def outcome(dataset: DatasetResult) -> str:
    """A dataset's score to one decimal, or why there is none that counts."""
    if dataset.status == OK and dataset.score is not None:
        return f"{dataset.score:.1f}"
    reason = dataset.reason.message if dataset.reason else "no reason was recorded"
    text = f"{dataset.status}: {reason}"
    if dataset.score is not None:
        text += f" ({dataset.aggregation}: {dataset.score:.1f})"
    return text


def feedback_json(result: Result) -> str:
    """The feedback for programs; scores are not rounded."""
    value = {
        "schema_version": result.schema_version,
        "decision": result.is_complete,
        "fingerprint": result.fingerprint,
        "model": result.model_abbr,
        "average": result.average,
        "failure": to_json(result.failure) if result.failure else None,
        "datasets": {
            d.name: {
                "status": d.status,
                "score": d.score,
                "metric": d.metric,
                "aggregation": d.aggregation,
                "reason": to_json(d.reason) if d.reason else None,
                "completed": sum(s.completed for s in d.subsets),
                "expected": sum(s.expected for s in d.subsets),
            }
            for d in result.datasets
        },
    }
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def score_table(result: Result) -> Table:
    """One row per dataset: score, metric, coverage, samples, status."""
    table = Table(title=result.model_abbr or None, title_justify="left")
    for name in ("dataset", "score", "metric", "what it is", "samples", "seconds", "status"):
        table.add_column(
            name, justify="right" if name in ("score", "samples", "seconds") else "left"
        )
    for row, dataset in zip(table_rows(result), result.datasets, strict=True):
        style = _STYLES.get(dataset.status, "")
        table.add_row(*row[:-1], Text(row[-1], style=style))
    return table


def table_rows(result: Result) -> list[tuple[str, ...]]:
    """The cells of the table, as text."""
    return [
        (
            d.name,
            "" if d.score is None else f"{d.score:.2f}",
            d.metric,
            d.aggregation,
            f"{sum(s.completed for s in d.subsets)}/{sum(s.expected for s in d.subsets)}",
            f"{d.seconds:.0f}",
            d.status,
        )
        for d in result.datasets
    ]


def markdown(plan: Plan, result: Result, pointers: Pointers) -> str:
    """The report as Markdown."""
    lines = [f"# {plan.model_abbr}", ""]
    lines += ["| dataset | score | metric | what it is | samples | seconds | status |"]
    lines += ["|---|---:|---|---|---:|---:|---|"]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in table_rows(result)]
    lines += ["", "```", feedback(result), "```", ""]
    lines += [f"- {line}" for line in details(plan, result)]
    lines += [f"- {line}" for line in _links(pointers)]
    lines += [f"- {note}" for note in pointers.notes]
    lines += _markdown_subsets(result)
    return "\n".join(lines) + "\n"


def details(plan: Plan, result: Result) -> list[str]:
    """What else a reader needs to judge the scores, one line each."""
    lines = [f"Model: {plan.model.adapter or plan.model.base}"]
    if plan.model.adapter:
        lines += [f"Base model: {plan.model.base}"]
    lines += list(result.model.notes)
    lines += [f"Fingerprint: {plan.fingerprint}"]
    lines += [f"Run folder: {plan.run_dir}"]
    lines += [f"Command: `{command_line(plan.command)}`"]
    return lines


def write_reports(plan: Plan, result: Result, pointers: Pointers) -> None:
    """Writes ``report.md`` and ``feedback.json`` into the run folder."""
    write_atomically(plan.files.report, markdown(plan, result, pointers))
    write_atomically(plan.files.feedback, feedback_json(result))


def print_report(console: Console, plan: Plan, result: Result, pointers: Pointers) -> None:
    """Prints the table, the feedback block and where to look next."""
    if result.datasets:
        console.print(score_table(result))
    for reason in _reasons(result):
        where = f"  log: {plan.run_dir / reason.log}" if reason.log else ""
        console.print(f"{reason.kind}: {reason.message}", markup=False, highlight=False)
        if where:
            console.print(where, markup=False, highlight=False, soft_wrap=True)
    console.print(feedback(result), markup=False, highlight=False, soft_wrap=True)
    for line in [f"Report: {plan.files.report}", *_links(pointers), *pointers.notes]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _links(pointers: Pointers) -> list[str]:
    named = {
        "MLflow": pointers.run_url,
        "Leaderboard": pointers.view_url,
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
        if len(dataset.subsets) < 2:
            continue
        lines += ["", f"## {dataset.name}", "", "| subset | score | samples | status |"]
        lines += ["|---|---:|---:|---|"]
        for s in dataset.subsets:
            score = "" if s.score is None else f"{s.score:.2f}"
            status = f"{s.status}: {s.reason.message}" if s.reason else s.status
            row = (s.name, score, f"{s.completed}/{s.expected}", status)
            lines += ["| " + " | ".join(map(_cell, row)) + " |"]
    return lines
