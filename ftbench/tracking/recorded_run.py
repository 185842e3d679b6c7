"""One benchmark run as it was recorded: its files, its answers, and tags that come later."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ftbench.errors import Problem, ReadingError
from ftbench.schema import DatasetResult, RunFiles
from ftbench.tracking.asking import asking
from ftbench.tracking.names import file_stem
from ftbench.tracking.searching import Tracker, reading
from ftbench.tracking.shared_writes import set_tags

if TYPE_CHECKING:
    from mlflow.entities import Run

Answer = tuple[str, int, int, str]
"""Subset, index, repeat, and the model's raw answer."""

_REQUEST_TIMEOUT_S = 30


def bring_run(tracker: Tracker, run_id: str, folder: Path) -> tuple[str, str]:
    """Brings the plan, the summary and the provenance of a benchmark run into a run folder.

    Args:
        tracker: That holds it.
        run_id: Of a benchmark run.
        folder: Absolute; it becomes a run folder without answers.

    Returns:
        Name of its experiment, and the run folder that it was recorded from.

    Raises:
        ReadingError: The tracker cannot be asked, or plan or summary is not there.
    """
    files = RunFiles(folder)
    wanted = {"plan.json": files.plan, "summary.json": files.summary}
    wanted |= {"provenance.json": files.provenance, "launch.json": files.launch}
    with reading(tracker.uri, f"reading run {run_id}"):
        run = tracker.client.get_run(run_id)
        there = {item.path for item in tracker.client.list_artifacts(run_id)}
        lacking = [name for name in ("plan.json", "summary.json") if name not in there]
        if lacking:
            happened = f"it has no {lacking[0]} among its artifacts"
            raise ReadingError(Problem(f"run {run_id}", happened, "name its run folder instead"))
        for name, place in wanted.items():
            if name in there:
                _download(tracker, run_id, name, place)
    experiment_id = str(run.info.experiment_id)
    return tracker.experiments.get(experiment_id, experiment_id), _folder_of(run)


def bring_answers(tracker: Tracker, run_id: str, dataset: DatasetResult) -> Iterator[Answer]:
    """The answers of one dataset of a benchmark run; none where they were not recorded.

    Raises:
        ReadingError: The tracker cannot be asked.
    """
    name = f"{file_stem(dataset.name)}.parquet"
    with tempfile.TemporaryDirectory(prefix="ftbench-answers-") as folder:
        place = Path(folder) / name
        with reading(tracker.uri, f"reading the answers of run {run_id}"):
            there = {item.path for item in tracker.client.list_artifacts(run_id, "predictions")}
            if f"predictions/{name}" not in there:
                return
            _download(tracker, run_id, f"predictions/{name}", place)
        import pyarrow.parquet as pq

        columns = ["subset", "index", "repeat", "prediction"]
        with pq.ParquetFile(place) as table:
            for batch in table.iter_batches(columns=columns):
                for row in batch.to_pylist():
                    yield row["subset"], row["index"], row["repeat"] or 0, row["prediction"] or ""


def tag_run(uri: str, run_id: str, tags: Mapping[str, str]) -> None:
    """Adds tags to a run.

    Raises:
        TrackingError: The tracker refused.
    """
    from mlflow import MlflowClient

    with asking(uri, f"tagging run {run_id}", request_timeout_s=_REQUEST_TIMEOUT_S):
        set_tags(MlflowClient(uri), run_id, tags)


def _folder_of(run: Run) -> str:
    return str(run.data.tags.get("ftbench.run_dir", ""))


def _download(tracker: Tracker, run_id: str, name: str, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        brought = tracker.client.download_artifacts(run_id, name, folder)
        shutil.move(brought, place)
