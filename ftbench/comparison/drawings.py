"""The pictures of a comparison, as SVG texts by their titles."""

from __future__ import annotations

from ftbench.comparison.values import Comparison, Line
from ftbench.plots import (
    Scored,
    parallel_coordinates,
    score_bars,
    score_over_steps,
    subset_heatmap,
)

_MIN_MODELS_WITH_PARAMS = 3
"""With fewer, lines between params and scores say nothing."""


def drawings(comparison: Comparison) -> dict[str, str]:
    """Draws what this comparison has something to draw of.

    Scores that are not complete are left out: a bar would look like any other.

    Returns:
        SVG texts by title, in the order to show.
    """
    models = [_scored(comparison, index) for index in range(len(comparison.runs))]
    models = [model for model in models if model.scores]
    if not models:
        return {}
    found = {"Scores": score_bars(models)}
    steps = {model.step for model in models if model.step is not None}
    if len(steps) > 1:
        found["Scores over training steps"] = score_over_steps(models)
    for dataset in comparison.datasets:
        if any(dataset.name in model.subsets for model in models):
            found[f"Subsets of {dataset.name}"] = subset_heatmap(models, dataset.name)
    if len(models) >= _MIN_MODELS_WITH_PARAMS and any(model.params for model in models):
        found["Settings and scores"] = parallel_coordinates(models)
    return found


def _scored(comparison: Comparison, index: int) -> Scored:
    run = comparison.runs[index]
    bases = [i for i, other in enumerate(comparison.runs) if other.is_base]
    return Scored(
        label=comparison.labels[index],
        scores=_scores([dataset.line for dataset in comparison.datasets], index),
        subsets={
            dataset.name: scores
            for dataset in comparison.datasets
            if (scores := _scores(dataset.subsets, index))
        },
        # Of several base models, one is what the pictures compare with.
        is_base=run.is_base and index == (bases[0] if len(bases) > 1 else index),
        params={s.key: s.values[index] for s in comparison.settings if s.values[index]},
        step=run.step,
    )


def _scores(lines: list[Line] | tuple[Line, ...], index: int) -> dict[str, float]:
    own = [(line.name, line.standings[index]) for line in lines]
    return {name: s.score for name, s in own if s.score is not None and not s.coverage}
