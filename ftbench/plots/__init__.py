"""Pictures of scores, each as the text of one SVG file.

They draw what they are given and know of no run folder and no tracker. matplotlib is imported when
the first picture is drawn. The same values give the same bytes. The base model is grey everywhere,
and colours are told apart by colour-blind readers too.
"""

from __future__ import annotations

from ftbench.plots.bars import score_bars
from ftbench.plots.drawing import load_matplotlib
from ftbench.plots.forest import Effect, forest
from ftbench.plots.heatmap import subset_heatmap
from ftbench.plots.parallel import parallel_coordinates
from ftbench.plots.scored import Scored
from ftbench.plots.steps import score_over_steps

__all__ = [
    "Effect",
    "Scored",
    "forest",
    "load_matplotlib",
    "parallel_coordinates",
    "score_bars",
    "score_over_steps",
    "subset_heatmap",
]
