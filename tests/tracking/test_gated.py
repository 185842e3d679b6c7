"""A gate's decision on its benchmark run, and the alias that moves when a model passes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ftbench.errors import TrackingError
from ftbench.tracking import record
from ftbench.tracking.gated import move_alias, record_gate
from tests.tracking.conftest import Store
from tests.tracking_fixtures import gsm8k, make_adapter, make_run_folder, result_of

pytestmark = pytest.mark.slow


def evaluated(store: Store, name: str, weights: str) -> str:
    """Id of the benchmark run of an adapter of these bytes."""
    result = replace(result_of(gsm8k()), fingerprint=weights * 32)
    folder = make_run_folder(
        store.folder / f"workspace-{name}", store.plan(), result, make_adapter(store.folder / name)
    )
    parts = {"adapter_sha256": weights * 32, "base": "ba" * 32}
    return record(replace(folder.plan, fingerprint_parts=parts), result).run_id


def version_of(store: Store, alias: str) -> str:
    return str(store.client.get_model_version_by_alias("poet", alias).version)


def test_record_gate_replaces_an_earlier_decision(store: Store) -> None:
    run_id = evaluated(store, "a", "aa")
    record_gate(store.uri, run_id, {"ftbench.gate": "BREACH"}, json.dumps({"outcome": "BREACH"}))
    record_gate(store.uri, run_id, {"ftbench.gate": "PASS"}, json.dumps({"outcome": "PASS"}))
    run = store.client.get_run(run_id)
    assert run.data.tags["ftbench.gate"] == "PASS"
    document = store.client.download_artifacts(run_id, "gate.json")
    assert json.loads(Path(document).read_text()) == {"outcome": "PASS"}


def test_record_gate_never_writes_a_password(store: Store) -> None:
    run_id = evaluated(store, "a", "aa")
    record_gate(store.uri, run_id, {"ftbench.gate_reasons": "http://me:secret@host/x"}, "{}")
    assert "secret" not in store.client.get_run(run_id).data.tags["ftbench.gate_reasons"]


def test_record_gate_says_that_a_run_is_not_there(store: Store) -> None:
    with pytest.raises(TrackingError, match="recording the gate's decision"):
        record_gate(store.uri, "0" * 32, {"ftbench.gate": "PASS"}, "{}")


def test_the_alias_moves_to_a_version_of_the_evaluated_weights(store: Store) -> None:
    first, second = evaluated(store, "a", "aa"), evaluated(store, "b", "bb")
    said = move_alias(store.uri, first, "poet", "champion")
    assert said == "poet@champion is version 1 now (it was unset)"
    assert move_alias(store.uri, second, "poet", "champion") == (
        "poet@champion is version 2 now (it was 1)"
    )
    made = store.client.get_model_version("poet", "2")
    (model,) = store.client.get_run(second).inputs.model_inputs
    assert made.source == store.client.get_logged_model(model.model_id).artifact_location
    assert made.tags["ftbench.weights"] == "bb" * 32
    assert made.tags["ftbench.adapter"] == str(store.folder / "b")
    # Back to weights that have a version.
    assert move_alias(store.uri, first, "poet", "champion").endswith("version 1 now (it was 2)")
    assert version_of(store, "champion") == "1"


def test_the_alias_stays_where_it_is(store: Store) -> None:
    run_id = evaluated(store, "a", "aa")
    move_alias(store.uri, run_id, "poet", "champion")
    move_alias(store.uri, run_id, "poet", "tested")
    said = move_alias(store.uri, run_id, "poet", "champion")
    assert said == "poet@champion is version 1 already"
    assert len(store.client.search_model_versions("name='poet'")) == 1


def test_a_version_of_the_training_run_may_be_another_checkpoint(store: Store) -> None:
    run_id = evaluated(store, "a", "aa")
    store.client.create_registered_model("poet")
    store.client.create_model_version("poet", source=str(store.folder), run_id=run_id)
    assert move_alias(store.uri, run_id, "poet", "champion").startswith(
        "poet@champion is version 2"
    )


def test_a_version_that_names_the_weights_is_taken(store: Store) -> None:
    run_id = evaluated(store, "a", "aa")
    store.client.create_registered_model("poet")
    store.client.create_model_version("poet", source=str(store.folder), run_id=run_id)
    store.client.set_model_version_tag("poet", "1", "ftbench.weights", "aa" * 32)
    assert move_alias(store.uri, run_id, "poet", "champion").startswith(
        "poet@champion is version 1"
    )


def test_a_name_with_a_quote_is_a_name(store: Store) -> None:
    run_id = evaluated(store, "a", "aa")
    for _ in range(2):
        move_alias(store.uri, run_id, "poet's", "champion")
    assert len(store.client.search_model_versions('name="poet\'s"')) == 1


def test_full_models_are_told_apart_by_all_their_bytes(store: Store) -> None:
    ids = []
    for number, digest in enumerate(("ab" * 32, "ab" * 16 + "cd" * 16)):
        result = replace(result_of(gsm8k()), fingerprint=f"{number:02d}" * 32)
        folder = make_run_folder(store.folder / f"full-{number}", store.plan(), result)
        parts = {"adapter_sha256": "", "base": digest}
        run_id = record(replace(folder.plan, fingerprint_parts=parts), result).run_id
        store.client.set_tag(run_id, "ftbench.base_sha256", digest)
        ids.append(run_id)
    said = [move_alias(store.uri, run_id, "poet", "champion") for run_id in ids]
    assert said[1] == "poet@champion is version 2 now (it was 1)"
    # A name is no identity: two such runs never share a version.
    store.client.set_tag(ids[0], "ftbench.base_sha256", "tiny/base-model")
    assert move_alias(store.uri, ids[0], "poet", "champion").startswith(
        "poet@champion is version 3"
    )
