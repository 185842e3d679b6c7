"""The pictures of a comparison, as SVG texts by their titles."""

from __future__ import annotations

from collections.abc import Sequence

from ftbench.comparison.compare import movers
from ftbench.comparison.values import Comparison, Line
from ftbench.plots import (
    Effect,
    Scored,
    forest,
    parallel_coordinates,
    score_bars,
    score_over_steps,
    subset_heatmap,
)

DIFFERENCES = "Differences"
"""How the titles of the pictures of differences begin."""
_MOVERS = 8
"""Subsets that are drawn as gaining, and as losing, most."""
_MIN_MODELS_WITH_PARAMS = 3
"""With fewer, lines between params and scores say nothing."""


def drawings(comparison: Comparison) -> dict[str, str]:
    """Draws what this comparison has something to draw of.

    Only scores that can be compared are drawn: beside others, a bar would look like any other. For
    the same reason the averages are over the datasets of the table's.

    Returns:
        SVG texts by title, in the order to show.
    """
    start = comparison.baseline
    models = _models(comparison, start)
    if not models:
        return {}
    found = _forests(comparison)
    found["Scores"] = score_bars(models)
    if len({model.step for model in models if model.step is not None}) > 1:
        bases = [i for i, run in enumerate(comparison.runs) if run.is_base]
        # A checkpoint that differences start from has its place on the curve.
        found["Scores over training steps"] = score_over_steps(
            _models(comparison, start if start in bases else next(iter(bases), None))
        )
    for dataset in comparison.datasets:
        if any(dataset.name in model.subsets for model in models):
            found[f"Subsets of {dataset.name}"] = subset_heatmap(models, dataset.name)
    if len(models) >= _MIN_MODELS_WITH_PARAMS and any(model.params for model in models):
        found["Settings and scores"] = parallel_coordinates(models)
    return found


def _forests(comparison: Comparison) -> dict[str, str]:
    """The differences of the runs that are told, datasets and groups, with their intervals."""
    found = {}
    for run in comparison.told:
        rows = [
            Effect("  " * line.depth + line.name, p.difference, p.low, p.high, p.verdict)
            for dataset in comparison.datasets
            for line in (dataset.line, *dataset.groups)
            if (p := line.standings[run].paired) is not None
        ]
        mean = comparison.averages[run].paired
        if mean is not None and len(comparison.averaged) > 1:
            rows += [Effect("avg", mean.difference, mean.low, mean.high, mean.verdict)]
        if rows:
            title = f"{DIFFERENCES} of {comparison.labels[run]} from {comparison.baseline_name}"
            found[title] = forest(rows)
        moved = [mover for side in movers(comparison, run, _MOVERS) for mover in side]
        rows = [
            Effect(f"{m.dataset}/{m.subset}", p.difference, p.low, p.high, p.verdict)
            for m in sorted(moved, key=lambda m: -m.difference.value)
            if (p := m.paired) is not None
        ]
        if rows:
            title = f"{DIFFERENCES} of its subsets that moved most: {comparison.labels[run]}"
            found[title] = forest(rows)
    return found


def _models(comparison: Comparison, start: int | None) -> list[Scored]:
    """What is drawn of every run; ``start`` is the one that the others are compared with."""
    averaged = [d for d in comparison.datasets if d.name in comparison.averaged]
    lines = [dataset.line for dataset in averaged or comparison.datasets]
    models = [
        Scored(
            label=label,
            scores=_scores(lines, index),
            subsets={
                dataset.name: scores
                for dataset in comparison.datasets
                if (scores := _scores(dataset.subsets, index))
            },
            is_base=index == start,
            params={s.key: s.values[index] for s in comparison.settings if s.values[index]},
            step=run.step,
        )
        for index, (run, label) in enumerate(zip(comparison.runs, comparison.labels, strict=True))
    ]
    return [model for model in models if model.scores]


def _scores(lines: Sequence[Line], index: int) -> dict[str, float]:
    own = [(line.name, line.standings[index]) for line in lines]
    return {name: s.score for name, s in own if s.score is not None and not s.why_not}
