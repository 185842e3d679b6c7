"""Brings finished evaluations back from the tracker into a workspace that does not have them.

A benchmark run becomes a run folder again, under the name that it had, so that recording it finds
the same benchmark run. It is believed only when everything in it is checked: fingerprints, the
hash of each archive, and the samples and scores of every finished dataset. Until then it has
another name.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ftbench.errors import ResultError
from ftbench.plan import Plan, read_plan
from ftbench.reuse import names_done
from ftbench.schema import OK, Result, RunFiles, read_result
from ftbench.tracking.archive import (
    archive_name,
    archive_tag,
    fingerprint_tag,
    sha256_of,
    unpack_archive,
)
from ftbench.tracking.environment import mlflow_environment, redact
from ftbench.tracking.failures import explain
from ftbench.tracking.names import sqlite_path
from ftbench.tracking.store import EVAL_KEY, FINGERPRINT, open_store
from ftbench.workspace import RUNS, new_run_dir

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

MAX_WAIT_S = 10
"""Of one request; an evaluation goes on without an answer."""
_MAX_CANDIDATES = 5
_FOLDER_NAME = re.compile(r"\d{8}_\d{6}(_\d+)?")


class _Unfit(Exception):
    """A benchmark run that cannot be brought back, and why."""


def restore(plan: Plan, on_line: Callable[[str], None]) -> bool:
    """Brings what the tracker has of a plan's evaluation, or of its datasets.

    Args:
        plan: What is to be evaluated; what it takes over from the workspace is not looked for.
        on_line: Takes a line about what was brought, or why nothing could be.

    Returns:
        Whether the workspace has more than before.

    Side effects: writes run folders into the workspace.
    """
    tracking = plan.tracking
    path = sqlite_path(tracking.uri)
    if tracking.kind == "none" or (path is not None and not path.is_file()):
        return False
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    timeout_s = max(1, min(tracking.request_timeout_s, MAX_WAIT_S))
    with mlflow_environment(tracking.uri, timeout_s, retries=0):
        try:
            return _restore(open_store(tracking.uri), plan, on_line)
        except (MlflowException, SQLAlchemyError, OSError, ValueError) as exc:
            why = explain(exc, "asking", tracking.uri).happened
            on_line(f"note: earlier scores in {redact(tracking.uri)} could not be asked for: {why}")
            return False


def _restore(client: MlflowClient, plan: Plan, on_line: Callable[[str], None]) -> bool:
    experiments = _experiment_ids(client)
    goes_on = plan.files.plan.is_file()

    def is_wanted(run: Run) -> bool:
        # What is unfinished here may be further than what was recorded of it.
        is_own = run.data.tags.get(FINGERPRINT) == plan.fingerprint
        return run.info.status == "FINISHED" or (
            # One that is being recorded has not everything yet.
            run.info.status == "FAILED" and not (is_own and goes_on)
        )

    def search(tag: str, value: str) -> Iterator[Run]:
        found = client.search_runs(
            experiments,
            f"tags.`{tag}` = '{value}'",
            order_by=["attributes.start_time DESC"],
            max_results=_MAX_CANDIDATES,
        )
        return filter(is_wanted, found)

    done = names_done(plan.files) if goes_on else set()
    left = {
        d.name: d.fingerprint for d in plan.datasets if d.earlier is None and d.name not in done
    }
    wanted = {FINGERPRINT: plan.fingerprint}
    wanted |= {fingerprint_tag(name): fingerprint for name, fingerprint in left.items()}
    before = len(left)
    seen: set[str] = set()
    for tag, value in wanted.items():
        if not left or (tag != FINGERPRINT and value not in left.values()):
            continue
        for run in search(tag, value):
            if run.info.run_id in seen:
                continue
            seen.add(run.info.run_id)
            brought = _bring(client, run, plan, on_line)
            left = {n: f for n, f in left.items() if brought.get(n) != f}
            if brought:
                break
    return len(left) < before


def _experiment_ids(client: MlflowClient) -> list[str]:
    ids: list[str] = []
    token: str | None = None
    while True:
        page = client.search_experiments(max_results=1000, page_token=token)
        ids += [str(experiment.experiment_id) for experiment in page]
        token = page.token
        if not token:
            return ids


def _bring(
    client: MlflowClient, run: Run, plan: Plan, on_line: Callable[[str], None]
) -> dict[str, str]:
    """Makes one benchmark run a run folder of the workspace.

    Returns:
        The fingerprints of the datasets that it has complete, by name; empty where it is unfit.
    """
    from tarfile import TarError

    from mlflow.exceptions import MlflowException

    run_id = run.info.run_id
    plan.workspace.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".restored-", dir=plan.workspace) as folder:
        files = RunFiles(Path(folder) / "run")
        try:
            complete = _download(client, run, files)
        except (_Unfit, MlflowException, ResultError, ValueError, TarError) as exc:
            happened = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
            on_line(f"note: MLflow run {run_id} is not reused: {redact(happened)}")
            return {}
        target = _place(run, plan)
        files.root.rename(target)
    on_line(f"brought from MLflow run {run_id}: {', '.join(complete)} ({target})")
    return complete


def _download(client: MlflowClient, run: Run, files: RunFiles) -> dict[str, str]:
    """Downloads and checks everything of a benchmark run.

    Raises:
        _Unfit: It does not hold together, or lacks a file.
    """
    run_id, root, tags = run.info.run_id, files.root, run.data.tags
    root.mkdir()
    (root / "summary").mkdir()
    client.download_artifacts(run_id, "plan.json", str(root))
    client.download_artifacts(run_id, "summary.json", str(root / "summary"))
    recorded, result = read_plan(root), read_result(files.summary)
    _check_fingerprints(tags, recorded, result)
    finished = [dataset for dataset in result.datasets if dataset.status == OK]
    for dataset in finished:
        expected = tags.get(archive_tag(dataset.name))
        if not expected:
            raise _Unfit(f"it has no {archive_name(dataset.name)}")
        with tempfile.TemporaryDirectory(dir=root.parent) as folder:
            path = Path(client.download_artifacts(run_id, archive_name(dataset.name), folder))
            if sha256_of(path) != expected:
                raise _Unfit(f"{archive_name(dataset.name)} is damaged")
            if why := unpack_archive(path, files, result.model_abbr, dataset):
                raise _Unfit(f"{dataset.name}: {why}")
    _download_rest(client, run_id, root)
    names = {dataset.name for dataset in finished}
    return {d.name: d.fingerprint for d in recorded.datasets if d.name in names}


def _check_fingerprints(tags: dict[str, str], recorded: Plan, result: Result) -> None:
    if not recorded.fingerprint == result.fingerprint == tags.get(FINGERPRINT):
        raise _Unfit("its plan and its summary are of different evaluations")
    planned = {d.name: d.fingerprint for d in recorded.datasets}
    if [d.name for d in result.datasets] != list(planned):
        raise _Unfit("its plan and its summary name different datasets")
    if any(tags.get(fingerprint_tag(name)) != planned[name] for name in planned):
        raise _Unfit("its plan and its tags are of different datasets")


def _download_rest(client: MlflowClient, run_id: str, root: Path) -> None:
    """What nothing depends on: how it was launched, and OpenCompass's config."""
    there = {item.path for item in client.list_artifacts(run_id)}
    for name in ("launch.json", "provenance.json", "configs"):
        if name in there:
            client.download_artifacts(run_id, name, str(root))


def _place(run: Run, plan: Plan) -> Path:
    """An empty folder that no other process uses, under the name that the run's folder had."""
    name = run.data.tags.get(EVAL_KEY, "").partition("-")[2]
    target = plan.workspace / RUNS / name
    if not _FOLDER_NAME.fullmatch(name) or target.exists():
        target = new_run_dir(plan.workspace, time.time())
    while True:
        try:
            target.mkdir(parents=True)
            return target
        except FileExistsError:
            target = new_run_dir(plan.workspace, time.time())
