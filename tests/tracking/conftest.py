"""A fresh sqlite tracking store per test, without paying for its migrations each time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from ftbench.plan import TrackingPlan
from ftbench.tracking.environment import mlflow_environment
from ftbench.tracking.store import open_store


@dataclass(frozen=True)
class Store:
    """A tracking store with the means to look into it."""

    uri: str
    client: MlflowClient
    folder: Path

    def plan(self, **changes: object) -> TrackingPlan:
        """Tracking into this store."""
        return TrackingPlan("mlflow", self.uri, **changes)  # type: ignore[arg-type]

    def training_run(self, experiment: str = "sft", status: str = "FINISHED") -> str:
        """A finished training run with a loss curve, two params and its owner's note."""
        found = self.client.get_experiment_by_name(experiment)
        folder = (self.folder / "artifacts").as_uri()
        experiment_id = (
            found.experiment_id
            if found
            else self.client.create_experiment(experiment, artifact_location=folder)
        )
        run_id = str(self.client.create_run(experiment_id, run_name="lora r16").info.run_id)
        for step, loss in enumerate((3.0, 1.5, 0.75)):
            self.client.log_metric(run_id, "loss", loss, step=step, timestamp=1000 + step)
        self.client.log_param(run_id, "learning_rate", "0.0002")
        self.client.log_param(run_id, "epochs", "3")
        self.client.set_tag(run_id, "mlflow.note.content", "My own words.")
        self.client.set_terminated(run_id, status)
        return run_id


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    with mlflow_environment("", request_timeout_s=30, retries=0):
        open_store(f"sqlite:///{path}")
    return path


@pytest.fixture
def store(tmp_path: Path, empty_database: Path) -> Iterator[Store]:
    shutil.copyfile(empty_database, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        yield Store(uri, MlflowClient(uri), tmp_path)
