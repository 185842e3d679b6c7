"""Reads evaluations back: benchmark runs out of MLflow, run folders from disk.

The scores of a recorded run come from its ``summary.json``: beside what the metrics have, that has
hashes, coverage and reasons, in one request.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from ftbench.comparison import Evaluated
from ftbench.comparison.answers import Answers
from ftbench.errors import ComparisonError, Problem, ReadingError, ResultError
from ftbench.plan import Plan, read_plan
from ftbench.schema import Result, RunFiles, read_result
from ftbench.tracking.answers import FolderAnswers, RecordedAnswers
from ftbench.tracking.archive import sha256_of
from ftbench.tracking.contents import run_link, run_params
from ftbench.tracking.environment import redact
from ftbench.tracking.failures import explain
from ftbench.tracking.names import model_label, run_name, setting_label, sqlite_path
from ftbench.tracking.receipt import recorded_last
from ftbench.tracking.recorder import SUMMARY_TAG
from ftbench.tracking.searching import Found, Tracker, reading
from ftbench.tracking.store import ui_root

_THREADS = 8


def load_runs(
    tracker: Tracker, found: Sequence[Found], skipped: list[str] | None = None
) -> list[Evaluated]:
    """Reads the scores of benchmark runs.

    Args:
        tracker: That holds them.
        found: Benchmark runs.
        skipped: Receives a sentence for each run that cannot be read; None: that is an error.

    Raises:
        ReadingError: The scores of a run cannot be read.
    """
    training = _training_runs(tracker)

    def load(run: Found) -> Evaluated | Problem:
        return _load(tracker, run, training)

    with reading(tracker.uri, f"reading {redact(tracker.uri)}"):
        # A database answers one question at a time; a server's answers take a while each.
        if sqlite_path(tracker.uri) is None and len(found) > 1:
            with ThreadPoolExecutor(_THREADS) as pool:
                loaded = list(pool.map(load, found))
        else:
            loaded = [load(run) for run in found]
    problems = [item for item in loaded if isinstance(item, Problem)]
    if problems and skipped is None:
        raise ReadingError(problems)
    if skipped is not None:
        skipped += [f"left out: {problem.tried}: {problem.happened}" for problem in problems]
    return [item for item in loaded if isinstance(item, Evaluated)]


def read_folder(run_dir: Path) -> Evaluated:
    """Reads one run folder.

    Raises:
        ComparisonError: It has no plan or no collected result.
    """
    files = RunFiles(run_dir)
    try:
        plan = read_plan(run_dir)
        result = read_result(files.summary)
    except FileNotFoundError as exc:
        cure = "evaluate again: it goes on where it stopped"
        raise ComparisonError(
            Problem(str(run_dir), "it has no scores yet (summary/summary.json)", cure)
        ) from exc
    except (OSError, ValueError, ResultError) as exc:
        raise ComparisonError(Problem(str(run_dir), str(exc), "evaluate again")) from exc
    recorded = recorded_last(files)
    run = evaluated(plan, result, run_dir)
    return dataclasses.replace(run, run_id=recorded.run_id) if recorded else run


def evaluated(plan: Plan, result: Result, run_dir: Path) -> Evaluated:
    """An evaluation as its plan and its collected result tell it.

    Args:
        run_dir: Where the folder lies now.
    """
    return Evaluated(
        key=str(run_dir),
        name=run_name(plan),
        model=model_label(plan),
        setting=setting_label(plan),
        base_model=plan.model.base,
        is_base=plan.model.adapter is None,
        result=result,
        base_identity=plan.fingerprint_parts.get("base", ""),
        params=run_params(plan, None),
        command=plan.command,
        step=plan.tracking.step,
        started_ms=int(result.started_at * 1000),
        run_dir=str(run_dir),
        answers=FolderAnswers(run_dir),
    )


def _load(
    tracker: Tracker, run: Found, training: Callable[[str], tuple[str, str]]
) -> Evaluated | Problem:
    import mlflow

    with tempfile.TemporaryDirectory(prefix="ftbench-read-") as folder:

        def bring(name: str) -> Path:
            uri = f"{run.artifact_uri.rstrip('/')}/{name}"
            return Path(
                mlflow.artifacts.download_artifacts(
                    artifact_uri=uri, dst_path=folder, tracking_uri=tracker.uri
                )
            )

        try:
            result = read_result(bring("summary.json"))
        except (mlflow.exceptions.MlflowException, OSError, ValueError) as exc:
            return _unreadable(tracker, run, exc)
        try:
            plan = json.loads(bring("plan.json").read_text(encoding="utf-8"))
        except (mlflow.exceptions.MlflowException, OSError, ValueError):
            plan = {}  # nothing but the command and the base's bytes is lost with it
    return _evaluated(tracker, run, result, plan if isinstance(plan, dict) else {}, training)


def _evaluated(
    tracker: Tracker,
    run: Found,
    result: Result,
    plan: Mapping[str, Any],
    training: Callable[[str], tuple[str, str]],
) -> Evaluated:
    root = ui_root(tracker.uri)
    params = run.params
    setting = params.get("setting", "")
    base_model = params.get("base_model", "")
    is_base = "ftbench.adapter" not in run.tags
    model = Path(base_model).name if is_base else params.get("adapter", run.name)
    # The name that ftbench gave says what a base model in a folder is called.
    if run.name.endswith(f" · {setting}") and setting:
        model = run.name.removesuffix(f" · {setting}")
    step = params.get("step", "")
    training_name, training_link = training(run.tags.get("ftbench.train_run_id", ""))
    parts = plan.get("fingerprint_parts")
    command = plan.get("command")
    return Evaluated(
        key=run.run_id,
        name=run.name,
        model=model,
        setting=setting,
        base_model=base_model,
        is_base=is_base,
        result=result,
        base_identity=str(parts.get("base", "")) if isinstance(parts, dict) else "",
        params=params,
        command=tuple(map(str, command)) if isinstance(command, list) else (),
        step=int(step) if step.isdigit() else None,
        link=f"{root}/{run_link(run.experiment_id, run.run_id)}",
        model_link=_model_link(tracker, run),
        training_name=training_name,
        training_link=training_link,
        started_ms=run.started_ms,
        tracking_uri=tracker.uri,
        run_id=run.run_id,
        run_dir=run.tags.get("ftbench.run_dir", ""),
        answers=_answers(tracker, run, result),
    )


def _answers(tracker: Tracker, run: Found, result: Result) -> Answers:
    """Of the run folder where it is on this machine with this very summary, else of the tracker."""
    recorded, run_dir = run.tags.get(SUMMARY_TAG), run.tags.get("ftbench.run_dir")
    if recorded and run_dir:
        summary = RunFiles(Path(run_dir)).summary
        with contextlib.suppress(OSError):
            if summary.is_file() and sha256_of(summary) == recorded:
                return FolderAnswers(Path(run_dir))
    return RecordedAnswers(tracker.uri, run.artifact_uri, [d.name for d in result.datasets])


def _model_link(tracker: Tracker, run: Found) -> str:
    # A search leaves out which models went into a run.
    whole = tracker.client.get_run(run.run_id)
    models = whole.inputs.model_inputs if whole.inputs else []
    if not models:
        return ""
    page = f"#/experiments/{run.experiment_id}/models/{models[0].model_id}"
    return f"{ui_root(tracker.uri)}/{page}"


def _training_runs(tracker: Tracker) -> Callable[[str], tuple[str, str]]:
    """Name and page of a training run by its id; both empty where it is unknown or gone."""
    from mlflow.exceptions import MlflowException

    @cache
    def named(run_id: str) -> tuple[str, str]:
        if not run_id:
            return "", ""
        try:
            info = tracker.client.get_run(run_id).info
        except MlflowException:
            return run_id, ""
        link = f"{ui_root(tracker.uri)}/{run_link(str(info.experiment_id), run_id)}"
        return info.run_name or run_id, link

    return named


def _unreadable(tracker: Tracker, run: Found, exc: Exception) -> Problem:
    tried = f"run {run.name} ({run.run_id})"
    if run.status == "RUNNING":
        return Problem(tried, "it is not recorded to its end yet", "wait for it")
    if isinstance(exc, ValueError):
        return Problem(
            tried, f"its summary.json: {exc}", "record it again: python -m ftbench.record"
        )
    cause = explain(exc, tried, tracker.uri)
    cure = (
        cause.cure
        or f"record it again: python -m ftbench.record {run.tags.get('ftbench.run_dir', 'RUN_DIR')}"
    )
    return Problem(tried, f"its summary.json cannot be read: {cause.happened}", cure)
