"""TRL under torchrun, with an evaluation that cannot be: the training knows nothing of it."""

from __future__ import annotations

import json
import os
import signal

import pytest

from ftbench.checkpoint import holds_adapter
from ftbench.sidecar import read_sidecar
from tests.real.conftest import Demo
from tests.real.hooks.conftest import Train, Trained

pytestmark = [pytest.mark.opencompass, pytest.mark.slow]

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


@pytest.fixture(scope="module")
def trained(demo: Demo, train: Train, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    nowhere = tmp_path_factory.mktemp("no data")
    trained = train(
        {
            "base": str(demo.base),
            "trl": True,
            "training": {"max_steps": 1, "save_strategy": "no", "report_to": "none"},
            "callback": {
                "datasets": ["gsm8k"],
                "settings": ["runtime=local", "download=false", f'data_dir="{nowhere}"'],
            },
        },
        *TORCHRUN,
    )
    trained.wait_until_watched(r"failed with exit code 3; next try")
    (watcher,) = trained.output.glob("_ftbench/watch-*/watcher.json")
    os.kill(json.loads(watcher.read_text())["pid"], signal.SIGTERM)
    trained.wait_until_watched(r"^\[.*\] stopped")
    return trained


def test_one_process_of_the_training_has_the_model_evaluated(trained: Trained) -> None:
    assert trained.printed.count("is evaluated when this process has ended") == 1
    assert trained.watched.count("] following ") == 1


def test_the_log_says_what_is_missing(trained: Trained) -> None:
    assert "data/gsm8k" in trained.watched


def test_the_training_leaves_its_model_and_the_note(trained: Trained) -> None:
    assert holds_adapter(trained.output)
    sidecar = read_sidecar(trained.output)
    assert sidecar is not None
    assert (sidecar.run_id, sidecar.global_step) == ("", 1)
