"""Subsets of one dataset against models: where a model gains, and where it loses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ftbench.plots.drawing import FAINT, INK, nothing, short, signed, svg
from ftbench.plots.scored import Scored, base_of, finite

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MAX_WITH_DIFFERENCES = 8
"""More columns have no room for two numbers in a cell."""


def subset_heatmap(models: Sequence[Scored], dataset: str) -> str:
    """A cell per subset and model with its score.

    With a base model the colour is the difference against it, blue for better and orange for
    worse, and the subsets with the greatest gain stand on top. Without one, colour and order are
    the score's own.

    Args:
        models: At least one; at most one of them is the base.
        dataset: The dataset whose subsets are shown.

    Returns:
        SVG text.
    """
    table = [finite(model.subsets.get(dataset, {})) for model in models]
    names = list(dict.fromkeys(name for scores in table for name in scores))
    if not names:
        return nothing(f"Subsets of {short(dataset)}")
    base = base_of(models)
    anchors = finite(base.subsets.get(dataset, {})) if base is not None else {}
    is_compared = bool(anchors) and len(models) > 1
    names = _ordered(names, table, anchors if is_compared else {})
    shown = [(model, scores) for model, scores in zip(models, table, strict=True)]
    if is_compared:
        shown.sort(key=lambda pair: not pair[0].is_base)
    cell = 1.15 if is_compared and len(models) <= _MAX_WITH_DIFFERENCES else 0.62
    width = max(6.0, 3.2 + cell * len(models))
    height = 2.0 + 0.2 * len(names) + 0.055 * max(len(short(m.label)) for m in models)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        values = [[_value(s, n, anchors, is_compared) for _, s in shown] for n in names]
        image = axes.imshow(_masked(values), aspect="auto", **_colouring(values, is_compared))
        for row, name in enumerate(names):
            for column, (model, scores) in enumerate(shown):
                colour = INK if is_compared else _readable(image, values[row][column])
                text = _text(model, scores.get(name), anchors.get(name), is_compared and cell > 1)
                written = axes.text(column, row, text, ha="center", va="center", fontsize=8)
                written.set(color=colour, in_layout=False)
        axes.set_yticks(range(len(names)), [short(name) for name in names])
        labels = [short(model.label) for model, _ in shown]
        axes.set_xticks(range(len(shown)), labels, rotation=35, ha="left", rotation_mode="anchor")
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        meaning = "difference against the base (points)" if is_compared else "score (percent)"
        figure.colorbar(image, ax=axes, label=meaning, shrink=min(1.0, 8 / len(names)), pad=0.02)
        order = "greatest gain on top" if is_compared else "best on top"
        figure.suptitle(
            f"{short(dataset)} by subset: score, {order}", x=0.01, ha="left", fontsize=11
        )

    return svg(width, height, draw)


def _ordered(
    names: list[str], table: list[dict[str, float]], anchors: dict[str, float]
) -> list[str]:
    def mean(name: str) -> float:
        anchor = anchors.get(name, 0.0)
        values = [scores[name] - anchor for scores in table if name in scores]
        return sum(values) / len(values)

    return sorted(names, key=lambda name: (-mean(name), name))


def _value(
    scores: dict[str, float], name: str, anchors: dict[str, float], is_compared: bool
) -> float | None:
    if name not in scores or (is_compared and name not in anchors):
        return None
    return scores[name] - anchors[name] if is_compared else scores[name]


def _text(model: Scored, score: float | None, anchor: float | None, has_difference: bool) -> str:
    if score is None:
        return "–"
    if model.is_base or anchor is None or not has_difference:
        return f"{score:.1f}"
    return f"{score:.1f}  {signed(score - anchor)}"


def _masked(values: list[list[float | None]]) -> Any:
    import numpy

    rows = [[float("nan") if value is None else value for value in row] for row in values]
    return numpy.ma.masked_invalid(numpy.array(rows))


def _colouring(values: list[list[float | None]], is_compared: bool) -> dict[str, Any]:
    if not is_compared:
        return {"cmap": "cividis", "vmin": 0, "vmax": 100}
    from matplotlib.colors import LinearSegmentedColormap

    # Light enough at both ends for dark numbers on it.
    ends = ["#e8863b", "#ffffff", "#5aa2d6"]
    scale = LinearSegmentedColormap.from_list("gain", ends).with_extremes(bad="#f2f2f2")
    most = max((abs(value) for row in values for value in row if value is not None), default=0.0)
    limit = max(5.0, most)
    return {"cmap": scale, "vmin": -limit, "vmax": limit}


def _readable(image: Any, value: float | None) -> str:
    if value is None:
        return FAINT
    red, green, blue, _ = image.cmap(image.norm(value))
    return INK if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else "white"
