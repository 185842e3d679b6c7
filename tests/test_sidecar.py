"""The note beside an adapter: written whole, read back, and never in the way."""

from pathlib import Path

import pytest

from ftbench.checkpoint import hash_model, hash_weights
from ftbench.sidecar import SIDECAR, Sidecar, read_sidecar, write_sidecar
from tests.checkpoint.folders import make_adapter, make_base

SIDECAR_OF_RUN = Sidecar("ab12", "http://mlflow:5000", "7", 500, "Qwen/Qwen2-1.5B", 1.5)


def test_a_sidecar_comes_back_as_it_was(weird_tmp_path: Path) -> None:
    folder = weird_tmp_path / "out"
    assert write_sidecar(folder, SIDECAR_OF_RUN) == folder / "ftbench_training.json"
    assert read_sidecar(folder) == SIDECAR_OF_RUN


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"global_step": "many"}', "\xff"])
def test_a_sidecar_that_cannot_be_read_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / SIDECAR).write_bytes(text.encode("latin-1"))
    assert read_sidecar(tmp_path) is None


def test_a_sidecar_of_another_version_keeps_what_is_known(tmp_path: Path) -> None:
    (tmp_path / SIDECAR).write_text('{"run_id": "ab12", "of_tomorrow": 1}')
    assert read_sidecar(tmp_path) == Sidecar(run_id="ab12")


def test_a_sidecar_is_no_part_of_a_models_identity(tmp_path: Path) -> None:
    adapter, base = make_adapter(tmp_path / "out"), make_base(tmp_path / "base")
    cache = tmp_path / "hashes.json"
    before = hash_weights(adapter, cache), hash_model(base, cache)
    for folder in (adapter, base):
        write_sidecar(folder, SIDECAR_OF_RUN)
        (folder / "trainer_state.json").write_text('{"global_step": 3}')
    assert (hash_weights(adapter, cache), hash_model(base, cache)) == before
