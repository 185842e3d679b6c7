"""A look at a real sqlite store without MLflow's client; in doubt it says nothing good."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ftbench.tracking.glance import SeenRun, is_ready, look_up_run
from tests.tracking.conftest import Store


def test_a_good_database_is_ready_for_any_experiment(store: Store) -> None:
    store.client.create_experiment("there")
    assert is_ready(store.uri)
    assert is_ready(store.uri, "there")
    assert is_ready(store.uri, "new one")


def test_a_deleted_experiment_is_not_ready(store: Store) -> None:
    store.client.delete_experiment(store.client.create_experiment("gone"))
    assert not is_ready(store.uri, "gone")
    assert is_ready(store.uri)


@pytest.mark.parametrize("content", [b"", b"these are not the pages of a database\n" * 100])
def test_a_file_that_is_no_database_is_not_ready(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mlflow.db").write_bytes(content)
    assert not is_ready(f"sqlite:///{tmp_path}/mlflow.db")
    assert look_up_run(f"sqlite:///{tmp_path}/mlflow.db", "ab" * 16) is None


def test_nothing_is_made_where_nothing_is(tmp_path: Path) -> None:
    assert not is_ready(f"sqlite:///{tmp_path}/mlflow.db")
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_another_mlflow_is_not_ready(tmp_path: Path, empty_database: Path) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copyfile(empty_database, path)
    assert is_ready(f"sqlite:///{path}")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = 'c0ffee000000'")
    database.close()
    assert not is_ready(f"sqlite:///{path}")


def test_a_run_is_seen_until_it_is_deleted(store: Store) -> None:
    run_id = store.training_run(status="FAILED")
    experiment_id = store.client.get_run(run_id).info.experiment_id
    assert look_up_run(store.uri, run_id) == SeenRun("FAILED", experiment_id, lost_files=True)
    store.client.log_text(run_id, "x", "x.txt")
    assert look_up_run(store.uri, run_id) == SeenRun("FAILED", experiment_id)
    store.client.delete_run(run_id)
    assert look_up_run(store.uri, run_id) is None
    assert look_up_run(store.uri, "ab" * 16) is None


def test_other_stores_and_servers_that_are_away_are_not_ready() -> None:
    for uri in ("databricks", "postgresql://host/db", "http://127.0.0.1:9"):
        assert not is_ready(uri)
        assert look_up_run(uri, "ab" * 16) is None


def test_a_check_of_a_good_store_imports_no_mlflow(store: Store) -> None:
    code = (
        "import sys; from ftbench import tracking; from ftbench.plan import TrackingPlan; "
        f"plan = TrackingPlan('mlflow', {store.uri!r}, training_run_id={store.training_run()!r}); "
        "print(tracking.check(plan), tracking.training_status(plan), 'mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] FINISHED False\n"
