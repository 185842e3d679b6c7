"""From an adapter to its training run and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ftbench.config import Config, TrackingConf
from ftbench.errors import PreflightError
from ftbench.sidecar import Sidecar, write_sidecar
from ftbench.training_link import link_training
from tests.checkpoint.folders import make_adapter
from tests.surroundings import make_config, make_host
from tests.tracking.conftest import Store


def config_for(adapter: Path | str, **tracking: Any) -> Config:
    return make_config(model__adapter=str(adapter), tracking=TrackingConf(**tracking))


def sidecar_of(store: Store, folder: Path, step: int | None = 30) -> str:
    run_id = store.training_run()
    write_sidecar(folder, Sidecar(run_id, store.uri, global_step=step))
    return run_id


def test_a_sidecar_sets_run_store_and_step(store: Store, tmp_path: Path) -> None:
    run_id = sidecar_of(store, make_adapter(tmp_path / "out"))
    linked = link_training(config_for("out"), make_host(tmp_path))
    conf = linked.config.tracking
    assert (conf.uri, conf.training_run_id, conf.step) == (store.uri, run_id, 30)
    assert linked.notes == ()


def test_what_the_user_says_wins_over_the_sidecar(store: Store, tmp_path: Path) -> None:
    sidecar_of(store, make_adapter(tmp_path / "out"))
    given = {"uri": store.uri, "training_run_id": "mine", "step": 5}
    linked = link_training(config_for("out", **given), make_host(tmp_path))
    conf = linked.config.tracking
    assert (conf.uri, conf.training_run_id, conf.step) == (store.uri, "mine", 5)


def test_a_run_of_another_tracker_is_not_linked_and_said_so(store: Store, tmp_path: Path) -> None:
    run_id = sidecar_of(store, make_adapter(tmp_path / "out"))
    linked = link_training(config_for("out", uri="http://other:5000"), make_host(tmp_path))
    assert linked.config.tracking.training_run_id is None
    assert linked.notes == (
        f"The adapter's training run {run_id} is in {store.uri}, the scores go to "
        f"http://other:5000: they are not linked (tracking.uri={store.uri} links them).",
    )


def test_a_training_run_that_is_gone_is_no_obstacle(store: Store, tmp_path: Path) -> None:
    run_id = sidecar_of(store, make_adapter(tmp_path / "out"))
    store.client.delete_run(run_id)
    linked = link_training(config_for("out"), make_host(tmp_path))
    assert linked.config.tracking.training_run_id is None
    (note,) = linked.notes
    assert note.startswith(f"{store.uri} has no training run {run_id}")


def test_nothing_is_asked_when_nothing_is_recorded(tmp_path: Path) -> None:
    write_sidecar(make_adapter(tmp_path / "out"), Sidecar("ab12", "http://nowhere:1"))
    config = config_for("out", name="none")
    assert link_training(config, make_host(tmp_path)).config == config


def test_a_training_run_names_its_adapter(store: Store, tmp_path: Path) -> None:
    out = make_adapter(tmp_path / "out")
    run_id = store.training_run()
    store.client.log_param(run_id, "output_dir", str(out))
    linked = link_training(config_for(f"runs:/{run_id}", uri=store.uri), make_host(tmp_path))
    assert linked.config.model.adapter == str(out)
    assert linked.config.tracking.training_run_id == run_id


def test_a_checkpoint_of_a_training_run_has_its_own_step(store: Store, tmp_path: Path) -> None:
    for step in (10, 20):
        make_adapter(tmp_path / "out" / f"checkpoint-{step}")
    run_id = store.training_run()
    store.client.log_param(run_id, "output_dir", str(tmp_path / "out"))

    def linked(name: str) -> Config:
        return link_training(config_for(name, uri=store.uri), make_host(tmp_path)).config

    first = linked(f"runs:/{run_id}/checkpoint-10")
    assert first.model.adapter == str(tmp_path / "out" / "checkpoint-10")
    assert first.tracking.step == 10
    assert linked(f"runs:/{run_id}").tracking.step == 20


def test_an_adapter_among_the_artifacts_is_brought_into_the_cache(
    store: Store, tmp_path: Path
) -> None:
    run_id = store.training_run()
    store.client.log_artifacts(run_id, str(make_adapter(tmp_path / "gone")), "adapter")
    host = make_host(tmp_path)
    linked = link_training(config_for(f"runs:/{run_id}", uri=store.uri), host)
    folder = host.cache_dir / "adapters" / run_id / "adapter"
    assert linked.config.model.adapter == str(folder)
    assert (folder / "adapter_model.safetensors").is_file()


def test_a_run_that_leads_to_no_model_stops_with_the_reason(store: Store, tmp_path: Path) -> None:
    run_id = store.training_run()
    with pytest.raises(PreflightError) as caught:
        link_training(config_for(f"runs:/{run_id}", uri=store.uri), make_host(tmp_path))
    assert str(caught.value) == (
        "Preflight stopped the run before anything was started\n"
        f"model.adapter=runs:/{run_id}: no adapter of the run lora r16 is found: it names no "
        "output folder and has no adapter among its artifacts\n"
        "  try: model.adapter=DIR"
    )


def test_an_unknown_checkpoint_lists_those_there_are(store: Store, tmp_path: Path) -> None:
    make_adapter(tmp_path / "out" / "checkpoint-10")
    run_id = store.training_run()
    store.client.log_param(run_id, "output_dir", str(tmp_path / "out"))
    config = config_for(f"runs:/{run_id}/checkpoint-11", uri=store.uri)
    with pytest.raises(PreflightError, match="one of its checkpoints: checkpoint-10"):
        link_training(config, make_host(tmp_path))


def test_an_unknown_run_is_told_by_the_users_own_words(store: Store, tmp_path: Path) -> None:
    config = config_for(f"runs:/{'0' * 32}", uri=store.uri)
    with pytest.raises(PreflightError, match=f"model.adapter=runs:/{'0' * 32}: "):
        link_training(config, make_host(tmp_path))
