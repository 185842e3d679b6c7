"""Scores of a training run's checkpoints over its steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ftbench.plots.drawing import GREY, PALETTE, nothing, panels, short, svg
from ftbench.plots.scored import Scored, base_of, with_average

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 3
_MAX_LABELLED = 12
"""Points of one curve that have room for their numbers; of more, the best and the last have one."""


def score_over_steps(models: Sequence[Scored]) -> str:
    """A curve per dataset over training steps, the base model's score as a dashed line.

    Args:
        models: Checkpoints with their ``step``, in any order, and at most one base model. Those of
            different ``params["setting"]`` make different curves; of two with the same step, the
            later one counts. A model that has no step and is not the base is left out.

    Returns:
        SVG text.
    """
    base = base_of(models)
    points = sorted((m for m in models if m.step is not None and not m.is_base), key=_step)
    table = with_average([*points, *([base] if base else [])])
    if not points or not table:
        return nothing("Scores over training steps")
    settings = list(dict.fromkeys(model.params.get("setting", "") for model in points))
    count = len(table)
    height = 0.7 + 2.3 * math.ceil(count / _COLUMNS) + 0.2 * len(settings)

    def draw(figure: Figure) -> None:
        for axes, (name, values) in zip(
            panels(figure, count, _COLUMNS), table.items(), strict=True
        ):
            if base is not None and values[-1] is not None:
                axes.axhline(values[-1], color=GREY, linestyle=(0, (4, 2)), label="base model")
            for index, setting in enumerate(settings):
                curve = {
                    _step(model): value
                    for model, value in zip(points, values, strict=False)
                    if model.params.get("setting", "") == setting and value is not None
                }
                is_full = len(settings) == 1 and len(curve) <= _MAX_LABELLED
                _curve(axes, curve, PALETTE[index % len(PALETTE)], short(setting, 60), is_full)
            _finish(axes, name, [_step(model) for model in points])
        handles, labels = figure.axes[0].get_legend_handles_labels()
        if len(handles) > 1 or base is not None:
            labels = [label or "checkpoints" for label in labels]
            figure.legend(handles, labels, loc="outside upper left")

    return svg(4.0 * min(count, _COLUMNS) if count > 1 else 6.0, height, draw)


def _step(model: Scored) -> int:
    return model.step or 0


def _curve(
    axes: Axes, curve: dict[int, float], colour: str, label: str, has_all_numbers: bool
) -> None:
    if not curve:
        return
    axes.plot(
        list(curve), list(curve.values()), color=colour, marker="o", markersize=4, label=label
    )
    best = max(curve, key=lambda step: curve[step])
    for step, value in curve.items():
        if step not in (best, max(curve)) and not has_all_numbers:
            continue
        axes.annotate(
            f"{value:.1f}",
            (step, value),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=colour,
            fontweight="bold" if step == best and len(curve) > 1 else "normal",
            in_layout=False,
        )


def _finish(axes: Axes, name: str, steps: list[int]) -> None:
    axes.set_title(short(name))
    axes.set_xlabel("training step")
    axes.set_ylabel("score (percent)")
    axes.grid(axis="y")
    axes.margins(x=0.08, y=0.2)
    known = sorted(set(steps))
    if len(known) <= 6:
        axes.set_xticks(known)
    low, high = axes.get_ylim()
    # A curve that moves by a fraction of a point is not to look like a mountain.
    if high - low < 5:
        middle = (low + high) / 2
        axes.set_ylim(middle - 2.5, middle + 2.5)
