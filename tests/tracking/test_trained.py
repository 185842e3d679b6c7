"""Training runs and their adapters, in a real store."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftbench import tracking
from ftbench.errors import TrackingError
from ftbench.sidecar import Sidecar, write_sidecar
from tests.checkpoint.folders import make_adapter
from tests.tracking.conftest import Store


def trained_into(store: Store, output: Path | str, **more: str) -> str:
    run_id = store.training_run(**more)
    store.client.log_param(run_id, "output_dir", str(output))
    return run_id


def test_a_runs_adapter_is_in_its_output_folder(store: Store, tmp_path: Path) -> None:
    out = make_adapter(tmp_path / "out")
    run_id = trained_into(store, out)
    found = tracking.get_trained(store.uri, run_id)
    assert (found.run_id, found.name, found.status) == (run_id, "lora r16", "FINISHED")
    assert (found.output, found.folder, found.artifact, found.why_not) == (out, out, "", "")


def test_a_folder_of_checkpoints_means_the_last_one(store: Store, tmp_path: Path) -> None:
    for step in (9, 10):
        make_adapter(tmp_path / "out" / f"checkpoint-{step}")
    found = tracking.get_trained(store.uri, trained_into(store, tmp_path / "out"))
    assert found.folder == tmp_path / "out" / "checkpoint-10"


def test_a_folder_that_another_run_wrote_since_is_refused(store: Store, tmp_path: Path) -> None:
    out = make_adapter(tmp_path / "out")
    run_id = trained_into(store, out)
    write_sidecar(out, Sidecar(run_id="another"))
    found = tracking.get_trained(store.uri, run_id)
    assert found.folder is None
    assert found.why_not == f"the run another wrote into {out} since"


def test_a_relative_folder_counts_only_with_the_runs_own_sidecar(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = make_adapter(tmp_path / "out")
    run_id = trained_into(store, "out")
    assert "is relative" in tracking.get_trained(store.uri, run_id).why_not
    write_sidecar(out, Sidecar(run_id=run_id))
    assert tracking.get_trained(store.uri, run_id).folder == out


@pytest.mark.parametrize(
    ("output", "why_not"),
    [
        ("/nowhere/out", "its output folder /nowhere/out is not on this machine"),
        (None, "it names no output folder and has no adapter among its artifacts"),
    ],
)
def test_a_run_without_an_adapter_says_why(store: Store, output: str | None, why_not: str) -> None:
    run_id = trained_into(store, output) if output else store.training_run()
    found = tracking.get_trained(store.uri, run_id)
    assert (found.folder, found.artifact, found.why_not) == (None, "", why_not)


def test_an_adapter_among_the_artifacts_is_found_and_brought_once(
    store: Store, tmp_path: Path
) -> None:
    run_id = store.training_run()
    for step in (9, 10):
        adapter = make_adapter(tmp_path / "gone" / f"checkpoint-{step}")
        store.client.log_artifacts(run_id, str(adapter), f"checkpoint-{step}")
    found = tracking.get_trained(store.uri, run_id)
    assert found.artifact == f"runs:/{run_id}/checkpoint-10"
    target = tmp_path / "cache" / "checkpoint-10"
    assert tracking.bring(store.uri, found.artifact, target) == target
    assert sorted(path.name for path in target.iterdir()) == sorted(
        path.name for path in adapter.iterdir()
    )
    (target / "mark").write_text("")
    tracking.bring(store.uri, found.artifact, target)
    assert (target / "mark").exists()
    assert [path.name for path in target.parent.iterdir()] == ["checkpoint-10"]


def test_find_trained_takes_finished_training_runs_in_order(store: Store, tmp_path: Path) -> None:
    good = trained_into(store, make_adapter(tmp_path / "good"))
    store.training_run(status="FAILED")
    worse = trained_into(store, make_adapter(tmp_path / "worse"))
    store.client.log_metric(worse, "loss", 2.0, step=9)
    own = store.training_run()
    store.client.set_tag(own, "ftbench.kind", "eval")

    def found(**how: str) -> list[str]:
        return [run.run_id for run in tracking.find_trained(store.uri, "sft", **how)]

    assert found() == [good, worse]
    assert found(order_by="metrics.loss DESC") == [worse, good]
    assert found(where="metrics.loss < 1") == [good]


@pytest.mark.parametrize(
    ("experiment", "where", "said"),
    [
        ("nowhere", "", "has no experiment of this name"),
        ("sft", "metrics.loss <", "Invalid"),
    ],
)
def test_what_cannot_be_found_is_one_clear_error(
    store: Store, experiment: str, where: str, said: str
) -> None:
    store.training_run()
    with pytest.raises(TrackingError, match=said):
        tracking.find_trained(store.uri, experiment, where)


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/nowhere.db"
    with pytest.raises(TrackingError, match=r"there is no database .*nowhere\.db"):
        tracking.get_trained(uri, "ab12")
    assert not tracking.is_active(uri, "ab12")
    assert list(tmp_path.iterdir()) == []


def test_a_deleted_run_is_not_active(store: Store) -> None:
    run_id = store.training_run()
    assert tracking.is_active(store.uri, run_id)
    store.client.delete_run(run_id)
    assert not tracking.is_active(store.uri, run_id)
    assert not tracking.is_active(store.uri, "0" * 32)
