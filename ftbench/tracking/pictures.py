"""Pictures of benchmark runs, drawn from what the tracker has of them.

benchmark run   plots/scores.svg, plots/subsets-<dataset>.svg
training run    plots/score_over_steps.svg
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ftbench.plots import Scored, score_bars, score_over_steps, subset_heatmap
from ftbench.tracking.baseline import Comparison, headline_scores, is_base
from ftbench.tracking.names import file_stem

if TYPE_CHECKING:
    from mlflow.entities import Run

FOLDER = "plots"
SUBSET = "subset/"
MAX_HEATMAPS = 12
"""Datasets with subsets that get a picture; each takes 0.2 s to draw."""


def scored(run: Run, datasets: Sequence[str] | None = None, label: str = "") -> Scored:
    """A benchmark run as pictures take it.

    Args:
        run: With its metrics, params and tags.
        datasets: Names to keep; None keeps all.
        label: In place of the run's name.
    """
    scores = {name: v for name, v in headline_scores(run).items() if name != "avg"}
    subsets: dict[str, dict[str, float]] = {}
    for key, value in sorted(run.data.metrics.items()):
        dataset, slash, name = key.removeprefix(SUBSET).partition("/")
        if key.startswith(SUBSET) and slash:
            subsets.setdefault(dataset, {})[name] = value
    step = run.data.params.get("step", "")
    return Scored(
        label=label or str(run.info.run_name),
        scores={n: v for n, v in scores.items() if datasets is None or n in datasets},
        subsets={n: v for n, v in subsets.items() if datasets is None or n in datasets},
        is_base=is_base(run),
        params=dict(run.data.params),
        step=int(step) if step.isdecimal() else None,
    )


def draw_run(run: Run, comparison: Comparison | None, folder: Path) -> None:
    """Draws the pictures of a benchmark run.

    Args:
        run: Of an adapter or a base model.
        comparison: With the base model; None draws the run alone.
        folder: Where to write; the pictures lie in its ``plots``.
    """
    models = [scored(run)]
    if comparison is not None:
        # Beside a score of other questions, the base's would look comparable.
        shared = [name for name in comparison.differences if name != "avg"]
        models = [scored(comparison.base, shared), *models]
    target = folder / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    if models[-1].scores:
        _write(target / "scores.svg", score_bars(models))
    for dataset in list(models[-1].subsets)[:MAX_HEATMAPS]:
        _write(target / f"subsets-{file_stem(dataset)}.svg", subset_heatmap(models, dataset))


def draw_training(runs: Sequence[Run], base: Run | None, folder: Path) -> bool:
    """Draws the scores of a training run's checkpoints over their steps.

    Args:
        runs: Its benchmark runs, oldest first.
        base: Benchmark run of the base model, or None.
        folder: Where to write.

    Returns:
        Whether there is anything to see: two checkpoints with a step.
    """
    models = [scored(run) for run in runs]
    if len({model.step for model in models} - {None}) < 2:
        return False
    target = folder / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    models += [scored(base)] if base is not None else []
    _write(target / "score_over_steps.svg", score_over_steps(models))
    return True


def _write(path: Path, svg: str) -> None:
    path.write_text(svg, encoding="utf-8")
