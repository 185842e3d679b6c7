"""SIGKILL at random moments, again and again: nothing is lost, mixed up, or left behind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from killing import (
    BOTH,
    LAUNCHER,
    Damage,
    Evaluation,
    Killer,
    damage,
    make_counted_model,
    write_race,
)

from tests.real.evaluation.conftest import ROOT

pytestmark = pytest.mark.slow

BATCH_SIZE = 2


@pytest.fixture(autouse=True)
def own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands run in folders from which Python would find an installed ftbench only."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def kill(
    checkpoints: Path, folder: Path, kills: int, seed: int, *settings: str
) -> tuple[Killer, Damage]:
    model = make_counted_model(checkpoints / "base", folder / "counted", delay_s=0.5)
    write_race(folder, 6)
    command = (
        *(sys.executable, "-m", "ftbench.run", "runtime=local", "runtime.num_gpus=0"),
        "baseline=none",
        *(f"model.base={model}", "model.trust_remote_code=true", f"data_dir={folder}"),
        *(f"backend.batch_size={BATCH_SIZE}", "backend.max_out_len=8", *settings),
    )
    undisturbed = Evaluation(command, folder / "undisturbed")
    assert undisturbed.run() == 0, undisturbed.printed
    killer = Killer(Evaluation(command, folder / "killed"), kills, len(undisturbed.asked), seed)
    assert killer.run() == 0, killer.evaluation.printed
    return killer, damage(killer.evaluation, undisturbed, kills, BATCH_SIZE)


def test_killed_generation_ends_as_an_undisturbed_one(checkpoints: Path, tmp_path: Path) -> None:
    killer, found = kill(checkpoints, tmp_path, 4, 1, "datasets=[race]")
    assert {each.target for each in killer.done} >= {LAUNCHER, BOTH}
    assert any(each.asked > 0 for each in killer.done)
    assert found == Damage((), False, found.asked_again, 4 * BATCH_SIZE, ())
    assert found.asked_again <= found.bound


def test_killed_likelihood_and_runs_end_as_undisturbed_ones(
    checkpoints: Path, tmp_path: Path
) -> None:
    settings = ("datasets=[race,race:ppl]", "num_runs=2")
    killer, found = kill(checkpoints, tmp_path, 3, 2, *settings)
    assert any(each.asked > 0 for each in killer.done)
    assert found == Damage((), False, found.asked_again, 3 * BATCH_SIZE, ())
    assert found.asked_again <= found.bound
