"""Params against scores: a line per model through an axis per param that differs and per score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftbench.plots.drawing import FAINT, GREY, INK, nothing, short, svg
from ftbench.plots.scored import Scored, best_first, with_average

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PARAMS = 8
_LOG_RATIO = 20.0
"""Numbers that span more than this are spread by their logarithm."""


@dataclass(frozen=True)
class _Axis:
    """One vertical axis.

    Attributes:
        places: Per model, its height between 0 and 1; None where it has no value.
        ticks: Height and text of its labels.
    """

    title: str
    places: list[float | None]
    ticks: list[tuple[float, str]]
    is_score: bool


def parallel_coordinates(models: Sequence[Scored]) -> str:
    """A line per model; its colour is the average score, grey and dashed for a base model.

    Args:
        models: At least one. Only params whose values differ between models that are no base get
            an axis, at most 8; a model without a value leaves its line open there.

    Returns:
        SVG text.
    """
    ordered = best_first(models)
    table = with_average(ordered)
    if not table:
        return nothing("Params and scores")
    axes_of = [_param_axis(name, ordered) for name in differing(models)[:MAX_PARAMS]]
    axes_of += [_score_axis(name, values) for name, values in table.items()]
    width = 1.2 * (len(axes_of) + 2)
    height = max(4.2, 1.4 + 0.19 * len(ordered))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        shades = _shades(next(iter(table.values())))
        for index in reversed(range(len(ordered))):
            is_base = ordered[index].is_base
            colour = GREY if is_base else shades[index]
            _line(axes, [a.places[index] for a in axes_of], colour, is_base, index == 0)
        for position, axis in enumerate(axes_of):
            _draw_axis(axes, position, axis)
        last = len(axes_of) - 1
        axes.set_xlim(-0.6, last)
        _label_lines(axes, ordered, axes_of[-1].places, shades)
        axes.set_xlim(-0.6, last + 2.3)
        axes.set_ylim(-0.06, 1.14)
        axes.set_axis_off()

    return svg(width, height, draw)


def differing(models: Sequence[Scored]) -> list[str]:
    """Names of the params that differ between the models that are not the base, in their order."""
    trained = [model for model in models if not model.is_base]
    names = dict.fromkeys(name for model in trained for name in model.params)
    return [name for name in names if len({m.params.get(name) for m in trained}) > 1]


def _param_axis(name: str, models: Sequence[Scored]) -> _Axis:
    texts = [None if model.is_base else model.params.get(name) for model in models]
    known = sorted({text for text in texts if text is not None})
    numbers = [_number(text) for text in known]
    if all(number is not None for number in numbers):
        heights = _spread([number for number in numbers if number is not None])
    else:
        heights = [index / max(1, len(known) - 1) for index in range(len(known))]
    place = dict(zip(known, heights, strict=True))
    ticks = [(place[text], short(text, 18)) for text in known]
    return _Axis(name, [place[text] if text is not None else None for text in texts], ticks, False)


def _score_axis(name: str, values: Sequence[float | None]) -> _Axis:
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    # Models that differ by less than a point are not to span the whole axis.
    middle, half = (low + high) / 2, max((high - low) / 2, 0.5)
    places = [None if v is None else (v - middle) / half / 2 + 0.5 for v in values]
    marks = [middle - half, middle, middle + half]
    return _Axis(name, places, [(i / 2, f"{mark:.1f}") for i, mark in enumerate(marks)], True)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _spread(numbers: Sequence[float]) -> list[float]:
    if min(numbers) > 0 and max(numbers) / min(numbers) > _LOG_RATIO:
        numbers = [math.log(number) for number in numbers]
    low, high = min(numbers), max(numbers)
    return [(number - low) / (high - low) if high > low else 0.5 for number in numbers]


def _shades(means: Sequence[float | None]) -> list[str]:
    """Dark for the best, light for the worst; a model without a mean is faint."""
    import matplotlib
    from matplotlib.colors import to_hex

    known = [mean for mean in means if mean is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    # Its light end is too faint on white.
    scale = matplotlib.colormaps["viridis"]
    span = max(high - low, 1e-9)
    return [to_hex(scale(0.85 * (high - m) / span)) if m is not None else FAINT for m in means]


def _line(
    axes: Axes, places: Sequence[float | None], colour: str, is_base: bool, is_best: bool
) -> None:
    heights = [float("nan") if place is None else place for place in places]
    axes.plot(
        range(len(heights)),
        heights,
        color=colour,
        linewidth=2.6 if is_best else 1.4,
        linestyle=(0, (4, 2)) if is_base else "-",
        marker="o",
        markersize=3,
    )


def _draw_axis(axes: Axes, position: int, axis: _Axis) -> None:
    axes.plot([position, position], [0, 1], color="#9a9a9a", linewidth=1, zorder=0)
    axes.text(
        position,
        1.06,
        short(axis.title.replace("train.", ""), 18),
        ha="center",
        fontweight="bold" if axis.is_score else "normal",
        fontsize=8.5,
    )
    for height, text in _apart(axis.ticks):
        label = axes.text(position - 0.05, height, text, ha="right", va="center", fontsize=7.5)
        # Lines pass behind it.
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6})
        label.set(color=INK, zorder=4)


def _apart(ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Labels that do not stand on each other: those too near to the one below are left out."""
    kept: list[tuple[float, str]] = []
    for height, text in sorted(ticks):
        if not kept or height - kept[-1][0] >= 0.045:
            kept.append((height, text))
    return kept


def _label_lines(
    axes: Axes, models: Sequence[Scored], places: Sequence[float | None], colours: Sequence[str]
) -> None:
    """Names to the right of the last axis, in its order, each joined with its line's end."""
    ended = [(place, index) for index, place in enumerate(places) if place is not None]
    ended.sort(key=lambda pair: (-pair[0], pair[1]))
    right = axes.get_xlim()[1]
    gap = min(0.06, 1.0 / max(1, len(ended) - 1))
    heights = _heights([place for place, _ in ended], gap)
    for height, (place, index) in zip(heights, ended, strict=True):
        colour = GREY if models[index].is_base else colours[index]
        axes.plot([right, right + 0.25], [place, height], color=colour, linewidth=0.8)
        label = short(models[index].label, 36)
        axes.text(right + 0.3, height, label, va="center", fontsize=8)


def _heights(places: Sequence[float], gap: float) -> list[float]:
    """Heights at least ``gap`` apart, from the top down, and none below the axis' foot."""
    heights: list[float] = []
    for place in places:
        heights.append(min(place, heights[-1] - gap) if heights else place)
    for index in range(len(heights) - 1, -1, -1):
        floor = heights[index + 1] + gap if index + 1 < len(heights) else 0.0
        heights[index] = max(heights[index], floor)
    return heights
