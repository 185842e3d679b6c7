"""A comparison in a terminal: the verdict, a table that fits, what moved, what is to be known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ftbench.comparison.compare import movers
from ftbench.comparison.values import (
    Average,
    Comparison,
    DatasetLines,
    Difference,
    Line,
    Mover,
    Standing,
)
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
from ftbench.printing import say
from ftbench.score_rows import MARK

MAX_COLUMNS_OF_RUNS = 3
"""More runs than these stand in rows, their datasets in columns."""
_NAME_WIDTH = 34
_RANK_WIDTH = 7
_AVERAGE_WIDTH = 20
"""Characters of the average and its difference."""
_LONG_LABEL = 18
"""A longer label is broken at its slashes."""
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
    if len(comparison.runs) > MAX_COLUMNS_OF_RUNS and not_compared(comparison):
        _say(console, "!: not comparable with the baseline, for these reasons:")
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
    names = [_run_name(comparison, index).cell_len for index in range(len(comparison.runs))]
    left = width - min(_NAME_WIDTH, max(names)) - _RANK_WIDTH
    for number, part in enumerate(_parted(comparison.datasets, left, _AVERAGE_WIDTH)):
        yield _by_run(comparison, part, is_first=number == 0)


def _parted(datasets: Sequence[DatasetLines], width: int, taken: int) -> list[list[DatasetLines]]:
    """Datasets as tables that fit; the first table has ``taken`` characters less."""
    parts: list[list[DatasetLines]] = [[]]
    left = width - taken
    for dataset in datasets:
        texts = [dataset.name, *map(_short_score, dataset.line.standings)]
        own = max(map(len, texts)) + 3
        if parts[-1] and own > left:
            parts.append([])
            left = width
        parts[-1].append(dataset)
        left -= own
    return parts


def _by_dataset(comparison: Comparison) -> Table:
    """Datasets and their groups in rows; the runs in columns, each but the baseline twice."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold", show_footer=False)
    table.add_column("dataset", overflow="fold")
    for index in _columns(comparison):
        table.add_column(_head(comparison.labels[index]), justify="right", overflow="fold")
        if index != comparison.baseline:
            head = "difference" if len(comparison.runs) == 2 else "diff."
            table.add_column(head, justify="right", overflow="fold")
    for dataset in comparison.datasets:
        table.add_row(*_cells(comparison, dataset.line))
        for group in dataset.groups:
            table.add_row(*_cells(comparison, group), style="dim")
    if len(comparison.datasets) > 1 and comparison.averaged:
        table.add_section()
        table.add_row(*_average_cells(comparison))
    return table


def _head(label: str) -> Text:
    return Text(label.replace("/", "/\n") if len(label) > _LONG_LABEL else label)


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


def _by_run(comparison: Comparison, datasets: Sequence[DatasetLines], is_first: bool) -> Table:
    """Runs in rows, best first; datasets in columns."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("", justify="right")
    table.add_column("run", overflow="fold", max_width=_NAME_WIDTH)
    if is_first:
        table.add_column("avg", justify="right", overflow="fold")
        table.add_column("diff.", justify="right", overflow="fold")
    for dataset in datasets:
        table.add_column(Text(dataset.name), justify="right", overflow="fold")
    rest = [i for i in range(len(comparison.runs)) if i not in comparison.ranking]
    for index in (*comparison.ranking, *rest):
        rank = str(comparison.ranking.index(index) + 1) if index in comparison.ranking else ""
        cells = [Text(rank), _run_name(comparison, index)]
        if is_first:
            average = comparison.averages[index]
            cells += [Text(average_text(average), style="bold"), _average_difference(average)]
        for standing in (dataset.line.standings[index] for dataset in datasets):
            cells += [Text(_short_score(standing), style="bold" if standing.is_best else "")]
        table.add_row(*cells, style="" if rank else "dim")
    return table


def _run_name(comparison: Comparison, index: int) -> Text:
    name = comparison.labels[index]
    return Text(f"{name} (baseline)" if index == comparison.baseline else name)


def _average_difference(average: Average) -> Text:
    return Text(signed(average.difference), style=_style(average.difference))


def _short_score(standing: Standing) -> str:
    if standing.score is None:
        return "-"
    flagged = f" {MARK}" if standing.flags else ""
    return f"{standing.score:.2f}{flagged}{' !' if standing.why_not else ''}"


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
        say(console, text)
