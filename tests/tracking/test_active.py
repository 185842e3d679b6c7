"""The run that a trainer records into, found from inside its process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from ftbench.tracking.active import ActiveRun, active_run, note_output_dir

PASSWORD = "s3cret"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[str]:
    """A store that this process's MLflow records into."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    yield uri
    mlflow.set_tracking_uri(before)


@pytest.fixture
def no_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mlflow")


def test_active_run_is_the_one_that_mlflow_has_open(store: str, tmp_path: Path) -> None:
    with mlflow.start_run() as run:
        found = active_run({"MLFLOW_RUN_ID": "of-the-environment"}, tmp_path)
        note_output_dir(found, tmp_path / "out")
    assert found == ActiveRun(run.info.run_id, str(run.info.experiment_id), store)
    tags = mlflow.MlflowClient().get_run(run.info.run_id).data.tags
    assert tags["ftbench.output_dir"] == str(tmp_path / "out")


def test_active_run_is_empty_where_mlflow_has_none_open(store: str, tmp_path: Path) -> None:
    assert active_run({}, tmp_path) == ActiveRun(tracking_uri=store)


@pytest.mark.usefixtures("no_mlflow")
def test_active_run_is_what_the_environment_names(tmp_path: Path) -> None:
    environ = {"MLFLOW_RUN_ID": "abc", "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}
    assert active_run(environ, tmp_path) == ActiveRun(
        "abc", "", f"sqlite:///{tmp_path / 'mlflow.db'}"
    )


@pytest.mark.usefixtures("no_mlflow")
def test_active_run_takes_credentials_out_of_the_address(tmp_path: Path) -> None:
    environ = {"MLFLOW_TRACKING_URI": f"https://ann:{PASSWORD}@mlflow.example/x"}
    found = active_run(environ, tmp_path)
    assert found.tracking_uri == "https://mlflow.example/x"
    assert (found.user, found.password) == ("ann", PASSWORD)


@pytest.mark.usefixtures("no_mlflow")
@pytest.mark.parametrize(
    ("uri", "absolute"),
    [("mlruns", "{cwd}/mlruns"), ("databricks", "databricks"), ("http://m:5000", "http://m:5000")],
)
def test_active_run_makes_folders_absolute(tmp_path: Path, uri: str, absolute: str) -> None:
    found = active_run({"MLFLOW_TRACKING_URI": uri}, tmp_path)
    assert found.tracking_uri == absolute.format(cwd=tmp_path)


@pytest.mark.usefixtures("no_mlflow")
def test_a_training_without_mlflow_has_no_run(tmp_path: Path) -> None:
    run = active_run({}, tmp_path)
    note_output_dir(run, tmp_path / "out")
    assert run == ActiveRun()
