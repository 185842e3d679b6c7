"""Differences with their intervals: a forest plot, narrow enough for a phone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftbench.plots.drawing import FAINT, GREY, PALETTE, nothing, short, signed, svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = {"better": PALETTE[0], "worse": PALETTE[1]}
"""Of what is more than chance; everything else is grey."""


@dataclass(frozen=True)
class Effect:
    """One difference.

    Attributes:
        label: What it is of; spaces at its beginning indent it.
        value, low, high: In points, with the ends of its 95 % interval.
        verdict: ``better``, ``worse``, or anything else.
    """

    label: str
    value: float
    low: float
    high: float
    verdict: str


def forest(effects: Sequence[Effect]) -> str:
    """A row per difference with a bar for its interval, and a line at no difference.

    Args:
        effects: From top to bottom.

    Returns:
        SVG text.
    """
    if not effects:
        return nothing("Differences")

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.axvline(0, color=GREY, linewidth=1)
        for row, effect in enumerate(effects):
            colour = _COLOURS.get(effect.verdict, GREY)
            axes.plot([effect.low, effect.high], [row, row], color=colour, linewidth=2)
            axes.plot([effect.value], [row], "o", color=colour, markersize=5)
            text = axes.annotate(
                signed(effect.value), (effect.value, row), (0, 4.5), textcoords="offset points"
            )
            text.set(fontsize=8, color=FAINT, ha="center", in_layout=False)
        axes.set_yticks(range(len(effects)), [_label(effect.label) for effect in effects])
        axes.set_ylim(len(effects) - 0.4, -0.8)
        low, high = min(0.0, *(e.low for e in effects)), max(0.0, *(e.high for e in effects))
        room = 0.14 * ((high - low) or 1.0)
        axes.set_xlim(low - room, high + room)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("points with 95 % interval; blue better,\norange worse, grey no evidence")

    return svg(4.6, 0.9 + 0.3 * len(effects), draw)


def _label(label: str) -> str:
    indent = len(label) - len(label.lstrip())
    return "\u2003" * (indent // 2) + short(label, 26)
