"""The scores against the baseline's as people and programs read them: lines, table, JSON.

Where there is no difference or no test of it, the reason stands in its place.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ftbench.deltas import Delta, Deltas

_HEADS = ("dataset", "baseline", "score", "difference", "95 % interval", "p", "verdict")
_LEFT = ("dataset", "verdict")
_STYLES = {"better": "green", "worse": "red"}


def points(value: float, digits: int = 1) -> str:
    """A difference in points with its sign."""
    zero = f"±{0:.{digits}f}"
    return zero if round(value, digits) == 0 else f"{value:+.{digits}f}"


def interval(delta: Delta, digits: int = 1) -> str:
    """The 95 % interval of a difference, such as ``[+4.0, +14.2]``; empty where unknown."""
    if delta.low is None or delta.high is None:
        return ""
    return f"[{points(delta.low, digits)}, {points(delta.high, digits)}]"


def verdict(delta: Delta) -> str:
    """The verdict with its reason, or why there is none."""
    named = delta.verdict or ("" if delta.difference is None else "not tested")
    return ": ".join(part for part in (named, delta.why_not) if part)


def delta_lines(deltas: Deltas) -> list[str]:
    """What stands below the feedback block."""
    if deltas.why_not and not deltas.datasets:
        return [f"Against {deltas.title}: no difference: {deltas.why_not}"]
    lines = [f"Against {deltas.title}:"]
    lines += [f"  {delta.dataset}: {_line(delta)}" for delta in deltas.datasets]
    if (average := _average(deltas)) is not None:
        lines += [f"  {average.dataset}: {_line(average)}"]
    lines += [f"  {line}" for line in (deltas.why_not, *deltas.notes) if line]
    return lines


def _average(deltas: Deltas) -> Delta | None:
    """The average where it is over several datasets, named by their number."""
    found = deltas.of_average
    if found is None or len(deltas.averaged) < 2:
        return None
    return dataclasses.replace(found, dataset=f"average of {len(deltas.averaged)}")


def _rows(deltas: Deltas) -> list[Delta]:
    average = _average(deltas)
    return [*deltas.datasets, *([average] if average else [])]


def _line(delta: Delta) -> str:
    if delta.difference is None or delta.baseline_score is None or delta.score is None:
        return verdict(delta)
    change = f"{delta.baseline_score:.1f} -> {delta.score:.1f}, {points(delta.difference)}"
    ends = interval(delta)
    return f"{change} {ends}, {verdict(delta)}" if ends else f"{change}, {verdict(delta)}"


def delta_table(deltas: Deltas) -> Table:
    """A row per dataset and the average: both scores, the difference and interval, the verdict."""
    table = Table(
        title=f"against {deltas.title}",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for head in _HEADS:
        table.add_column(head, justify="left" if head in _LEFT else "right")
    for delta in _rows(deltas):
        *cells, last = _cells(delta)
        table.add_row(*map(Text, cells), Text(last, style=_STYLES.get(delta.verdict, "")))
    return table


def delta_markdown(deltas: Deltas) -> list[str]:
    """The section of ``report.md``."""
    lines = ["", f"## Against {deltas.title}", ""]
    if deltas.datasets:
        lines += ["| " + " | ".join(_HEADS) + " |"]
        lines += ["|" + "|".join("---" if head in _LEFT else "---:" for head in _HEADS) + "|"]
        lines += ["| " + " | ".join(map(_cell, _cells(delta))) + " |" for delta in _rows(deltas)]
        lines += [""]
    if deltas.why_not:
        lines += [f"- No difference: {deltas.why_not}" if not deltas.datasets else deltas.why_not]
    lines += [f"- {line}" for line in [*deltas.notes, *_further(deltas)]]
    return lines


def baseline_json(deltas: Deltas | None) -> dict[str, Any] | None:
    """The baseline in ``feedback.json``."""
    if deltas is None:
        return None
    return {
        "kind": deltas.kind,
        "name": deltas.name,
        "run_id": deltas.run_id or None,
        "run_dir": deltas.run_dir or None,
        "average": deltas.baseline_average,
        "average_delta": deltas.difference,
        "average_delta_low": deltas.average_low,
        "average_delta_high": deltas.average_high,
        "average_verdict": deltas.average_verdict or None,
        "average_verdict_why_not": deltas.average_why_not or None,
        "averaged_over": list(deltas.averaged),
        "why_not": deltas.why_not or None,
    }


def delta_json(delta: Delta | None) -> dict[str, Any]:
    """One dataset's part in ``feedback.json``, the same keys whatever is known."""
    own = delta or Delta("")
    return {
        "baseline_score": own.baseline_score,
        "delta": own.difference,
        "delta_low": own.low,
        "delta_high": own.high,
        "p_value": own.p_value,
        "p_adjusted": own.p_adjusted,
        "verdict": own.verdict or None,
        "verdict_why_not": own.why_not or None,
    }


def _cells(delta: Delta) -> tuple[str, ...]:
    return (
        delta.dataset,
        _number(delta.baseline_score),
        _number(delta.score),
        "" if delta.difference is None else points(delta.difference, 2),
        interval(delta, 2),
        "" if delta.p_value is None else f"{delta.p_value:.2g}",
        verdict(delta),
    )


def _further(deltas: Deltas) -> list[str]:
    """How the differences were tested, one sentence per dataset."""
    lines = [f"Baseline: {deltas.run_url or deltas.run_dir}"] if deltas.run_dir else []
    for delta in deltas.datasets:
        if not delta.test:
            continue
        parts = [delta.test]
        if delta.gained is not None and delta.lost is not None:
            parts += [f"{delta.gained} of {delta.rows} became right, {delta.lost} wrong"]
        if delta.detectable is not None:
            parts += [f"less than {delta.detectable:.1f} points is noise at this sample size"]
        lines += [f"{delta.dataset}: {'; '.join(parts)}"]
    return lines


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
