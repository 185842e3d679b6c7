"""What all pictures share: the canvas, colours, and text that is safe to draw."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = "#8a8a8a"
"""The base model's colour, here and in MLflow's charts."""
INK = "#222222"
FAINT = "#6b6b6b"

# Source: Okabe and Ito, "Color Universal Design" (2008), without its yellow, which white swallows.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5d3a9b")

_RC: dict[Any, Any] = {
    # Text stays text: it can be searched and read aloud, and a picture is a fraction of the size.
    "svg.fonttype": "none",
    "svg.hashsalt": "ftbench",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "Helvetica"],
    "font.size": 9.0,
    # A dollar sign in a folder's name is no formula.
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#c8c8c8",
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    # The minus of every other text: it can be searched for, and pasted as a number.
    "axes.unicode_minus": False,
    "grid.color": "#e6e6e6",
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "figure.facecolor": "white",
}

_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def load_matplotlib() -> None:
    """Imports what ``svg`` needs, for callers that have time for it now and not later.

    Side effects: imports; matplotlib may write its cache of fonts.
    """
    import matplotlib._constrained_layout
    import matplotlib.backends.backend_svg
    import matplotlib.figure  # noqa: F401


def svg(width: float, height: float, draw: Callable[[Figure], None]) -> str:
    """Draws a figure and returns it as SVG text, the same for the same values.

    Args:
        width, height: In inches of 72 points.
        draw: Puts everything into the empty figure.
    """
    # 0.5 s to import, and only pictures need it. Without pyplot no window system is looked for.
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        # Layout measures with a font that lacks some scripts; the reader's browser has others.
        warnings.simplefilter("ignore", UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        # Laid out here, once: savefig would draw everything twice for it.
        engine = figure.get_layout_engine()
        assert engine is not None
        engine.execute(figure)
        figure.set_layout_engine("none")
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": "ftbench"})
    return text.getvalue()


def nothing(title: str) -> str:
    """A picture that says that there is nothing to draw."""

    def draw(figure: Figure) -> None:
        figure.text(0.5, 0.5, f"{title}: no scores", ha="center", va="center", color=FAINT)

    return svg(5.0, 1.0, draw)


def short(text: str, limit: int = 40) -> str:
    """A label on one line, without characters that XML forbids, cut in its middle."""
    line = " ".join(_FORBIDDEN.sub("", text).split())
    if len(line) <= limit:
        return line
    end = limit // 2
    return f"{line[: limit - end - 1]}…{line[-end:]}"


def colours(flags: Sequence[bool]) -> list[str]:
    """A colour per model: grey for a base model, else the palette in turn.

    Args:
        flags: For each model, whether it is the base.
    """
    turn = iter(range(len(flags)))
    return [GREY if is_base else PALETTE[next(turn) % len(PALETTE)] for is_base in flags]


def signed(difference: float) -> str:
    """A difference in points with its sign; ``±0.0`` for one that rounds to nothing."""
    rounded = round(difference, 1)
    return "±0.0" if rounded == 0 else f"{rounded:+.1f}"


def panels(figure: Figure, count: int, columns: int, *, sharey: bool = False) -> list[Axes]:
    """A grid of axes; places beyond ``count`` stay empty."""
    columns = max(1, min(columns, count))
    rows = math.ceil(count / columns)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=sharey)
    axes: list[Axes] = [cell for row in grid for cell in row]
    for unused in axes[count:]:
        unused.set_axis_off()
    return axes[:count]
