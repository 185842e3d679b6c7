"""What the callback does at each event of a training, with transformers' part played here."""

from __future__ import annotations

import importlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ftbench.checkpoint.kept import kept_folder
from ftbench.sidecar import read_sidecar
from ftbench.tracking.active import ActiveRun
from tests.checkpoint.folders import make_adapter, make_base

RUN = ActiveRun("run-1", "7", "http://mlflow:5000")


@dataclass
class Follower:
    """A process that evaluates, as ``Popen`` shows it."""

    command: list[str]
    environment: Mapping[str, str]
    pid: int
    returncode: int | None = None

    def poll(self) -> int | None:
        return self.returncode


@dataclass
class Training:
    """A trainer's events, one call each.

    Attributes:
        followers: What was started.
    """

    hooks: ModuleType
    folder: Path
    followers: list[Follower] = field(default_factory=list)
    limit: int | None = None
    is_first: bool = True

    def begin(self, callback: Any, **state: Any) -> None:
        model = SimpleNamespace(
            peft_config={"default": SimpleNamespace(base_model_name_or_path="Qwen/Qwen3-8B")},
            config=SimpleNamespace(_name_or_path="elsewhere"),
        )
        callback.on_train_begin(self._args(), self._state(0, **state), None, model=model)

    def save(self, callback: Any, step: int, make: Callable[..., Path] = make_adapter) -> Path:
        checkpoint = make(self.folder / f"checkpoint-{step}")
        callback.on_save(self._args(), self._state(step), None)
        return checkpoint

    def end(self, callback: Any, step: int) -> None:
        callback.on_train_end(self._args(), self._state(step), None)

    def _args(self) -> SimpleNamespace:
        return SimpleNamespace(output_dir=str(self.folder), save_total_limit=self.limit)

    def _state(self, step: int, **other: Any) -> SimpleNamespace:
        return SimpleNamespace(is_world_process_zero=self.is_first, global_step=step, **other)


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    transformers = ModuleType("transformers")
    transformers.TrainerCallback = type("TrainerCallback", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "transformers", transformers)
    monkeypatch.delitem(sys.modules, "ftbench.hooks", raising=False)
    yield importlib.import_module("ftbench.hooks")
    del sys.modules["ftbench.hooks"]


@pytest.fixture
def training(hooks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Training:
    training = Training(hooks, tmp_path / "out")

    def start(command: Sequence[str], environment: Mapping[str, str], *_: object) -> Follower:
        pid = 9000 + len(training.followers)
        training.followers.append(Follower(list(command), environment, pid))
        return training.followers[-1]

    monkeypatch.setattr(hooks, "check_settings", lambda *_: None)
    monkeypatch.setattr(hooks, "start_follower", start)
    monkeypatch.setattr(hooks, "active_run", lambda *_: RUN)
    monkeypatch.setattr(hooks, "note_output_dir", lambda *_: None)
    return training


def test_the_end_of_a_training_is_marked_and_followed_once(training: Training) -> None:
    callback = training.hooks.BenchmarkCallback(["mmlu"])
    training.begin(callback)
    training.save(callback, 5)
    assert training.followers == []
    training.end(callback, 10)
    (follower,) = training.followers
    assert follower.command[3:7] == [
        "ftbench.watch",
        str(training.folder),
        "--after-exit-of",
        str(os.getpid()),
    ]
    assert follower.environment["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    sidecar = read_sidecar(training.folder)
    assert sidecar is not None
    assert (sidecar.run_id, sidecar.tracking_uri, sidecar.experiment_id) == (
        "run-1",
        "http://mlflow:5000",
        "7",
    )
    assert (sidecar.global_step, sidecar.base_model) == (10, "Qwen/Qwen3-8B")


def test_every_checkpoint_is_marked_also_those_not_evaluated(training: Training) -> None:
    callback = training.hooks.BenchmarkCallback(["mmlu"], at="checkpoints", every=10)
    training.begin(callback)
    for step in (5, 10):
        sidecar = read_sidecar(training.save(callback, step))
        assert sidecar is not None and sidecar.global_step == step
        assert len(training.followers) == step // 10


def test_one_follower_serves_all_checkpoints_and_the_end(training: Training) -> None:
    callback = training.hooks.BenchmarkCallback(["mmlu"], at="both")
    training.begin(callback)
    training.save(callback, 5)
    training.save(callback, 10)
    training.end(callback, 10)
    assert len(training.followers) == 1


def test_an_adapter_that_will_be_deleted_is_kept(training: Training) -> None:
    callback = training.hooks.BenchmarkCallback(["mmlu"], at="checkpoints", every=10)
    training.limit = 2
    training.begin(callback)
    training.save(callback, 5)
    training.save(callback, 10)
    (kept,) = kept_folder(training.folder).iterdir()
    assert kept.name == "checkpoint-10"
    sidecar = read_sidecar(kept)
    assert sidecar is not None and sidecar.run_id == "run-1"


def test_nothing_is_kept_where_nothing_is_deleted(training: Training) -> None:
    callback = training.hooks.BenchmarkCallback(["mmlu"], at="checkpoints")
    training.begin(callback)
    training.save(callback, 5)
    assert not kept_folder(training.folder).exists()


def test_a_full_model_that_will_be_deleted_is_said(
    training: Training, caplog: pytest.LogCaptureFixture
) -> None:
    callback = training.hooks.BenchmarkCallback(["mmlu"], at="checkpoints")
    training.limit = 2
    training.begin(callback)
    training.save(callback, 5, make_base)
    assert "checkpoint-5 is a full model" in caplog.text
    assert not kept_folder(training.folder).exists()


def test_other_processes_of_a_training_do_nothing(training: Training) -> None:
    callback = training.hooks.BenchmarkCallback(["mmlu"], at="both")
    training.is_first = False
    training.begin(callback)
    checkpoint = training.save(callback, 5)
    training.end(callback, 5)
    assert training.followers == []
    assert read_sidecar(checkpoint) is None


def test_other_processes_of_a_training_check_nothing(
    hooks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    hooks.BenchmarkCallback(["mmlu"], python="/no/python")


def test_what_fails_is_a_warning_and_nothing_else(
    training: Training, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise FileNotFoundError("/no/python")

    monkeypatch.setattr(training.hooks, "start_follower", fail)
    callback = training.hooks.BenchmarkCallback(["mmlu"])
    training.begin(callback)
    training.end(callback, 5)
    assert caplog.record_tuples == [
        ("ftbench.hooks", logging.WARNING, "ftbench: on_train_end: FileNotFoundError: /no/python")
    ]


def test_a_follower_that_ended_early_is_said_and_started_again(
    training: Training, caplog: pytest.LogCaptureFixture
) -> None:
    callback = training.hooks.BenchmarkCallback(["mmlu"], at="both")
    training.begin(callback)
    training.save(callback, 5)
    training.followers[0].returncode = 101
    training.end(callback, 10)
    assert "evaluation ended with exit code 101" in caplog.text
    assert len(training.followers) == 2


def test_a_second_training_in_one_process_waits_for_the_first_ones_evaluation(
    training: Training, tmp_path: Path
) -> None:
    callback = training.hooks.BenchmarkCallback(["mmlu"])
    for name in ("one", "two"):
        training.folder = tmp_path / name
        training.begin(callback)
        training.end(callback, 5)
    waits = ["--after-exit-of", str(os.getpid()), "--after-exit-of", "9000"]
    assert training.followers[1].command[5:9] == waits


def test_the_run_of_the_training_stays_when_mlflow_has_closed_it(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    callback = training.hooks.BenchmarkCallback(["mmlu"])
    training.begin(callback)
    monkeypatch.setattr(training.hooks, "active_run", lambda *_: ActiveRun())
    training.end(callback, 5)
    sidecar = read_sidecar(training.folder)
    assert sidecar is not None and sidecar.run_id == "run-1"


def test_trials_of_a_search_are_left_alone(
    training: Training, caplog: pytest.LogCaptureFixture
) -> None:
    callback = training.hooks.BenchmarkCallback(["mmlu"])
    training.begin(callback, is_hyper_param_search=True)
    assert "hyperparameter search" in caplog.text


def test_a_batch_job_that_ends_with_the_training_is_said(
    training: Training, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    callback = training.hooks.BenchmarkCallback(["mmlu"])
    training.begin(callback)
    training.end(callback, 5)
    assert "this Slurm job ends with the training" in caplog.text


def test_a_base_that_is_a_folder_is_noted_as_an_absolute_path(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_base(tmp_path / "base")
    model = SimpleNamespace(config=SimpleNamespace(_name_or_path="base"))
    assert training.hooks._base_of(model) == str(tmp_path / "base")


def test_without_transformers_the_import_says_what_to_do() -> None:
    code = "import sys; sys.modules['transformers'] = None; import ftbench.hooks"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        "ImportError: ftbench.hooks is for a Python that trains with transformers, and this one "
        "has none: pip install transformers, or evaluate with python -m ftbench.run "
        "model.adapter=DIR"
    )
