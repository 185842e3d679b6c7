"""What counts as weights written by a training."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from ftbench.training.weights import models_at, models_written, weights_in, written_between
from tests.checkpoint.folders import make_adapter, make_base, make_shards


def changed(folder: Path, before: dict[str, tuple[int, int, int, int]]) -> list[str]:
    return written_between(before, weights_in(folder, is_adapter=True))


def test_a_new_adapter_is_written(tmp_path: Path) -> None:
    before = weights_in(tmp_path / "out", is_adapter=True)
    assert before == {}
    make_adapter(tmp_path / "out")
    assert changed(tmp_path / "out", before) == ["adapter_model.safetensors"]


def test_an_adapter_that_only_lies_there_is_not_written(tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "out")
    before = weights_in(folder, is_adapter=True)
    (folder / "adapter_config.json").write_text("{}")
    assert changed(folder, before) == []


@pytest.mark.parametrize("way", ["in place", "new file", "copy with its times", "older file"])
def test_an_adapter_of_the_same_bytes_is_written(tmp_path: Path, way: str) -> None:
    folder = make_adapter(tmp_path / "out")
    weights = folder / "adapter_model.safetensors"
    source = shutil.copy2(weights, tmp_path / "source")
    before = weights_in(folder, is_adapter=True)
    time.sleep(0.02)  # the file system's clock moves in steps
    if way == "in place":
        weights.write_bytes(weights.read_bytes())
    elif way == "new file":
        Path(shutil.copy(source, tmp_path / "new")).replace(weights)
    elif way == "copy with its times":
        shutil.copy2(source, weights)
    else:
        os.utime(source, (0, 0))
        shutil.copy2(source, weights)
    assert changed(folder, before) == ["adapter_model.safetensors"]


def test_weights_of_a_full_model_are_all_its_shards(tmp_path: Path) -> None:
    names = weights_in(make_shards(tmp_path / "model"), is_adapter=False)
    assert sorted(names) == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]


def test_a_link_that_leads_nowhere_has_no_weights(tmp_path: Path) -> None:
    (tmp_path / "adapter_model.safetensors").symlink_to(tmp_path / "nowhere")
    assert weights_in(tmp_path, is_adapter=True) == {}


def test_models_written_finds_checkpoints_in_natural_order_and_nothing_old(tmp_path: Path) -> None:
    make_adapter(tmp_path / "runs" / "old")
    places = [tmp_path, tmp_path / "runs"]
    before = models_at(places)
    for step in (10, 9):
        make_adapter(tmp_path / "runs" / f"checkpoint-{step}")
    make_base(tmp_path / "runs" / "deep" / "full")
    make_adapter(tmp_path / ".cache" / "checkpoint-1")
    found = models_written(before, places)
    names = [str(folder.relative_to(tmp_path)) for folder in found]
    assert names == ["runs/checkpoint-9", "runs/checkpoint-10", "runs/deep/full"]
    assert models_written(models_at(places), places) == []
