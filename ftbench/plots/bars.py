"""Scores as bars: by dataset for a few models, a panel per dataset for many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ftbench.plots.drawing import FAINT, GREY, PALETTE, colours, nothing, panels, short, signed, svg
from ftbench.plots.scored import Scored, base_of, best_first, with_average

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_GROUPED = 4
"""Models that fit beside each other in one group of bars."""
_PANEL_COLUMNS = 3
_BAR_INCHES = 0.21


def score_bars(models: Sequence[Scored]) -> str:
    """Bars of every dataset's score, with the difference against the base model.

    Up to four models stand side by side, in their order, under each dataset's name. More get a
    panel per dataset, the best average on top, with a line at the base model's score.

    Args:
        models: At least one; at most one of them is the base.

    Returns:
        SVG text.
    """
    table = with_average(models)
    if not table:
        return nothing("Scores")
    return _grouped(models, table) if len(models) <= MAX_GROUPED else _panelled(models)


def _grouped(models: Sequence[Scored], table: dict[str, list[float | None]]) -> str:
    bars = len(models) * len(table)
    height = 0.9 + _BAR_INCHES * bars + 0.16 * len(table) + 0.18 * len(models)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        palette = colours([model.is_base for model in models])
        base = base_of(models)
        step = 1 / (len(models) + 0.7)
        for index, model in enumerate(models):
            offset = (index - (len(models) - 1) / 2) * step
            places = [row + offset for row in range(len(table))]
            values = [scores[index] for scores in table.values()]
            against = None if base is None or model.is_base else _base_values(models, table)
            _bars(
                axes, places, values, against, palette[index], step * 0.92, short(model.label, 60)
            )
        axes.set_yticks(range(len(table)), [short(name) for name in table])
        axes.set_ylim(len(table) - 0.5, -0.5)
        _finish(axes)
        axes.set_xlabel("score (percent)")
        figure.legend(loc="outside upper left", ncols=1)

    return svg(8.0, height, draw)


def _panelled(models: Sequence[Scored]) -> str:
    ordered = best_first(models)
    table = with_average(ordered)
    rows = math.ceil(len(table) / _PANEL_COLUMNS)
    height = 0.3 + rows * (0.75 + _BAR_INCHES * len(ordered))
    labels = [short(model.label) for model in ordered]

    def draw(figure: Figure) -> None:
        base = next((i for i, model in enumerate(ordered) if base_of(models) is model), None)
        palette = [GREY if model.is_base else PALETTE[0] for model in ordered]
        places = list(range(len(ordered)))
        for axes, (name, values) in zip(
            panels(figure, len(table), _PANEL_COLUMNS, sharey=True), table.items(), strict=True
        ):
            anchor = None if base is None else values[base]
            against = [None if i == base else anchor for i in places]
            _bars(axes, places, values, against, palette, 0.78, "")
            if anchor is not None:
                axes.axvline(anchor, color=GREY, linewidth=1, linestyle=(0, (3, 2)))
            axes.set_title(short(name))
            axes.set_yticks(places, labels)
            axes.set_ylim(len(ordered) - 0.4, -0.6)
            _finish(axes)

    return svg(11.0 if len(table) > 1 else 6.0, height, draw)


def _base_values(
    models: Sequence[Scored], table: dict[str, list[float | None]]
) -> list[float | None]:
    index = next(i for i, model in enumerate(models) if model.is_base)
    return [values[index] for values in table.values()]


def _bars(
    axes: Axes,
    places: Sequence[float],
    values: Sequence[float | None],
    against: Sequence[float | None] | None,
    colour: str | list[str],
    thickness: float,
    label: str,
) -> None:
    """Bars with their values; ``against`` has the base model's scores in the same order."""
    widths = [0.0 if value is None else value for value in values]
    axes.barh(places, widths, height=thickness, color=colour, label=label)
    for index, (place, value) in enumerate(zip(places, values, strict=True)):
        if value is None:
            axes.text(1, place, "no score", va="center", fontsize=8, color=FAINT, in_layout=False)
            continue
        anchor = against[index] if against is not None else None
        text = f"{value:.1f}" if anchor is None else f"{value:.1f}  ({signed(value - anchor)})"
        # Measuring each number for the layout would take most of the time of drawing.
        axes.text(max(value, 0) + 1, place, text, va="center", fontsize=8, in_layout=False)


def _finish(axes: Axes) -> None:
    # Room for the numbers to the right of the longest bar.
    axes.set_xlim(0, 122)
    axes.set_xticks([0, 25, 50, 75, 100])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
