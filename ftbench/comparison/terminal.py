"""A comparison in a terminal: the verdict, a table that fits, what moved, what is to be known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ftbench.comparison.compare import losses, movers
from ftbench.comparison.values import Comparison, DatasetLines, Line, Mover, Standing
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
    mark,
    no_loss,
    p_text,
    word,
)
from ftbench.comparison.words import (
    average_difference,
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
from ftbench.statistics import Paired, PairedMean
from ftbench.statistics.values import BETTER, WORSE

MAX_COLUMNS_OF_RUNS = 3
"""More runs than these stand in rows, their datasets in columns."""
_NAME_WIDTH = 34
_RANK_WIDTH = 7
_AVERAGE_WIDTH = 22
"""Characters of the average and its difference."""
_MIN_SCORE = 8
_TEST_WIDTH = 42
"""Characters of difference, interval and verdict, and of the spaces between all columns."""
_LONG_NAME = 22
"""A longer dataset or group is broken."""
_LONG_LABEL = 18
"""A longer label is broken at its slashes."""
_MOVERS = 3
"""Subsets that are told as gaining, and as losing, most."""


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Prints a comparison.

    Side effects: writes to the console.
    """
    console.print(Text(verdict(comparison), style="bold"), soft_wrap=True)
    for line in headlines(comparison):
        _say(console, f"- {line}")
    for table in _tables(comparison, console.width):
        console.print(table)
    _say(console, average_line(comparison))
    _say(console, legend(comparison))
    if len(comparison.runs) > MAX_COLUMNS_OF_RUNS and not_compared(comparison):
        _say(console, "!: not comparable with the baseline, for these reasons:")
    told = (not_compared(comparison), explanations(comparison), flag_sentences(comparison))
    for line in (line for lines in told for line in lines):
        _say(console, f"- {line}")
    _print_losses(console, comparison)
    _print_flips(console, comparison)
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
        yield _by_dataset(comparison, width)
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


def _by_dataset(comparison: Comparison, width: int) -> Table:
    """Datasets and their groups in rows; the runs in columns, with their differences.

    Of two runs the interval and the verdict have columns; of more a mark stands for the verdict.
    """
    name_width = _name_width(comparison)
    table = _table("dataset", min_width=name_width)
    most = (
        max(_MIN_SCORE, (width - name_width - _TEST_WIDTH) // 2) if _is_pair(comparison) else None
    )
    for index in _columns(comparison):
        head = _head(comparison.labels[index], most)
        table.add_column(head, justify="right", overflow="fold", max_width=most)
        if index != comparison.baseline:
            table.add_column("diff.", justify="right", no_wrap=True)
    if _is_pair(comparison):
        table.add_column("95 % interval", justify="right", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
    for dataset in comparison.datasets:
        table.add_row(*_cells(comparison, dataset.line))
        for group in dataset.groups:
            table.add_row(*_cells(comparison, group), style="dim")
    if len(comparison.datasets) > 1 and comparison.averaged:
        table.add_section()
        table.add_row(*_average_cells(comparison))
    return table


def _name_width(comparison: Comparison) -> int:
    """Characters of the first column that the runs' long names do not take from it."""
    lines = [line for d in comparison.datasets for line in (d.line, *d.groups)]
    return min(_LONG_NAME, max((2 * line.depth + len(line.name) for line in lines), default=0))


def _head(label: str, width: int | None) -> Text:
    """A label broken between its words, where it is too long."""
    if len(label) <= (width or _LONG_LABEL):
        return Text(label)
    parts = label.replace("/", "/\n").splitlines()
    return Text("\n".join(line for part in parts for line in wrap(part, width or 80)))


def _columns(comparison: Comparison) -> list[int]:
    return [comparison.baseline, *comparison.others]


def _cells(comparison: Comparison, line: Line) -> list[Text]:
    found = [Text("  " * line.depth + line.name)]
    for index in _columns(comparison):
        standing = line.standings[index]
        found += [Text(score_text(standing), style="bold" if standing.is_best else "")]
        if index != comparison.baseline and _is_pair(comparison):
            found += [Text(signed(standing.difference), style=_style(standing))]
            found += [Text(interval(standing.paired)), Text(word(standing), style=_style(standing))]
        elif index != comparison.baseline:
            found += [Text(difference_text(standing), style=_style(standing))]
    return found


def _is_pair(comparison: Comparison) -> bool:
    return len(comparison.runs) == 2


def _average_cells(comparison: Comparison) -> list[Text]:
    found = [Text("avg", style="bold")]
    for index in _columns(comparison):
        average = comparison.averages[index]
        found += [Text(average_text(average), style="bold")]
        if index == comparison.baseline:
            continue
        style = _colour(average.paired)
        if _is_pair(comparison):
            found += [Text(signed(average.difference), style=style)]
            found += [Text(interval(average.paired)), Text(average_word(average), style=style)]
        else:
            found += [Text(average_difference(average), style=style)]
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
            style = _colour(average.paired)
            cells += [Text(average_text(average), style="bold")]
            cells += [Text(average_difference(average), style=style)]
        for standing in (dataset.line.standings[index] for dataset in datasets):
            cells += [Text(_short_score(standing), style="bold" if standing.is_best else "")]
        table.add_row(*cells, style="" if rank else "dim")
    return table


def _run_name(comparison: Comparison, index: int) -> Text:
    name = comparison.labels[index]
    return Text(f"{name} (baseline)" if index == comparison.baseline else name)


def _short_score(standing: Standing) -> str:
    if standing.score is None:
        return "-"
    flagged = f" {MARK}" if standing.flags else ""
    said = " !" if standing.why_not else mark(standing)
    return f"{standing.score:.2f}{flagged}{said}"


def _print_losses(console: Console, comparison: Comparison) -> None:
    for run in comparison.told:
        found = losses(comparison, run)
        title = loss_title(comparison, run)
        if not found:
            _say(console, f"{title}: {no_loss(comparison, run)}")
            continue
        table = _table(title, "difference", "95 % interval", "p (Holm)", "questions")
        for loss in found:
            table.add_row(
                Text(loss_name(loss)),
                Text(f"{loss.paired.difference:+.2f}", style="red"),
                interval(loss.paired),
                p_text(loss.paired),
                str(loss.paired.rows),
            )
        console.print(table)


def _print_flips(console: Console, comparison: Comparison) -> None:
    for flips in comparison.flips:
        _say(console, flip_line(comparison, flips))


def _print_movers(console: Console, comparison: Comparison) -> None:
    for index in comparison.told:
        gained, lost = movers(comparison, index, _MOVERS)
        if gained or lost:
            console.print(_movers_table(comparison.labels[index], [*gained, *reversed(lost)]))


def _movers_table(label: str, found: Sequence[Mover]) -> Table:
    table = _table(
        f"moved most, {label}", "before", "after", "difference", "95 % interval", "questions"
    )
    for mover in found:
        table.add_row(
            Text(f"{mover.dataset}/{mover.subset}"),
            f"{mover.before:.2f}",
            f"{mover.after:.2f}",
            Text(signed(mover.difference), style=_colour(mover.paired)),
            interval(mover.paired),
            str(mover.rows),
        )
    return table


def _table(first: str, *heads: str, min_width: int | None = None) -> Table:
    """A table with texts in its first column and numbers in the others, closely set."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column(Text(first), overflow="fold", min_width=min_width)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
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


def _style(standing: Standing) -> str:
    return _colour(standing.paired) if standing.difference is not None else "dim"


def _colour(paired: Paired | PairedMean | None) -> str:
    """What is no more than chance has no colour."""
    if paired is None:
        return ""
    return {BETTER: "green", WORSE: "red"}.get(paired.verdict, "")


def _say(console: Console, text: str) -> None:
    if text:
        say(console, text)
