"""When a folder counts as complete."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from ftbench.watch.readiness import Readiness, State, what_is_unfit
from tests.checkpoint.folders import cut, make_adapter, make_base, make_shards

SETTLE_S = 30.0


class Clocks:
    """A wall clock that starts now, and a monotonic one that starts at 0."""

    def __init__(self) -> None:
        self.began = time.time()
        self.passed = 0.0

    def readiness(self) -> Readiness:
        return Readiness(SETTLE_S, lambda: self.began + self.passed, lambda: self.passed)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return make_adapter(tmp_path / "checkpoint-1")


def test_marked_folder_is_ready_at_once(clocks: Clocks, adapter: Path) -> None:
    assert clocks.readiness().look(adapter, is_marked=True).state == State.READY


def test_folder_without_a_mark_is_ready_when_nothing_changed(clocks: Clocks, adapter: Path) -> None:
    readiness = clocks.readiness()
    assert readiness.look(adapter, False).state == State.CHANGING
    clocks.passed = SETTLE_S - 1
    assert readiness.look(adapter, False).state == State.CHANGING
    (adapter / "tokenizer.json").write_text("{}")
    clocks.passed = SETTLE_S + 1
    assert readiness.look(adapter, False).state == State.READY


def test_change_that_size_and_time_hide_is_seen(clocks: Clocks, adapter: Path) -> None:
    readiness = clocks.readiness()
    weights = adapter / "adapter_model.safetensors"
    before = readiness.look(adapter, False)
    times = (weights.stat().st_atime_ns, weights.stat().st_mtime_ns)
    weights.write_bytes(weights.read_bytes())
    os.utime(weights, ns=times)
    assert readiness.look(adapter, False).signature != before.signature


def test_folder_from_a_clock_that_is_ahead_settles_by_watching(
    clocks: Clocks, adapter: Path
) -> None:
    clocks.began -= 3600
    readiness = clocks.readiness()
    assert readiness.look(adapter, False).state == State.CHANGING
    clocks.passed = SETTLE_S
    assert readiness.look(adapter, False).state == State.READY


def test_old_folder_is_ready_at_the_first_look(clocks: Clocks, adapter: Path) -> None:
    clocks.began += SETTLE_S + 1
    assert clocks.readiness().look(adapter, False).state == State.READY


def test_log_beside_the_weights_does_not_count(clocks: Clocks, adapter: Path) -> None:
    readiness = clocks.readiness()
    before = readiness.look(adapter, False).signature
    (adapter / "train.log").write_text("step 1")
    assert readiness.look(adapter, False).signature == before


def test_mark_does_not_make_half_a_file_ready(clocks: Clocks, adapter: Path) -> None:
    cut(adapter / "adapter_model.safetensors", 1)
    readiness = clocks.readiness()
    assert readiness.look(adapter, True).state == State.CHANGING
    clocks.passed = SETTLE_S + 1
    look = readiness.look(adapter, True)
    assert look.state == State.BROKEN
    assert look.reason.startswith("adapter_model.safetensors: it is truncated: ")


def test_folder_that_goes_while_it_is_looked_at_is_no_error(clocks: Clocks, tmp_path: Path) -> None:
    assert clocks.readiness().look(tmp_path / "gone", True).state == State.CHANGING


def test_every_prefix_of_an_adapter_is_unfit(adapter: Path) -> None:
    weights = adapter / "adapter_model.safetensors"
    whole = weights.read_bytes()
    assert what_is_unfit(adapter) == ""
    for size in range(0, len(whole), 97):
        weights.write_bytes(whole[:size])
        assert what_is_unfit(adapter) != ""
    weights.write_bytes(whole)
    config = adapter / "adapter_config.json"
    config.write_text(config.read_text()[:-1])
    assert what_is_unfit(adapter) == "adapter_config.json does not parse"


def test_full_model_needs_every_shard_that_its_index_names(tmp_path: Path) -> None:
    folder = make_shards(tmp_path / "full")
    assert what_is_unfit(folder) == ""
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert what_is_unfit(folder) == "model-00002-of-00002.safetensors: it is not there"


def test_index_that_is_still_written_is_unfit(tmp_path: Path) -> None:
    folder = make_base(tmp_path / "full")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model.saf')
    assert what_is_unfit(folder) != ""
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "model.safetensors"}})
    )
    assert what_is_unfit(folder) == ""


def test_pickled_weights_are_looked_at_without_opening_them(tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "old")
    (folder / "adapter_model.safetensors").unlink()
    assert what_is_unfit(folder) == "there are no weights in it yet"
    (folder / "adapter_model.bin").write_bytes(b"PK\x03\x04 half an archive")
    assert what_is_unfit(folder).startswith("adapter_model.bin: it is truncated")
