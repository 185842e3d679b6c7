"""What people see first in an experiment: differences, pictures, saved views and a description.

All of it follows from the runs that are there, and is brought up to date by each recording: when
the base model is evaluated after its adapters, their runs get their differences then.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ftbench.comparison.fitting import group_of
from ftbench.tracking import views
from ftbench.tracking.baseline import (
    BASE_RUN_TAG,
    DIFFERENCE_TAG,
    Comparison,
    compare,
    is_evaluation,
)
from ftbench.tracking.names import MAX_TAG
from ftbench.tracking.note import NOTE_TAG, comparison_line, experiment_note, with_comparison
from ftbench.tracking.pictures import draw_run, draw_training
from ftbench.tracking.shared_writes import set_experiment_tag, set_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

MAX_RUNS = 100
"""Newest runs of the experiment that are looked at."""
MAX_BASES = 50
MAX_REDRAWN = 20
"""Earlier runs whose pictures one recording draws anew."""


@dataclass(frozen=True)
class Page:
    """The runs of an experiment, and how they compare.

    Attributes:
        runs: Newest first.
        comparisons: By run id, of the benchmark runs that a base model's can be compared with.
        charts_view: Key of the view whose charts compare the recorded run with its base.
    """

    runs: Sequence[Run]
    comparisons: dict[str, Comparison]
    charts_view: str = views.LEADERBOARD


def read(client: MlflowClient, experiment_id: str) -> Page:
    """Reads the newest runs and the base models' among the older ones."""
    order = ["attributes.start_time DESC"]
    runs = list(client.search_runs([experiment_id], order_by=order, max_results=MAX_RUNS))
    if len(runs) == MAX_RUNS:
        known = {run.info.run_id for run in runs}
        older = client.search_runs(
            [experiment_id],
            "tags.`ftbench.kind` = 'eval' AND params.adapter = 'base'",
            order_by=order,
            max_results=MAX_BASES,
        )
        runs += [run for run in older if run.info.run_id not in known]
    found = {run.info.run_id: compare(run, runs) for run in runs if is_evaluation(run)}
    return Page(runs, {run_id: c for run_id, c in found.items() if c is not None})


def update(
    client: MlflowClient,
    experiment_id: str,
    run_id: str,
    now_ms: int,
    *,
    is_written_back: bool,
    is_drawn: bool = False,
) -> Page:
    """Brings everything up to date after a recording.

    Args:
        run_id: The benchmark run that was recorded; its pictures are drawn.
        now_ms: Time to put into the views, in milliseconds since the epoch.
        is_written_back: A training run is about to get the scores.
        is_drawn: It has its pictures; they are drawn anew only where it got another base.

    Side effects: tags, notes and pictures of benchmark runs that got another base; experiment tags.
    """
    page = read(client, experiment_id)
    changed = [run for run in page.runs if is_evaluation(run) and _tell(client, run, page)]
    own = [run for run in page.runs if run.info.run_id == run_id]
    others = [run for run in changed if run.info.run_id != run_id]
    mine = [run for run in own if not is_drawn or run in changed]
    for run in [*mine, *others][: MAX_REDRAWN + 1]:
        with tempfile.TemporaryDirectory(prefix="ftbench-plots-") as folder:
            draw_run(run, page.comparisons.get(run.info.run_id), Path(folder))
            client.log_artifacts(run.info.run_id, folder)
    known = views.known(page.runs)
    known = replace(known, has_scored_training=known.has_scored_training or is_written_back)
    views.save(client, experiment_id, known, now_ms)
    _describe(client, experiment_id)
    if not own:
        return page
    return replace(page, charts_view=views.charts_view(known, group_of(own[0].data.params)))


def retell(client: MlflowClient, experiment_id: str, run_id: str) -> None:
    """Brings the tags and the note of one benchmark run up to date with what is logged on it.

    Side effects: tags and note of the run.
    """
    page = read(client, experiment_id)
    for run in page.runs:
        if run.info.run_id == run_id:
            _tell(client, run, page)


def draw_curve(client: MlflowClient, page: Page, training_run_id: str) -> None:
    """Draws the scores over steps of a training run with several evaluated checkpoints."""
    runs = [r for r in reversed(page.runs) if is_evaluation(r)]
    runs = [r for r in runs if r.data.tags.get("ftbench.train_run_id") == training_run_id]
    bases = [c.base for r in runs if (c := page.comparisons.get(r.info.run_id)) is not None]
    base = bases[-1] if len({b.info.run_id for b in bases}) == 1 else None
    with tempfile.TemporaryDirectory(prefix="ftbench-plots-") as folder:
        if draw_training(runs, base, Path(folder)):
            client.log_artifacts(training_run_id, folder)


def _tell(client: MlflowClient, run: Run, page: Page) -> bool:
    """Writes the difference against the base model to a run; says whether it was another one."""
    comparison = page.comparisons.get(run.info.run_id)
    there = run.data.tags
    tags = {DIFFERENCE_TAG: "", BASE_RUN_TAG: ""}
    if comparison is not None:
        tags = {DIFFERENCE_TAG: comparison.text, BASE_RUN_TAG: comparison.base.info.run_id}
    note = there.get(NOTE_TAG, "")
    told = with_comparison(note, comparison_line(comparison) if comparison else "")
    is_new = any(there.get(key, "") != value for key, value in tags.items())
    if is_new or told != note:
        tags |= {NOTE_TAG: told} if len(told) <= MAX_TAG else {}
        set_tags(client, run.info.run_id, tags)
    return is_new


def _describe(client: MlflowClient, experiment_id: str) -> None:
    """Leads to the views, where the owner has not written a description."""
    tags = client.get_experiment(experiment_id).tags
    if not tags.get(NOTE_TAG, "").strip():
        set_experiment_tag(client, experiment_id, NOTE_TAG, experiment_note(experiment_id))
