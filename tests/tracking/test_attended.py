"""The run of a training that ftbench starts: its status, note and log, however it ends."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ftbench.errors import TrackingError
from ftbench.tracking import attended
from ftbench.tracking.attended import (
    FAILED,
    FINISHED,
    KILLED,
    OpenRun,
    TrainingEnd,
    end_note,
    open_training_run,
    settle_training_run,
)
from tests.tracking.conftest import Store

OUT = Path("/out/lora")


def opened(store: Store, environ: dict[str, str] | None = None, **plan: object) -> OpenRun:
    return open_training_run(store.plan(**plan), "train lora", OUT, "python t.py", environ or {})


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "logs" / "training.log"
    path.parent.mkdir()
    path.write_text("epoch 1\nhttp://me:secret@host/x\n")
    return path


def ended(log: Path, status: str, exit_code: int | None = None, happened: str = "") -> TrainingEnd:
    return TrainingEnd(status, exit_code, happened, log)


def test_a_new_run_says_what_is_trained(store: Store) -> None:
    run = opened(store)
    found = store.client.get_run(run.run_id)
    assert (found.info.run_name, found.info.status, run.is_ours) == ("train lora", "RUNNING", True)
    assert run.experiment == "ftbench"
    tags = {k: v for k, v in found.data.tags.items() if k.startswith("ftbench.")}
    assert tags == {
        "ftbench.kind": "train",
        "ftbench.output_dir": "/out/lora",
        "ftbench.training_command": "python t.py",
    }


@pytest.mark.parametrize("name", ["configured", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"])
def test_the_experiment_is_the_configured_one_or_the_environments(store: Store, name: str) -> None:
    number = store.client.create_experiment("mine")
    environ = {"MLFLOW_EXPERIMENT_NAME": "mine", "MLFLOW_EXPERIMENT_ID": number}
    if name == "configured":
        found = opened(store, {"MLFLOW_EXPERIMENT_NAME": "other"}, experiment="mine")
    else:
        found = opened(store, {name: environ[name]})
    assert (found.experiment_id, found.experiment) == (number, "mine")


def test_a_run_that_is_named_goes_on(store: Store) -> None:
    run_id = store.training_run(status="FAILED")
    run = opened(store, training_run_id=run_id, experiment="elsewhere")
    assert (run.run_id, run.experiment, run.is_ours) == (run_id, "sft", False)
    found = store.client.get_run(run_id)
    assert found.info.status == "RUNNING"
    assert found.data.tags["ftbench.output_dir"] == "/out/lora"
    assert found.data.tags["mlflow.note.content"] == "My own words."


def test_a_run_that_is_not_there(store: Store) -> None:
    with pytest.raises(TrackingError):
        opened(store, training_run_id="a" * 32)


def test_variables_lead_a_trainer_to_the_run() -> None:
    run = OpenRun("r1", "7", "mine", True)
    expected = {
        "MLFLOW_TRACKING_URI": "http://host",
        "MLFLOW_EXPERIMENT_NAME": "mine",
        "MLFLOW_EXPERIMENT_ID": "7",
        "MLFLOW_RUN_ID": "r1",
    }
    assert run.variables("http://host", {"MLFLOW_TRACKING_URI": "http://me:pw@other"}) == expected
    credentials = {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "p w"}
    ambient = {"MLFLOW_TRACKING_URI": "http://me:p%20w@host"}
    assert run.variables("http://host", ambient) == expected | credentials


@pytest.mark.parametrize("left_as", ["RUNNING", "FINISHED", "FAILED"])
@pytest.mark.parametrize("status", [FINISHED, FAILED, KILLED])
def test_the_status_is_right_whatever_the_trainer_left(
    store: Store, log: Path, left_as: str, status: str
) -> None:
    run = opened(store)
    if left_as != "RUNNING":
        store.client.set_terminated(run.run_id, left_as)
    settle_training_run(store.plan(), run, ended(log, status))
    found = store.client.get_run(run.run_id)
    assert found.info.status == status
    assert found.info.end_time is not None


def test_a_failure_is_told_at_the_top_of_the_runs_page(store: Store, log: Path) -> None:
    run = opened(store, training_run_id=store.training_run())
    happened = "ended with exit code 1: ValueError: x | <y>"
    settled = settle_training_run(store.plan(), run, ended(log, FAILED, 1, happened))
    assert (settled.run_id, settled.notes) == (run.run_id, ())
    tags = store.client.get_run(run.run_id).data.tags
    assert tags["ftbench.training_exit_code"] == "1"
    assert tags["mlflow.note.content"] == (
        "<!-- ftbench:training:begin -->\n"
        "**Training failed: ended with exit code 1: ValueError: x \\| &lt;y&gt;**\n"
        "\n"
        "Nothing was evaluated. What it printed: artifact `training/training.log`.\n"
        "<!-- ftbench:training:end -->\n"
        "\n"
        "My own words."
    )


def test_end_note_of_a_success_takes_an_earlier_failure_away(log: Path) -> None:
    failed = end_note("My own words.", ended(log, FAILED, 1, "first"))
    killed = end_note(failed, ended(log, KILLED, None, "it was interrupted"))
    assert "first" not in killed
    assert "**Training stopped: it was interrupted**" in killed
    assert end_note(killed, ended(log, FINISHED, 0)) == "My own words."


def test_end_note_never_cuts_the_owners_text(log: Path) -> None:
    long = "x" * 7990
    assert end_note(long, ended(log, FAILED, 1, "why")) == long


def test_the_end_of_the_log_is_an_artifact_without_credentials(
    store: Store, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attended, "MAX_LOG_BYTES", log.stat().st_size - 6)
    run = opened(store)
    settle_training_run(store.plan(), run, ended(log, FINISHED, 0))
    got = store.client.download_artifacts(run.run_id, "training/training.log", str(tmp_path))
    assert Path(got).read_text() == "1\nhttp://host/x\n"


def test_a_training_that_chose_its_own_run_keeps_it(store: Store, log: Path) -> None:
    run, own = opened(store), store.training_run("theirs", status="RUNNING")
    end = TrainingEnd(FINISHED, 0, "", log, logged_into=own)
    settled = settle_training_run(store.plan(), run, end)
    found = store.client.get_run(own)
    assert (settled.run_id, settled.experiment_id) == (own, found.info.experiment_id)
    assert found.info.status == "FINISHED"
    assert store.client.get_run(run.run_id).info.lifecycle_stage == "deleted"


@pytest.mark.parametrize("is_used", [True, False])
def test_a_run_that_is_not_ours_or_not_empty_is_never_deleted(
    store: Store, log: Path, is_used: bool
) -> None:
    run = opened(store) if is_used else opened(store, training_run_id=store.training_run("named"))
    store.client.log_param(run.run_id, "x", "1")
    end = TrainingEnd(FAILED, 1, "why", log, logged_into=store.training_run("theirs"))
    settle_training_run(store.plan(), run, end)
    found = store.client.get_run(run.run_id)
    assert (found.info.lifecycle_stage, found.info.status) == ("active", "FAILED")


def test_a_run_of_another_tracker_is_not_taken(store: Store, log: Path) -> None:
    run = opened(store)
    end = TrainingEnd(FINISHED, 0, "", log, logged_into="b" * 32)
    assert settle_training_run(store.plan(), run, end).run_id == run.run_id
    assert store.client.get_run(run.run_id).info.status == "FINISHED"


def test_a_tracker_that_went_away_is_noted_and_stops_nothing(store: Store, log: Path) -> None:
    run = opened(store)
    shutil.copyfile(log, store.folder / "mlflow.db")
    settled = settle_training_run(store.plan(), run, ended(log, FINISHED, 0))
    assert settled.run_id == run.run_id
    (note,) = settled.notes
    assert note.startswith("settling the training run: ")
