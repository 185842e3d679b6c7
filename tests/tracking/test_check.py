"""The tracker before the launch, each failure with its exact words."""

from __future__ import annotations

import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from ftbench import tracking
from ftbench.errors import TrackingError
from ftbench.plan import TrackingPlan
from tests.browser import free_port
from tests.tracking.conftest import Store

SQLITE_CURE = "  try: choose another file with tracking.uri=sqlite:////ABSOLUTE/PATH.db"


def messages(plan: TrackingPlan) -> list[str]:
    return [str(problem) for problem in tracking.check(plan)]


def test_a_good_store_has_no_problem(store: Store) -> None:
    plan = store.plan(training_run_id=store.training_run(), experiment="new one")

    assert messages(plan) == []
    assert store.client.get_experiment_by_name("new one") is None


def test_tracking_none_asks_nobody() -> None:
    assert tracking.check(TrackingPlan("none")) == []
    assert tracking.training_status(TrackingPlan("none", training_run_id="x")) is None


def test_a_new_database_is_made_where_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "mlflow.db"

    assert messages(TrackingPlan("mlflow", f"sqlite:///{path}")) == []
    assert path.is_file()


@pytest.mark.parametrize("status", ["FINISHED", "FAILED"])
def test_training_status_is_mlflows_word(store: Store, status: str) -> None:
    run_id = store.training_run(status=status)

    assert tracking.training_status(store.plan(training_run_id=run_id)) == status
    assert tracking.training_status(store.plan()) is None


def test_an_unknown_training_run(store: Store) -> None:
    plan = store.plan(training_run_id="ab" * 16)
    message = (
        f"tracking.training_run_id={'ab' * 16}: {store.uri} has no such run\n"
        "  try: copy the run id from the training run's page, or leave the option out"
    )

    assert messages(plan) == [message]
    with pytest.raises(TrackingError) as caught:
        tracking.training_status(plan)
    assert str(caught.value).endswith(message)


def test_a_deleted_training_run_and_a_deleted_experiment(store: Store) -> None:
    run_id = store.training_run()
    store.client.delete_run(run_id)
    gone = store.client.create_experiment("gone")
    store.client.delete_experiment(gone)

    assert messages(store.plan(training_run_id=run_id, experiment="gone")) == [
        f"tracking.training_run_id={run_id}: that training run is deleted\n"
        f"  try: python -m mlflow runs restore --run-id {run_id}, or name another",
        "tracking.experiment=gone: that experiment is deleted\n"
        f"  try: python -m mlflow experiments restore --experiment-id {gone}, "
        "or choose another name",
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "  ",
            "tracking.experiment='  ': an experiment's name cannot be empty\n"
            "  try: tracking.experiment=NAME",
        ),
        (
            "x" * 501,
            f"tracking.experiment='{'x' * 39}…: it has 501 characters, MLflow takes 500\n"
            "  try: choose a shorter name",
        ),
    ],
)
def test_an_illegal_experiment_name(store: Store, name: str, message: str) -> None:
    assert messages(store.plan(experiment=name)) == [message]


def test_a_server_that_is_not_there_is_noticed_at_once() -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    started = time.monotonic()

    assert messages(TrackingPlan("mlflow", uri)) == [
        f"tracking.uri={uri}: nothing answers there (connection refused)\n"
        "  try: start the server (mlflow server), or choose another with tracking.uri=URI; "
        "tracking=none records nothing"
    ]
    assert time.monotonic() - started < 10


def test_a_host_that_is_not_known() -> None:
    uri = "http://no-such-host.invalid:5000"

    assert messages(TrackingPlan("mlflow", uri)) == [
        f"tracking.uri={uri}: its host name is not known\n"
        "  try: check tracking.uri; tracking=none records nothing"
    ]


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_text("these are not the pages of a database\n" * 100)

    assert messages(TrackingPlan("mlflow", f"sqlite:///{path}")) == [
        f"tracking.uri=sqlite:///{path}: the file is not an sqlite database\n{SQLITE_CURE}"
    ]


def test_a_database_of_another_mlflow(tmp_path: Path, empty_database: Path) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copyfile(empty_database, path)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = 'c0ffee000000'")
    database.close()

    assert messages(TrackingPlan("mlflow", f"sqlite:///{path}")) == [
        f"tracking.uri=sqlite:///{path}: another MLflow version made this database\n"
        f"  try: python -m mlflow db upgrade sqlite:///{path} (back it up first), "
        "or the MLflow version that made it"
    ]


def test_a_database_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    uri = f"sqlite:///{tmp_path}/file/mlflow.db"

    (message,) = messages(TrackingPlan("mlflow", uri))

    assert message == f"tracking.uri={uri}: not a folder: {tmp_path}/file"


def test_an_unknown_scheme() -> None:
    (message,) = messages(TrackingPlan("mlflow", "gopher://host"))

    assert message == (
        "tracking.uri=gopher://host: MLflow does not know this kind of address\n"
        "  try: http://HOST:PORT of a server, or sqlite:////ABSOLUTE/PATH.db"
    )
