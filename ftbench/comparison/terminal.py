"""A comparison in a terminal: the verdict, a table that fits, what moved, what is to be known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ftbench.comparison.compare import movers
from ftbench.comparison.values import Average, Comparison, Difference, Line, Mover
from ftbench.comparison.words import (
    CHANCE,
    average_line,
    average_text,
    difference_text,
    flag_sentences,
    not_compared,
    score_text,
    signed,
    verdict,
)

MAX_COLUMNS_OF_RUNS = 3
"""More runs than these stand in rows, their datasets in columns."""
_MIN_COLUMN = 9
"""Characters of a dataset's column; with fewer in sight the table is cut into several."""
_NAME_WIDTH = 34
_MOVERS = 3
"""Subsets that are told as gaining, and as losing, most."""
_MAX_MOVED = 3
"""Runs whose moving subsets are told; of more, the best one's."""


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Prints a comparison.

    Side effects: writes to the console.
    """
    console.print(Text(verdict(comparison), style="bold"), soft_wrap=True)
    for table in _tables(comparison, console.width):
        console.print(table)
    _say(console, average_line(comparison))
    for line in (*not_compared(comparison), *flag_sentences(comparison)):
        _say(console, f"- {line}")
    _print_movers(console, comparison)
    _print_settings(console, comparison)
    for note in comparison.notes:
        _say(console, f"note: {note}")
    for label, run in zip(comparison.labels, comparison.runs, strict=True):
        if run.link:
            _say(console, f"{label}: {run.link}")
    console.print(Text(CHANCE, style="dim"), soft_wrap=True)


def _tables(comparison: Comparison, width: int) -> Iterator[Table]:
    if len(comparison.runs) <= MAX_COLUMNS_OF_RUNS:
        yield _by_dataset(comparison)
        return
    per_table = max(1, (width - _NAME_WIDTH - 20) // _MIN_COLUMN)
    names = [dataset.name for dataset in comparison.datasets]
    for start in range(0, max(1, len(names)), per_table):
        yield _by_run(comparison, names[start : start + per_table], is_first=start == 0)


def _by_dataset(comparison: Comparison) -> Table:
    """Datasets and their groups in rows; the runs in columns, each but the baseline twice."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold", show_footer=False)
    table.add_column("dataset", overflow="fold")
    for index in _columns(comparison):
        table.add_column(Text(comparison.labels[index]), justify="right", overflow="fold")
        if index != comparison.baseline:
            table.add_column("difference", justify="right", overflow="fold")
    for dataset in comparison.datasets:
        table.add_row(*_cells(comparison, dataset.line))
        for group in dataset.groups:
            table.add_row(*_cells(comparison, group), style="dim")
    if len(comparison.datasets) > 1 and comparison.averaged:
        table.add_section()
        table.add_row(*_average_cells(comparison))
    return table


def _columns(comparison: Comparison) -> list[int]:
    return [comparison.baseline, *comparison.others]


def _cells(comparison: Comparison, line: Line) -> list[Text]:
    found = [Text("  " * line.depth + line.name)]
    for index in _columns(comparison):
        standing = line.standings[index]
        found += [Text(score_text(standing), style="bold" if standing.is_best else "")]
        if index != comparison.baseline:
            found += [Text(difference_text(standing), style=_style(standing.difference))]
    return found


def _average_cells(comparison: Comparison) -> list[Text]:
    found = [Text("avg", style="bold")]
    for index in _columns(comparison):
        average = comparison.averages[index]
        found += [Text(average_text(average), style="bold")]
        if index != comparison.baseline:
            found += [Text(signed(average.difference), style=_style(average.difference))]
    return found


def _by_run(comparison: Comparison, names: Sequence[str], is_first: bool) -> Table:
    """Runs in rows, best first; datasets in columns."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("", justify="right")
    table.add_column("run", overflow="fold", max_width=_NAME_WIDTH)
    if is_first:
        table.add_column("avg", justify="right", overflow="fold")
        table.add_column("diff.", justify="right", overflow="fold")
    for name in names:
        table.add_column(Text(name), justify="right", overflow="fold")
    rest = [i for i in range(len(comparison.runs)) if i not in comparison.ranking]
    for index in (*comparison.ranking, *rest):
        rank = comparison.ranking.index(index) + 1 if index in comparison.ranking else None
        average = comparison.averages[index]
        cells = [Text("" if rank is None else str(rank)), _run_name(comparison, index)]
        if is_first:
            cells += [Text(average_text(average), style="bold"), _average_difference(average)]
        for dataset in comparison.datasets:
            if dataset.name in names:
                standing = dataset.line.standings[index]
                mark = " !" if standing.why_not and standing.score is not None else ""
                style = "bold" if standing.is_best else ""
                cells += [Text(_short_score(standing.score, mark, standing.flags), style=style)]
        table.add_row(*cells, style="" if rank else "dim")
    return table


def _run_name(comparison: Comparison, index: int) -> Text:
    name = comparison.labels[index]
    return Text(f"{name} (baseline)" if index == comparison.baseline else name)


def _average_difference(average: Average) -> Text:
    return Text(signed(average.difference), style=_style(average.difference))


def _short_score(score: float | None, mark: str, flags: Sequence[str]) -> str:
    return "-" if score is None else f"{score:.2f}{' *' if flags else ''}{mark}"


def _print_movers(console: Console, comparison: Comparison) -> None:
    told = comparison.others
    if len(told) > _MAX_MOVED:
        told = tuple(i for i in comparison.ranking[:1] if i != comparison.baseline)
    for index in told:
        gained, lost = movers(comparison, index, _MOVERS)
        if gained or lost:
            console.print(_movers_table(comparison.labels[index], [*gained, *reversed(lost)]))


def _movers_table(label: str, found: Sequence[Mover]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column(Text(f"moved most, {label}"), overflow="fold")
    for head in ("before", "after", "difference", "questions"):
        table.add_column(head, justify="right")
    for mover in found:
        table.add_row(
            Text(f"{mover.dataset}/{mover.subset}"),
            f"{mover.before:.2f}",
            f"{mover.after:.2f}",
            Text(signed(mover.difference), style=_style(mover.difference)),
            str(mover.rows),
        )
    return table


def _print_settings(console: Console, comparison: Comparison) -> None:
    if not comparison.settings or len(comparison.runs) > MAX_COLUMNS_OF_RUNS:
        keys = ", ".join(setting.key for setting in comparison.settings)
        if keys:
            _say(console, f"differs between the runs: {keys}")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("differs", overflow="fold")
    for index in _columns(comparison):
        table.add_column(Text(comparison.labels[index]), overflow="fold")
    for setting in comparison.settings:
        values = [setting.values[i] or "-" for i in _columns(comparison)]
        table.add_row(Text(setting.key), *map(Text, values))
    console.print(table)


def _style(difference: Difference | None) -> str:
    if difference is None:
        return "dim"
    return "green" if difference.value > 0 else ("red" if difference.value < 0 else "")


def _say(console: Console, text: str) -> None:
    if text:
        console.print(text, markup=False, highlight=False, soft_wrap=True)
