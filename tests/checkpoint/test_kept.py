"""Checkpoints outlive their deletion by the trainer, without a copy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ftbench.checkpoint import hash_weights, holds_adapter
from ftbench.checkpoint.kept import keep, list_kept, origin, release
from tests.checkpoint.folders import make_adapter


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = make_adapter(tmp_path / "out" / "checkpoint-500")
    for name in ("optimizer.pt", "rng_state.pth", "training_args.bin"):
        (folder / name).write_bytes(b"state")
    (folder / "trainer_state.json").write_text('{"global_step": 500}')
    return folder


def test_keep_links_what_an_evaluation_needs(checkpoint: Path) -> None:
    kept = keep(checkpoint)
    assert kept == checkpoint.parent / "_ftbench" / "kept" / "checkpoint-500"
    names = {"adapter_config.json", "adapter_model.safetensors", "trainer_state.json"}
    assert {path.name for path in kept.iterdir()} == names
    weights = "adapter_model.safetensors"
    assert (kept / weights).stat().st_ino == (checkpoint / weights).stat().st_ino


def test_keep_outlives_the_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    before = hash_weights(checkpoint, tmp_path / "hashes.json")
    kept = keep(checkpoint)
    shutil.rmtree(checkpoint)
    assert hash_weights(kept, tmp_path / "hashes.json") == before


def test_keep_takes_the_later_of_two_checkpoints_of_one_step(checkpoint: Path) -> None:
    keep(checkpoint)
    shutil.rmtree(checkpoint)
    make_adapter(checkpoint, r=4)
    assert '"r": 4' in (keep(checkpoint) / "adapter_config.json").read_text()


def test_keep_copies_where_the_file_system_has_no_links(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    assert holds_adapter(keep(checkpoint))


def test_list_kept_counts_as_people_do(checkpoint: Path) -> None:
    keep(checkpoint)
    keep(make_adapter(checkpoint.with_name("checkpoint-1000")))
    names = [path.name for path in list_kept(checkpoint.parent)]
    assert names == ["checkpoint-500", "checkpoint-1000"]


def test_release_deletes_what_was_kept_and_nothing_else(checkpoint: Path) -> None:
    kept = keep(checkpoint)
    release(checkpoint)
    release(kept)
    assert holds_adapter(checkpoint)
    assert not kept.exists()


def test_origin_of_a_kept_checkpoint_is_where_the_trainer_had_it(checkpoint: Path) -> None:
    assert origin(keep(checkpoint)) == checkpoint
    assert origin(checkpoint) == checkpoint
