"""The watcher for real: killed with -9 three times during a series of checkpoints.

One series serves all tests: three checkpoints of one training run, one of them written in pieces,
one without a mark. Each is a copy of the demo's adapter with weights of its own.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from ftbench.errors import ConfigError
from ftbench.sidecar import Sidecar, write_sidecar
from ftbench.watch.experiment import ExperimentSource
from ftbench.watch.processes import identify
from ftbench.watch.readiness import Readiness, what_is_unfit
from tests.real.conftest import Demo

pytestmark = [pytest.mark.opencompass, pytest.mark.slow]

EXPERIMENT = "watched"
STEPS = (5, 10, 15)
LIMIT_S = 1800
"""Patience with a machine that has much else to do; no figure is taken here."""


@dataclass
class Series:
    """A training run, the folder it writes into, and the watchers that follow it.

    Attributes:
        folder: Where watchers are started; holds the output, the scores and the tracker's database.
        printed: What each watcher printed, one after another.
    """

    folder: Path
    demo: Demo
    run_id: str
    printed: list[str]

    @property
    def output(self) -> Path:
        return self.folder / "out"

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    def weights(self, step: int) -> bytes:
        """The demo's weights, a little larger with each step: other content, same model."""
        tensors = load_file(self.demo.adapter / "adapter_model.safetensors")
        scaled = self.folder / f"weights-{step}"
        save_file({key: value * (1 + step / 1000) for key, value in tensors.items()}, scaled)
        return scaled.read_bytes()

    def begin(self, step: int, share: float = 1.0) -> Path:
        """Writes a checkpoint, or the first share of its weights."""
        checkpoint = self.output / f"checkpoint-{step}"
        weights = self.weights(step)
        checkpoint.mkdir(parents=True)
        for path in self.demo.adapter.iterdir():
            if path.suffix != ".safetensors":
                shutil.copy(path, checkpoint)
        (checkpoint / "adapter_model.safetensors").write_bytes(weights[: int(len(weights) * share)])
        return checkpoint

    def finish(self, step: int) -> None:
        """Writes the rest of it."""
        path = self.output / f"checkpoint-{step}" / "adapter_model.safetensors"
        with path.open("ab") as file:
            file.write(self.weights(step)[path.stat().st_size :])

    def mark(self, step: int) -> None:
        sidecar = Sidecar(self.run_id, self.uri, global_step=step, written_at=time.time())
        write_sidecar(self.output / f"checkpoint-{step}", sidecar)

    def start(self, *words: str) -> subprocess.Popen[str]:
        settings = [
            "baseline=none",
            "runtime=local",
            "datasets=[gsm8k]",
            "limit=2",
            "backend.max_out_len=8",
            f"data_dir={self.demo.folder / 'data'}",
            f"tracking.uri={self.uri}",
        ]
        with (self.folder / f"watcher-{len(self.printed)}.log").open("w") as log:
            self.printed.append("")
            return subprocess.Popen(
                [sys.executable, "-m", "ftbench.watch", *words, *settings],
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def read(self) -> str:
        """What the last watcher has printed."""
        self.printed[-1] = (self.folder / f"watcher-{len(self.printed) - 1}.log").read_text()
        return self.printed[-1]

    def kill_when(self, watcher: subprocess.Popen[str], is_time: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not is_time():
            assert watcher.poll() is None, self.read()
            assert time.monotonic() < deadline, self.read()
            time.sleep(0.05)
        watcher.kill()
        watcher.wait()
        self.read()

    def entries(self, event: str) -> list[dict[str, Any]]:
        (path,) = self.output.glob("_ftbench/watch-*/ledger.jsonl")
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]

    def is_started(self, name: str) -> bool:
        """Whether its evaluation has been started by somebody."""
        if not list(self.output.glob("_ftbench/watch-*/ledger.jsonl")):
            return False
        return name in [entry["name"] for entry in self.entries("starting")]


def new_training_run(uri: str, output: Path) -> str:
    """A training run with a loss at each step, and another one that left no adapter."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment(EXPERIMENT)
    run = client.create_run(
        experiment, run_name="trained", tags={"ftbench.output_dir": str(output)}
    )
    for step in STEPS:
        client.log_metric(run.info.run_id, "loss", 1 / step, step=step)
    client.set_terminated(run.info.run_id)
    client.set_terminated(client.create_run(experiment, run_name="nothing").info.run_id)
    return str(run.info.run_id)


@pytest.fixture(scope="module")
def series(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Series:
    folder = tmp_path_factory.mktemp("watch")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    made = Series(folder, demo, new_training_run(uri, folder / "out"), [])
    follow_killed_three_times(made)
    return made


def follow_killed_three_times(series: Series) -> None:
    trainer = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    words = ("out", "--poll", "0.5", "--settle", "2", "--until-exit-of", str(identify(trainer.pid)))
    words += (f"tracking.training_run_id={series.run_id}",)
    series.begin(5)
    series.mark(5)
    # During the first evaluation.
    series.kill_when(series.start(*words), lambda: "ftbench: loading" in log_of(series, 5))
    # While the next watcher waits for that evaluation, or has begun to ask for its result.
    series.begin(10, share=0.7)
    words_of_wait = ("still runs", "evaluating")
    series.kill_when(
        series.start(*words), lambda: any(word in series.read() for word in words_of_wait)
    )
    # As soon as the ledger knows of the second one; its weights come before its mark.
    watcher = series.start(*words)
    series.finish(10)
    series.mark(10)
    series.kill_when(watcher, lambda: series.is_started("checkpoint-10"))
    # The third one has no mark, and then training ends.
    watcher = series.start(*words)
    series.begin(15, share=0.3)
    assert what_is_unfit(series.output / "checkpoint-15")
    series.finish(15)
    trainer.communicate()
    assert watcher.wait(LIMIT_S) == 0, series.read()
    series.read()


def log_of(series: Series, step: int) -> str:
    logs = list(series.output.glob(f"_ftbench/watch-*/logs/checkpoint-{step}-*.log"))
    return logs[0].read_text() if logs else ""


def test_each_checkpoint_has_one_run_folder(series: Series) -> None:
    plans = list(series.folder.glob("ftbench_workspace/*/benchmark_results/*/plan.json"))
    adapters = [Path(json.loads(path.read_text())["model"]["adapter"]) for path in plans]
    assert sorted(adapters) == sorted(series.output / f"checkpoint-{step}" for step in STEPS)
    assert len(list(series.folder.glob("ftbench_workspace/*/benchmark_results/*/result.json"))) == 3


def test_each_checkpoint_was_computed_once(series: Series) -> None:
    starts = [log_of(series, step).count("model loaded in") for step in STEPS]
    assert starts == [1, 1, 1]


def test_ledger_ends_with_every_checkpoint_done(series: Series) -> None:
    ended = {entry["name"]: entry["exit_code"] for entry in series.entries("ended")}
    assert ended == {f"checkpoint-{step}": 0 for step in STEPS}


def test_scores_stand_on_the_training_run_at_each_step(series: Series) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=series.uri)
    history = client.get_metric_history(series.run_id, "bench/gsm8k")
    assert sorted(metric.step for metric in history) == list(STEPS)
    experiment = client.get_run(series.run_id).info.experiment_id
    runs = client.search_runs([experiment], "tags.`ftbench.kind` = 'eval'")
    assert len(runs) == 3
    assert {run.data.tags["ftbench.train_run_id"] for run in runs} == {series.run_id}
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_experiment_is_followed_to_what_is_there_already(series: Series) -> None:
    """Its run's adapter is the last checkpoint: the same fingerprint answers at once."""
    words = ("--experiment", EXPERIMENT, "--once", "--settle", "0", "--state", "state")
    watcher = series.start(*words)
    code = watcher.wait(LIMIT_S)
    printed = series.read()
    assert code == 0, printed
    assert f"trained ({series.run_id[:8]}): evaluated" in printed
    assert printed.count(": same fingerprint\n") == 1
    assert printed.count("nothing (") == 1
    assert "not evaluated: it names no output folder" in printed
    test_each_checkpoint_has_one_run_folder(series)
    test_scores_stand_on_the_training_run_at_each_step(series)


def test_filter_that_mlflow_cannot_read_is_told_at_once(series: Series) -> None:
    source = ExperimentSource(
        series.uri, EXPERIMENT, "loss <", 0, Readiness(0), series.folder / "h", True, print
    )
    with pytest.raises(ConfigError, match="loss <"):
        source.scan(False)
