"""Which models of an output folder are found, in which order, under which identity."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ftbench.checkpoint.kept import keep, list_kept
from ftbench.sidecar import Sidecar, write_sidecar
from ftbench.watch.candidates import Scan
from ftbench.watch.folder import CHECKPOINTS, FINAL, FolderSource, Selection
from ftbench.watch.readiness import Readiness
from tests.checkpoint.folders import cut, lora_tensors, make_adapter, make_base


class Output:
    """An output folder, and what a watcher says of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "out"
        self.path.mkdir()
        self.cache = folder / "hashes.json"
        self.said: list[str] = []

    def write(self, name: str, value: float, marked: bool = True, **sidecar: object) -> Path:
        tensors = {k: np.full_like(v, value) for k, v in lora_tensors().items()}
        folder = make_adapter(self.path / name, tensors)
        if marked:
            write_sidecar(folder, replace(Sidecar(run_id="run1"), **sidecar))  # type: ignore[arg-type]
        return folder

    def source(
        self, selection: Selection | None = None, follows: bool = False, settle_s: float = 1000
    ) -> FolderSource:
        chosen = selection or Selection()
        readiness = Readiness(settle_s)
        return FolderSource(self.path, chosen, readiness, self.cache, follows, self.said.append)

    def scan(self, selection: Selection | None = None, has_ended: bool = False) -> Scan:
        return self.source(selection, follows=has_ended).scan(has_ended)


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(tmp_path)


def names(scan: Scan) -> list[str]:
    return [candidate.name for candidate in scan.ready]


def test_checkpoints_come_in_the_order_of_their_steps(output: Output) -> None:
    for step in (1000, 9, 10, 200):
        output.write(f"checkpoint-{step}", step)
    scan = output.scan()
    assert names(scan) == ["checkpoint-9", "checkpoint-10", "checkpoint-200", "checkpoint-1000"]
    assert scan.ready[0].overrides == (f'model.adapter="{output.path}/checkpoint-9"',)


def test_full_model_is_given_as_base(output: Output) -> None:
    write_sidecar(make_base(output.path / "checkpoint-3"), Sidecar())
    (candidate,) = output.scan().ready
    assert candidate.overrides == (f'model.base="{output.path}/checkpoint-3"',)


def test_unmarked_checkpoint_is_waited_for(output: Output) -> None:
    output.write("checkpoint-1", 1, marked=False)
    assert output.scan() == Scan((), ("checkpoint-1",), ())
    assert names(output.source(settle_s=0).scan(False)) == ["checkpoint-1"]


def test_end_of_training_completes_everything(output: Output) -> None:
    output.write("checkpoint-1", 1, marked=False)
    output.write("", 2, marked=False)
    assert names(output.scan(has_ended=True)) == ["checkpoint-1", "out (final)"]


def test_other_content_is_another_candidate(output: Output) -> None:
    output.write("checkpoint-1", 1)
    source = output.source()
    (before,) = source.scan(False).ready
    assert source.scan(False).ready == (before,)
    output.write("checkpoint-1", 2)
    (after,) = source.scan(False).ready
    assert (after.name, after.key == before.key) == (before.name, False)


def test_same_content_is_one_candidate(output: Output) -> None:
    output.write("checkpoint-1", 1)
    shutil.copytree(output.path / "checkpoint-1", output.path / "checkpoint-2")
    scan = output.scan()
    assert (names(scan), scan.same) == (["checkpoint-1"], ("checkpoint-2",))
    assert output.said == ["checkpoint-2 has the same weights as checkpoint-1: evaluated as one"]


def test_same_content_of_another_training_is_another_candidate(output: Output) -> None:
    output.write("checkpoint-1", 1, run_id="run1")
    output.write("checkpoint-2", 1, run_id="run2")
    assert names(output.scan()) == ["checkpoint-1", "checkpoint-2"]


def test_half_a_checkpoint_is_broken_once_training_has_ended(output: Output) -> None:
    cut(output.write("checkpoint-1", 1) / "adapter_model.safetensors", 5)
    assert output.scan().changing == ("checkpoint-1",)
    ((name, reason),) = output.source(settle_s=0).scan(True).broken
    assert name == "checkpoint-1" and "truncated" in reason


def test_final_model_waits_for_the_sidecar_while_training_lives(output: Output) -> None:
    # Left from an earlier training.
    output.write("", 1, marked=False)
    source = output.source(follows=True, settle_s=0)
    assert names(source.scan(False)) == []
    weights = output.path / "adapter_model.safetensors"
    written = weights.stat().st_mtime
    # The callback leaves it at the end of training, before the script saves its model.
    write_sidecar(output.path, Sidecar(written_at=written + 5))
    assert names(source.scan(False)) == []
    os.utime(weights, (written + 6, written + 6))
    assert names(source.scan(False)) == ["out (final)"]


def test_sidecar_alone_does_not_complete_the_final_model(output: Output) -> None:
    output.write("", 1)
    assert output.scan().changing == ("out (final)",)


def test_take_chooses_kinds(output: Output) -> None:
    output.write("checkpoint-1", 1)
    output.write("", 2)
    assert names(output.scan(Selection(CHECKPOINTS), has_ended=True)) == ["checkpoint-1"]
    assert names(output.scan(Selection(FINAL), has_ended=True)) == ["out (final)"]


def test_last_checkpoint_stands_in_for_a_final_model_that_is_not_there(output: Output) -> None:
    output.write("checkpoint-9", 1)
    output.write("checkpoint-10", 2)
    assert names(output.scan(Selection(FINAL))) == []
    assert names(output.scan(Selection(FINAL), has_ended=True)) == ["checkpoint-10"]
    assert output.said[-1].endswith(
        "holds no final model: its last checkpoint checkpoint-10 is taken"
    )


def test_only_marked_and_every_and_since_choose_checkpoints(output: Output) -> None:
    output.write("checkpoint-10", 1, written_at=100.0, global_step=10)
    output.write("checkpoint-15", 2, written_at=200.0, global_step=15)
    output.write("checkpoint-20", 3, written_at=300.0, global_step=20)
    output.write("checkpoint-30", 4, marked=False)
    every = Selection(every=10, only_marked=True)
    assert names(output.scan(every)) == ["checkpoint-10", "checkpoint-20"]
    assert names(output.scan(Selection(since=200.0, only_marked=True))) == [
        "checkpoint-15",
        "checkpoint-20",
    ]


def test_kept_copy_stands_in_for_a_checkpoint_that_was_rotated_away(output: Output) -> None:
    output.write("checkpoint-2", 2)
    output.write("checkpoint-1", 1)
    source = output.source()
    before = source.scan(False)
    kept = output.path / "_ftbench" / "kept" / "checkpoint-1"
    kept.parent.mkdir(parents=True)
    (output.path / "checkpoint-1").rename(kept)
    after = source.scan(False)
    assert [(c.name, c.key) for c in after.ready] == [(c.name, c.key) for c in before.ready]
    assert after.ready[0].folder == kept


def test_kept_copy_comes_first_while_the_trainer_may_delete_the_checkpoint(
    output: Output,
) -> None:
    checkpoint = output.write("checkpoint-1", 1)
    kept = keep(checkpoint)
    (during,), (after,) = output.scan().ready, output.scan(has_ended=True).ready
    assert (during.folder, after.folder) == (kept, checkpoint)
    assert during.key == after.key


def test_kept_copy_goes_when_its_evaluation_is_finished(output: Output) -> None:
    checkpoint = output.write("checkpoint-1", 1)
    keep(checkpoint)
    source = output.source()
    (candidate,) = source.scan(False).ready
    source.finished(candidate)
    assert list_kept(output.path) == []
    assert checkpoint.is_dir()


def test_folder_that_is_not_there_holds_nothing(output: Output) -> None:
    output.path.rmdir()
    assert output.scan() == Scan()
