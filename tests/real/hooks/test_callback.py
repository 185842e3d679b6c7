"""A real Trainer with the callback: its model is evaluated when it has ended, by itself."""

from __future__ import annotations

import pytest

from ftbench.checkpoint import holds_adapter
from ftbench.checkpoint.kept import list_kept
from ftbench.sidecar import read_sidecar
from tests.real.conftest import Demo
from tests.real.hooks.conftest import Train, Trained

pytestmark = [pytest.mark.opencompass, pytest.mark.slow]


@pytest.fixture(scope="module")
def trained(demo: Demo, train: Train) -> Trained:
    """Four steps, of whose two checkpoints the first is deleted before its turn."""
    settings = ["baseline=none", "limit=2", "runtime=local", "backend.max_out_len=8"]
    trained = train(
        {
            "base": str(demo.base),
            "training": {"max_steps": 4, "save_steps": 2, "save_total_limit": 1},
            "callback": {
                "datasets": ["gsm8k"],
                "settings": [*settings, f"data_dir={demo.folder / 'data'}"],
                "at": "both",
            },
            "evaluate": True,
        }
    )
    trained.wait_until_watched(r"^\[.*\] \d+ evaluated")
    return trained


def test_each_model_is_evaluated_once(trained: Trained) -> None:
    # The final model is the last checkpoint's, byte for byte.
    assert trained.watched.splitlines()[-1].endswith("] 2 evaluated"), trained.watched
    names = [run.info.run_name.partition(" ")[0] for run in trained.runs("eval")]
    assert names == ["out/checkpoint-2", "out/checkpoint-4"]


def test_a_deleted_checkpoint_is_evaluated_and_let_go(trained: Trained) -> None:
    assert not (trained.output / "checkpoint-2").exists()
    assert list_kept(trained.output) == []


def test_benchmark_runs_are_linked_to_the_training_run(trained: Trained) -> None:
    (training,) = trained.runs("train")
    links = [run.data.tags["ftbench.train_run_id"] for run in trained.runs("eval")]
    assert links == [training.info.run_id] * 2


def test_scores_stand_on_the_training_run_at_the_steps_of_the_checkpoints(
    trained: Trained,
) -> None:
    (training,) = trained.runs("train")
    history = trained.client.get_metric_history(training.info.run_id, "bench/gsm8k")
    assert [metric.step for metric in history] == [2, 4]
    scores = [run.data.metrics["bench/gsm8k"] for run in trained.runs("eval")]
    assert [metric.value for metric in history] == scores


def test_the_training_runs_own_records_are_untouched(trained: Trained) -> None:
    (training,) = trained.runs("train")
    assert training.info.status == "FINISHED"
    losses = trained.client.get_metric_history(training.info.run_id, "loss")
    assert [metric.step for metric in losses] == [1, 2, 3, 4]
    assert training.data.params["max_steps"] == "4"


def test_the_run_that_an_evaluation_after_the_training_opens_gets_no_scores(
    trained: Trained,
) -> None:
    (stray,) = trained.runs("")
    assert "bench/gsm8k" not in stray.data.metrics


@pytest.mark.parametrize("name", ["", "checkpoint-4"])
def test_notes_say_where_the_models_come_from(trained: Trained, demo: Demo, name: str) -> None:
    (training,) = trained.runs("train")
    folder = trained.output / name
    sidecar = read_sidecar(folder)
    assert sidecar is not None
    assert holds_adapter(folder)
    assert sidecar.run_id == training.info.run_id
    assert sidecar.experiment_id == training.info.experiment_id
    assert sidecar.tracking_uri == f"sqlite:///{trained.folder / 'mlflow.db'}"
    assert (sidecar.global_step, sidecar.base_model) == (4, str(demo.base))


def test_the_training_run_names_its_output_folder(trained: Trained) -> None:
    (training,) = trained.runs("train")
    assert training.data.tags["ftbench.output_dir"] == str(trained.output)


def test_the_trainer_says_where_the_evaluation_is_followed(trained: Trained) -> None:
    log = trained.output / "_ftbench" / "watch.log"
    line = f"ftbench: {trained.output} is evaluated when this process has ended; log: {log}"
    assert trained.printed.count(line) == 1
