"""Folders of a trainer: which hold weights, in which order, of which step."""

import json
from pathlib import Path

from ftbench.checkpoint import global_step_of, holds_adapter, holds_model, list_checkpoints
from ftbench.sidecar import Sidecar, write_sidecar
from tests.checkpoint.folders import make_adapter, make_base


def test_a_folder_holds_a_model_only_with_its_weights(tmp_path: Path) -> None:
    adapter, base = make_adapter(tmp_path / "out"), make_base(tmp_path / "base")
    assert holds_adapter(adapter)
    assert not holds_adapter(base)
    assert holds_model(adapter)
    assert holds_model(base)
    (adapter / "adapter_model.safetensors").unlink()
    for weights in base.glob("*.safetensors"):
        weights.unlink()
    assert not holds_model(adapter)
    assert not holds_model(base)
    assert not holds_model(tmp_path / "nowhere")


def test_checkpoints_are_listed_as_people_count(tmp_path: Path) -> None:
    for name in ("checkpoint-10", "checkpoint-9", "checkpoint-100", "final"):
        make_adapter(tmp_path / name)
    (tmp_path / "checkpoint-11").mkdir()
    names = [path.name for path in list_checkpoints(tmp_path)]
    assert names == ["checkpoint-9", "checkpoint-10", "checkpoint-100", "final"]
    assert list_checkpoints(tmp_path / "nowhere") == []


def test_the_step_is_the_sidecars_else_the_trainers_else_the_names(tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "checkpoint-500")
    assert global_step_of(folder) == 500
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 501}))
    assert global_step_of(folder) == 501
    write_sidecar(folder, Sidecar(global_step=502))
    assert global_step_of(folder) == 502


def test_a_folder_that_says_no_step_has_none(tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "lora-r16")
    (folder / "trainer_state.json").write_text("{")
    assert global_step_of(folder) is None
