"""Records one evaluation: benchmark run, LoggedModel, artifacts, and the link to its training run.

Every step finds what an earlier, interrupted recording left, and all timestamps come from the
result: recording again changes nothing. A run stays RUNNING until everything of it is there.
"""

from __future__ import annotations

import json
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from ftbench.errors import Problem, TrackingError
from ftbench.plan import Plan
from ftbench.schema import DatasetResult, Result
from ftbench.tracking import artifacts, contents, names, page, store, training, views
from ftbench.tracking.archive import archive_tag, sha256_of
from ftbench.tracking.contents import SWEEP_TAG, TrainingRun
from ftbench.tracking.environment import mlflow_environment, redact
from ftbench.tracking.failures import explain
from ftbench.tracking.note import NOTE_TAG, run_note
from ftbench.tracking.receipt import keep_receipt
from ftbench.tracking.recorded import Recorded
from ftbench.tracking.replacing import remove_tags
from ftbench.tracking.scores import Score, details, headlines, of_canary
from ftbench.tracking.shared_writes import log_inputs, set_tags
from ftbench.tracking.sweeps import keep_sweep_lines, sweep_tag

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

RETRIES = 2
SUMMARY_TAG = "ftbench.summary_sha256"
"""Of the summary that the run's artifacts belong to; it is set when they are there."""


@dataclass(frozen=True)
class _Target:
    """Where everything of this evaluation goes.

    Attributes:
        run: The benchmark run as it was found or made.
        timestamp_ms: Of every metric: the end of the evaluation.
    """

    client: MlflowClient
    plan: Plan
    result: Result
    training: TrainingRun | None
    experiment_id: str
    run: Run
    model_id: str
    timestamp_ms: int

    @property
    def run_id(self) -> str:
        return str(self.run.info.run_id)


def record(plan: Plan, result: Result, is_found: bool = False) -> Recorded:
    """Records an evaluation, or completes what an earlier recording left.

    Args:
        plan: What was evaluated, and where its scores go.
        result: Collected.
        is_found: An earlier evaluation left it complete. A benchmark run that has the files and
            pictures of this very summary keeps them; they are not made again.

    Raises:
        TrackingError: The tracker did not take it. Nothing on disk is lost, and
            ``python -m ftbench.record RUN_DIR`` goes on from there.

    Side effects: writes to the tracker; a failure leaves ``logs/tracking.log`` in the run folder.
    """
    if plan.tracking.kind == "none":
        raise TrackingError(
            Problem(
                f"recording {plan.run_dir}",
                "it was planned with tracking=none",
                f"python -m ftbench.record {plan.run_dir} --tracking-uri URI",
            )
        )
    # MLflow counts whole seconds, and 0 would be no limit at all.
    timeout_s = max(1, plan.tracking.request_timeout_s)
    with (
        mlflow_environment(plan.tracking.uri, timeout_s, RETRIES),
        _translated(plan),
        FileLock(plan.run_dir / ".record.lock", timeout=600),
    ):
        target = _open_target(plan, result)
        is_kept = is_found and _is_recorded(target)
        notes = _log_scores(target) + ([] if is_kept else _log_artifacts(target))
        shown = page.update(
            target.client,
            target.experiment_id,
            target.run_id,
            target.timestamp_ms,
            is_written_back=_is_written_back(target),
            is_drawn=is_kept,
        )
        _finish(target)
        notes += _write_back(target, shown)
        recorded = _recorded(target, notes, shown.charts_view)
        keep_receipt(plan, result, recorded)
    return recorded


def _open_target(plan: Plan, result: Result) -> _Target:
    uri = plan.tracking.uri
    client = store.open_store(uri)
    trained = training.fetch(client, plan.tracking.training_run_id)
    experiment_id = store.experiment_id_for(client, plan.tracking, trained)
    tags = contents.run_tags(plan, result, trained)
    if _is_nested(plan, trained, experiment_id):
        assert trained is not None
        tags["mlflow.parentRunId"] = trained.run_id
    started_ms, finished_ms = _times_ms(plan, result)
    with store.creation_lock(uri):
        run = store.find_or_create_run(
            client, experiment_id, names.eval_key(plan), names.run_name(plan), started_ms, tags
        )
        model = store.find_or_create_model(
            client,
            experiment_id,
            store.WantedModel(
                name=names.logged_model_name(plan),
                model_type=contents.model_type(plan),
                source_run_id=trained.run_id if trained else None,
                fingerprint=plan.fingerprint,
                params=contents.run_params(plan, trained),
                tags=contents.model_tags(plan),
            ),
        )
    return _Target(client, plan, result, trained, experiment_id, run, model.model_id, finished_ms)


def _is_nested(plan: Plan, trained: TrainingRun | None, experiment_id: str) -> bool:
    # A child of a parent in another experiment vanishes from MLflow's pages (3.18).
    return plan.tracking.nest and trained is not None and trained.experiment_id == experiment_id


def _times_ms(plan: Plan, result: Result) -> tuple[int, int]:
    """Start and end of the evaluation; always the same for the same run folder."""
    planned = plan.files.plan.stat().st_mtime if plan.files.plan.is_file() else 0.0
    started = result.started_at or result.finished_at or planned
    return int(started * 1000), int((result.finished_at or started) * 1000)


def _log_scores(target: _Target) -> list[str]:
    """Datasets, params, tags and metrics; one request for the headlines, then one per dataset."""
    from mlflow.entities import LoggedModelInput, Param, RunTag

    plan, result, trained = target.plan, target.result, target.training
    digests = contents.dataset_digests(result)
    log_inputs(
        target.client,
        target.run_id,
        [_dataset_input(d, digests[d.name]) for d in result.datasets if d.name in digests],
        [LoggedModelInput(target.model_id)],
    )
    params, notes = _new_params(target.run, contents.run_params(plan, trained))
    tags = contents.run_tags(plan, result, trained)
    link = (trained.name, trained.link) if trained else None
    there = target.run.data.tags
    note = run_note(plan, result, link, target.experiment_id)
    tags[NOTE_TAG] = keep_sweep_lines(there.get(NOTE_TAG, ""), note)
    if plan.tracking.sweep_id:
        tags[SWEEP_TAG] = sweep_tag(there.get(SWEEP_TAG, ""), plan.tracking.sweep_id)
    target.client.log_batch(
        target.run_id,
        metrics=[
            _metric(target, score, digests)
            for score in [*headlines(result), *of_canary(result.model.canary)]
        ],
        params=[Param(key, value) for key, value in params.items()],
        tags=[RunTag(key, value) for key, value in tags.items()],
    )
    remove_tags(
        target.client,
        target.run,
        (k for k in there if contents.is_passing_tag(k) and k not in tags),
    )
    for dataset in result.datasets:
        metrics = [_metric(target, score, digests) for score in details(dataset)]
        target.client.log_batch(target.run_id, metrics=metrics)
    if plan.tracking.nest and not _is_nested(plan, trained, target.experiment_id):
        notes += ["tracking.nest was left out: the training run is in another experiment."]
    return notes


def _new_params(run: Run, params: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """The params that are not there yet; MLflow never changes one that is."""
    there = run.data.params
    changed = [key for key, value in params.items() if there.get(key, value) != value]
    notes = [f"{k} stays {there[k]!r} in MLflow; it was {params[k]!r} this time." for k in changed]
    return {key: value for key, value in params.items() if key not in there}, notes


def _dataset_input(dataset: DatasetResult, digest: str) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    presets = sorted({subset.preset for subset in dataset.subsets if subset.preset})
    rows = sum(subset.expected for subset in dataset.subsets)
    return DatasetInput(
        Dataset(
            name=dataset.name,
            digest=digest,
            source_type="opencompass",
            source=json.dumps({"presets": presets}),
            profile=json.dumps({"num_rows": rows, "num_subsets": len(dataset.subsets)}),
        ),
        [InputTag("mlflow.data.context", "eval")],
    )


def _metric(target: _Target, score: Score, digests: dict[str, str]) -> Any:
    from mlflow.entities import Metric

    digest = digests.get(score.dataset) if score.of_model else None
    return Metric(
        score.key,
        score.value,
        target.timestamp_ms,
        0,
        model_id=target.model_id if score.of_model else None,
        dataset_name=score.dataset if digest else None,
        dataset_digest=digest,
        run_id=target.run_id,
    )


def _is_recorded(target: _Target) -> bool:
    """The benchmark run was recorded to its end, with this very summary."""
    summary, run = target.plan.files.summary, target.run
    recorded = run.data.tags.get(SUMMARY_TAG)
    return run.info.status == "FINISHED" and summary.is_file() and recorded == sha256_of(summary)


def _log_artifacts(target: _Target) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="ftbench-record-") as folder:
        staged = artifacts.stage(target.plan, target.result, Path(folder))
        target.client.log_artifacts(target.run_id, folder)
    tags = {archive_tag(name): digest for name, digest in staged.archives.items()}
    if target.plan.files.summary.is_file():
        tags[SUMMARY_TAG] = sha256_of(target.plan.files.summary)
    if staged.tables:
        tags["mlflow.loggedArtifacts"] = staged.tables_tag
    set_tags(target.client, target.run_id, tags)
    return list(staged.notes)


def _finish(target: _Target) -> None:
    # Green in MLflow means what exit code 0 means: every dataset is ok. A partial evaluation has
    # scores too, but its row must not look comparable with complete ones.
    status = "FINISHED" if target.result.is_complete else "FAILED"
    target.client.set_terminated(target.run_id, status, end_time=target.timestamp_ms)


def _is_written_back(target: _Target) -> bool:
    return target.training is not None and target.plan.tracking.write_back != "none"


def _write_back(target: _Target, shown: page.Page) -> list[str]:
    outcome = training.Outcome(
        target.run_id, target.experiment_id, target.model_id, target.timestamp_ms, target.result
    )
    notes = training.write_back(target.client, target.plan.tracking, target.training, outcome)
    if target.training is not None and _is_written_back(target):
        page.draw_curve(target.client, shown, target.training.run_id)
    return notes


def _recorded(target: _Target, notes: list[str], charts_view: str) -> Recorded:
    uri, experiment_id = target.plan.tracking.uri, target.experiment_id
    root = store.ui_root(uri)
    return Recorded(
        run_id=target.run_id,
        experiment_id=experiment_id,
        run_url=f"{root}/{contents.run_link(experiment_id, target.run_id)}",
        view_url=root + views.view_path(experiment_id, views.LEADERBOARD),
        charts_url=root + views.view_path(experiment_id, charts_view, "CHART"),
        training_view_url=root + views.view_path(experiment_id, views.TRAINING, "CHART"),
        open_with=store.ui_command(uri),
        model_id=target.model_id,
        training_run_id=target.plan.tracking.training_run_id,
        notes=tuple(notes),
    )


@contextmanager
def _translated(plan: Plan) -> Iterator[None]:
    """Turns what MLflow and the file system raise into a TrackingError with a log."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError, ValueError) as exc:
        uri = plan.tracking.uri
        log = _write_log(plan.files.root / "logs" / "tracking.log")
        cure = f"python -m ftbench.record {plan.run_dir}"
        raise TrackingError(explain(exc, f"recording into {redact(uri)}", uri, cure, log)) from exc


def _write_log(path: Path) -> str:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(redact(traceback.format_exc()), encoding="utf-8")
    except OSError:
        return ""
    return str(path)
