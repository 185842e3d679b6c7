"""The training run: read it, and leave the scores beside its loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftbench.plan import TrackingPlan
from ftbench.schema import OK, Result
from ftbench.tracking.contents import FLAGGED_TAG, NOT_FLAGGED, TrainingRun, flagged_names, run_link
from ftbench.tracking.names import loss_keys, metric_key
from ftbench.tracking.note import NOTE_TAG, RunRow, training_note
from ftbench.tracking.replacing import remove_tags, replacing
from ftbench.tracking.scores import HEADLINE, Score, headlines, overall_status
from ftbench.tracking.shared_writes import set_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

MAX_ROWS = 50
"""Benchmark runs that a training run's note lists; the newest are kept."""
_NOTE_TRIES = 5


@dataclass(frozen=True)
class Outcome:
    """What the training run is told.

    Attributes:
        run_id, experiment_id: Of the benchmark run.
        model_id: Of its LoggedModel.
        timestamp_ms: End of the evaluation, in milliseconds since the epoch.
    """

    run_id: str
    experiment_id: str
    model_id: str
    timestamp_ms: int
    result: Result


def fetch(client: MlflowClient, run_id: str | None) -> TrainingRun | None:
    """Reads the training run; None when none is named.

    Raises:
        MlflowException: There is none of this id.
    """
    return _training_run(client.get_run(run_id)) if run_id else None


def write_back(
    client: MlflowClient, tracking: TrackingPlan, training: TrainingRun | None, outcome: Outcome
) -> list[str]:
    """Leaves scores, a link and a note section on the training run, as ``write_back`` says.

    Only datasets that are ok are written back: beside a loss nobody looks for a coverage.

    Returns:
        What could not be written, one sentence each.
    """
    if training is None or tracking.write_back == "none":
        return []
    from mlflow.entities import Metric, RunTag

    ok = {d.name for d in outcome.result.datasets if d.status == OK}
    scores = [s for s in headlines(outcome.result) if _is_sound(s, ok)]
    tags = {
        "ftbench.kind": "train",
        "ftbench.eval_run_id": outcome.run_id,
        "ftbench.eval_status": overall_status(outcome.result),
        FLAGGED_TAG: ", ".join(flagged_names(outcome.result)) or NOT_FLAGGED,
    }
    metrics = []
    step = _step(client, tracking, training)
    if tracking.write_back == "metrics":
        metrics = [Metric(s.key, s.value, outcome.timestamp_ms, step) for s in scores]
    else:
        tags |= {metric_key(f"ftbench.{s.key.replace('/', '.')}"): repr(s.value) for s in scores}
    client.log_batch(
        training.run_id, metrics=metrics, tags=[RunTag(key, value) for key, value in tags.items()]
    )
    is_same_experiment = training.experiment_id == outcome.experiment_id
    if is_same_experiment and outcome.model_id not in training.output_model_ids:
        _link_model(client, training, outcome.model_id, step)
    return _write_note(client, training, outcome.experiment_id)


def write_back_deltas(
    client: MlflowClient,
    tracking: TrackingPlan,
    training: TrainingRun | None,
    deltas: dict[str, float],
    timestamp_ms: int,
) -> None:
    """Leaves differences beside the scores on the training run, as ``write_back`` says.

    Args:
        deltas: Points by metric key; NO_NUMBER where one was and is not any more.
        timestamp_ms: End of the evaluation, in milliseconds since the epoch.
    """
    if training is None or tracking.write_back == "none" or not deltas:
        return
    run = client.get_run(training.run_id)
    if tracking.write_back == "metrics":
        step = _step(client, tracking, training)
        metrics = replacing(client, run, deltas, timestamp_ms, step)
        client.log_batch(training.run_id, metrics=metrics)
        return
    tags = {metric_key(f"ftbench.{key.replace('/', '.')}"): v for key, v in deltas.items()}
    known = {key: repr(value) for key, value in tags.items() if not math.isnan(value)}
    set_tags(client, training.run_id, known)
    remove_tags(client, run, tags.keys() - known.keys())


def _link_model(client: MlflowClient, training: TrainingRun, model_id: str, step: int) -> None:
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException

    try:
        client.log_outputs(training.run_id, [LoggedModelOutput(model_id, step=step)])
    except MlflowException:
        # The store refuses a link that is there (3.17), which a recording of equal work may have
        # made since the training run was read.
        if model_id not in _training_run(client.get_run(training.run_id)).output_model_ids:
            raise


def _step(client: MlflowClient, tracking: TrackingPlan, training: TrainingRun) -> int:
    """Where the scores stand on the training run's axis: beside the loss of the same weights."""
    if tracking.step is not None or not training.loss_key:
        return tracking.step or 0
    history = client.get_metric_history(training.run_id, training.loss_key)
    return max((metric.step for metric in history), default=0)


def _is_sound(score: Score, ok: set[str]) -> bool:
    return score.key.startswith(HEADLINE) and (not score.dataset or score.dataset in ok)


def _write_note(client: MlflowClient, training: TrainingRun, experiment_id: str) -> list[str]:
    # Made anew from all benchmark runs each time, and looked at again: of several recordings at
    # the same moment, the one that writes last may have read first.
    for _ in range(_NOTE_TRIES):
        runs = client.search_runs(
            list(dict.fromkeys([experiment_id, training.experiment_id])),
            f"tags.`ftbench.train_run_id` = '{training.run_id}' AND tags.`ftbench.kind` = 'eval'",
            order_by=["attributes.start_time DESC"],
            max_results=MAX_ROWS,
        )
        current = client.get_run(training.run_id).data.tags.get(NOTE_TAG, "")
        note = training_note(current, _score_rows(runs))
        if note is None:
            reason = "The training run's own note leaves no room for the scores"
            return [f"{reason} ({training.run_id})."]
        if note == current:
            break
        set_tags(client, training.run_id, {NOTE_TAG: note})
    return []


def _score_rows(runs: Sequence[Run]) -> list[RunRow]:
    return [
        RunRow(
            name=run.info.run_name,
            link=run_link(run.info.experiment_id, run.info.run_id),
            status=run.data.tags.get("ftbench.status", ""),
            scores={
                key.removeprefix(HEADLINE): value
                for key, value in run.data.metrics.items()
                if key.startswith(HEADLINE)
            },
            flagged=_flagged(run),
        )
        for run in runs
    ]


def _flagged(run: Run) -> frozenset[str]:
    text = run.data.tags.get(FLAGGED_TAG, NOT_FLAGGED)
    return frozenset(map(metric_key, text.split(", "))) if text != NOT_FLAGGED else frozenset()


def _training_run(run: Run) -> TrainingRun:
    outputs = run.outputs.model_outputs if run.outputs else []
    return TrainingRun(
        run_id=run.info.run_id,
        experiment_id=str(run.info.experiment_id),
        name=run.info.run_name,
        status=run.info.status,
        params=dict(run.data.params),
        output_model_ids=tuple(output.model_id for output in outputs),
        loss_key=next(iter(loss_keys(run.data.metrics)), ""),
    )
