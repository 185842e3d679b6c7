"""Sixteen jobs that start and end at the same moment: on a new database, and on a server."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput

from ftbench.plan import TrackingPlan
from ftbench.tracking.shared_writes import log_inputs, set_experiment_tag, set_tags
from tests.browser import mlflow_server
from tests.postgres import postgres
from tests.tracking_fixtures import (
    FINISHED_AT,
    RunFolder,
    grouped_mmlu,
    gsm8k,
    make_run_folder,
    result_of,
)

pytestmark = [pytest.mark.mlflow_server, pytest.mark.slow]

JOBS = range(16)


def run_folders(path: Path, plans: list[TrackingPlan]) -> list[RunFolder]:
    """Evaluations with scores of their own; the last four are equal work in other workspaces."""
    folders = []
    for job, plan in zip(JOBS, plans, strict=True):
        result = replace(
            result_of(grouped_mmlu(), gsm8k(6.25 * job)),
            fingerprint=f"{min(job, 12):02d}" * 32,
            finished_at=FINISHED_AT + job,
        )
        folders.append(
            make_run_folder(path / str(job), plan, result, stamp=f"20260921_1433{job:02d}")
        )
    return folders


def record_all(folders: list[RunFolder]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.many_recorders", *(str(f.path) for f in folders)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert (done.returncode, done.stdout) == (0, "")


def assert_recorded_once(client: MlflowClient, run_id: str, folder: RunFolder) -> None:
    """Every metric has one point, which is its own."""
    run = client.get_run(run_id)
    score = folder.result.datasets[1].score
    assert run.info.status == "FINISHED"
    families = Counter(name.split("/")[0] for name in run.data.metrics)
    assert families == {
        "bench": 3,
        "group": 3,
        "weighted": 1,
        "subset": 3,
        "coverage": 2,
        "seconds": 2,
        "validity": 2,
    }
    for metric in run.data.metrics:
        assert len(client.get_metric_history(run.info.run_id, metric)) == 1
    assert run.data.metrics["bench/gsm8k"] == score
    assert run.data.tags["ftbench.fingerprint"] == folder.plan.fingerprint
    assert len(run.inputs.model_inputs) == 1
    assert len(run.inputs.dataset_inputs) == 2


def assert_all_recorded_once(
    client: MlflowClient, experiment: str, folders: list[RunFolder]
) -> None:
    """An experiment holds a run for each folder, and a model for each fingerprint."""
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    runs = sorted(
        client.search_runs([found.experiment_id]), key=lambda r: r.data.tags["ftbench.eval_key"]
    )
    folders = sorted(folders, key=lambda f: (f.plan.fingerprint, f.path.name))
    assert len(runs) == len(folders)
    for run, folder in zip(runs, folders, strict=True):
        assert_recorded_once(client, run.info.run_id, folder)
    models = client.search_logged_models([found.experiment_id])
    fingerprints = sorted(model.tags["ftbench.fingerprint"] for model in models)
    assert fingerprints == sorted({folder.plan.fingerprint for folder in folders})


def test_sixteen_jobs_on_a_database_that_is_not_there(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/new/mlflow.db"
    names = [("ftbench", "sweep")[job % 2] for job in JOBS]
    plans = [TrackingPlan("mlflow", uri, experiment=name) for name in names]
    folders = run_folders(tmp_path, plans)
    record_all(folders)
    client = MlflowClient(uri)
    experiments = {experiment.name for experiment in client.search_experiments()}
    assert experiments == {"Default", "ftbench", "sweep"}
    assert client.search_runs(["0"]) == []
    for name in ("ftbench", "sweep"):
        own = [folder for folder in folders if folder.plan.tracking.experiment == name]
        assert_all_recorded_once(client, name, own)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A tracking server over a database that many write to at once."""
    # Not pytest's folder, which is closed to other users, and too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="ftbench-postgres-"))
    try:
        served = tmp_path_factory.mktemp("server")
        with postgres(folder) as database, mlflow_server(database, folder=served) as url:
            yield url
    finally:
        shutil.rmtree(folder)


def test_sixteen_jobs_of_one_training_run_on_a_server(server: str, tmp_path: Path) -> None:
    client = MlflowClient(server)
    experiment = client.create_experiment("sft")
    training = str(client.create_run(experiment, run_name="lora").info.run_id)
    client.set_terminated(training)
    plan = TrackingPlan("mlflow", server, training_run_id=training)
    folders = run_folders(tmp_path, [plan] * len(JOBS))
    record_all(folders)
    everything = client.search_runs([experiment], "tags.`ftbench.kind` = 'eval'")
    assert len(everything) == len(JOBS)
    trained = client.get_run(training)
    note = trained.data.tags["mlflow.note.content"]
    assert [f"runs/{run.info.run_id}" in note for run in everything] == [True] * len(JOBS)
    written = client.get_metric_history(training, "bench/gsm8k")
    assert sorted(metric.value for metric in written) == [6.25 * job for job in JOBS]
    assert len(trained.outputs.model_outputs) == 13
    client.delete_run(training)
    assert_all_recorded_once(client, "sft", folders)


def test_the_first_of_anything_shared_at_the_same_moment(server: str) -> None:
    # 5 to 10 of 100 of MLflow's own calls failed.
    client = MlflowClient(server)
    experiment = client.create_experiment("shared")
    for turn in map(str, range(10)):
        runs = [client.create_run(experiment).info.run_id for _ in range(8)]
        dataset = DatasetInput(Dataset("mmlu", turn, "opencompass", "{}"))
        at_once(lambda n, run_id=runs[0]: set_tags(client, run_id, {"note": str(n)}))
        at_once(lambda n, key=turn: set_experiment_tag(client, experiment, key, str(n)))
        at_once(lambda n, runs=runs, dataset=dataset: log_inputs(client, runs[n], [dataset], []))
        assert client.get_run(runs[0]).data.tags["note"] in "01234567"
        assert client.get_experiment(experiment).tags[turn] in "01234567"
        assert [len(client.get_run(run_id).inputs.dataset_inputs) for run_id in runs] == [1] * 8


def at_once(call: Callable[[int], None]) -> None:
    """Calls it from eight threads that meet before."""
    barrier = Barrier(8)

    def meet(number: int) -> None:
        barrier.wait()
        call(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(meet, range(8)))
