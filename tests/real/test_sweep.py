"""Two models in three settings, evaluated for real, two at a time, into a real MLflow server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from ftbench.quoting import quoted
from tests.browser import mlflow_server
from tests.real.conftest import Demo

pytestmark = [pytest.mark.opencompass, pytest.mark.mlflow_server, pytest.mark.slow]

SETTINGS = ("0", "0.5", "1")
"""Temperatures."""


@dataclass(frozen=True)
class Swept:
    """What the sweep left.

    Attributes:
        trained: The training run of the adapter that is one of the two.
    """

    exit_code: int
    printed: str
    folder: Path
    client: MlflowClient
    url: str
    trained: str

    @property
    def jobs(self) -> list[dict[str, Any]]:
        paths = sorted(self.folder.glob("*/job.json"))
        return [json.loads(path.read_text()) for path in paths]

    @property
    def sweep_run(self) -> Any:
        (run,) = self.runs("sweep")
        return run

    def runs(self, kind: str) -> list[Any]:
        """Runs of one kind, in whatever experiment."""
        ids = [e.experiment_id for e in self.client.search_experiments()]
        return list(self.client.search_runs(ids, f"tags.`ftbench.kind` = '{kind}'"))


@pytest.fixture(scope="module")
def swept(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swept]:
    folder = tmp_path_factory.mktemp("sweep")
    with mlflow_server(f"sqlite:///{folder}/mlflow.db") as url:
        client = MlflowClient(url)
        experiment_id = client.create_experiment("sft")
        trained = str(client.create_run(experiment_id, run_name="lora").info.run_id)
        client.log_metric(trained, "loss", 0.5, step=30)
        # An absolute folder, as a trainer that knows where it writes has it.
        client.log_param(trained, "output_dir", str(demo.adapter))
        client.set_terminated(trained)
        command = [
            *(sys.executable, "-m", "ftbench.run", "-m", "baseline=none"),
            'model.adapter=null,query(sft, "metrics.loss < 1")',
            f"backend.temperature={','.join(SETTINGS)}",
            *("datasets=[gsm8k]", "limit=2", "runtime=local", "runtime.num_gpus=0"),
            *("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
            *(f"data_dir={quoted(str(demo.folder / 'data'))}", f"tracking.uri={url}"),
            "hydra.sweep.dir=sweep",
        ]
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "160"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        yield Swept(done.returncode, done.stdout, folder / "sweep", client, url, trained)


def test_every_job_is_complete(swept: Swept) -> None:
    assert swept.exit_code == 0, swept.printed
    assert [job["status"] for job in swept.jobs] == ["ok"] * 6
    assert [job["is_base"] for job in swept.jobs] == [True] * 3 + [False] * 3


def test_one_run_for_the_sweep_and_one_for_each_job(swept: Swept) -> None:
    run = swept.sweep_run
    assert run.info.status == "FINISHED"
    assert (run.data.metrics["jobs/total"], run.data.metrics["jobs/failed"]) == (6.0, 0.0)
    evaluations = swept.runs("eval")
    assert sorted(r.info.run_id for r in evaluations) == sorted(j["run_id"] for j in swept.jobs)
    assert {r.data.tags["ftbench.sweep_id"] for r in evaluations} == {
        run.data.tags["ftbench.sweep_id"]
    }
    # The base model's, too: beside the adapters', where the training run is.
    (experiment_id,) = {r.info.experiment_id for r in [run, *evaluations]}
    assert swept.client.get_experiment(experiment_id).name == "sft"


def test_no_metric_is_lost_or_doubled(swept: Swept) -> None:
    for run in swept.runs("eval"):
        for key in ("bench/avg", "bench/gsm8k", "coverage/gsm8k", "seconds/gsm8k"):
            assert len(swept.client.get_metric_history(run.info.run_id, key)) == 1, key
        assert not any(tag == "mlflow.parentRunId" for tag in run.data.tags)
    history = swept.client.get_metric_history(swept.trained, "bench/gsm8k")
    # Three settings, each written at the step of the adapter's loss.
    assert {metric.step for metric in history} == {30}
    assert len(history) == 3


def test_links_lead_from_job_to_sweep_to_training_and_back(swept: Swept) -> None:
    run = swept.sweep_run
    root = f"#/experiments/{run.info.experiment_id}/runs"
    note = run.data.tags["mlflow.note.content"]
    for job in swept.jobs:
        tags = swept.client.get_run(job["run_id"]).data.tags
        assert f"({root}/{job['run_id']})" in note
        assert f"Sweep: [{job['sweep_id']}]({root}/{run.info.run_id})" in (
            tags["mlflow.note.content"].splitlines()
        )
        assert tags.get("ftbench.train_run_id") == (None if job["is_base"] else swept.trained)
        assert job["run_url"] == f"{swept.url}/{root}/{job['run_id']}"


def test_sweep_run_carries_table_and_plots(swept: Swept, tmp_path: Path) -> None:
    run_id = swept.sweep_run.info.run_id
    downloaded = swept.client.download_artifacts(run_id, "sweep/jobs.json", str(tmp_path))
    table = json.loads(Path(downloaded).read_text())
    assert table["columns"] == [
        *("job", "adapter", "temperature", "avg", "gsm8k", "gsm8k against base"),
        *("status", "error", "run"),
    ]
    assert sorted(row[0] for row in table["data"]) == [0, 1, 2, 3, 4, 5]
    assert {row[1] for row in table["data"]} == {"base", "tiny-qwen2-lora"}
    plots = {item.path for item in swept.client.list_artifacts(run_id, "plots")}
    assert plots == {"plots/scores.svg", "plots/parallel_coordinates.svg"}


def test_printed_address_is_that_of_a_saved_view(swept: Swept) -> None:
    (line,) = [x for x in swept.printed.splitlines() if x.startswith("All jobs as a table: ")]
    run = swept.sweep_run
    key = f"ftbench-sweep-{run.data.tags['ftbench.sweep_id']}"
    page = f"{swept.url}/#/experiments/{run.info.experiment_id}/runs?viewStateShareKey={key}"
    assert line == f"All jobs as a table: {page}&workflowType=machine_learning"
    tags = swept.client.get_experiment(run.info.experiment_id).tags
    assert f"mlflow.sharedViewState.{key}" in tags
