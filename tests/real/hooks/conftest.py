"""Real trainings with the callback, each once for all tests, and the evaluations that follow."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from ftbench.following import log_file
from ftbench.host import read_host
from tests.training_environment import ensure_training_python, training_variables

SCRIPT = Path(__file__).with_name("train_with_callback.py")


@dataclass(frozen=True)
class Trained:
    """A training that has ended.

    Attributes:
        folder: Where it was started.
        printed: What it printed.
    """

    folder: Path
    printed: str

    @property
    def output(self) -> Path:
        return self.folder / "out"

    @property
    def watched(self) -> str:
        """What the process that evaluates has said so far."""
        return log_file(self.output).read_text()

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(f"sqlite:///{self.folder / 'mlflow.db'}")

    def runs(self, kind: str) -> list[Run]:
        """Its MLflow runs: ``train``, ``eval``, or neither (``''``), oldest first."""
        runs = self.client.search_runs(["0"], order_by=["attributes.start_time ASC"])
        return [run for run in runs if run.data.tags.get("ftbench.kind", "") == kind]

    def wait_until_watched(self, pattern: str) -> None:
        """Waits until the process that evaluates has said this."""
        deadline = time.monotonic() + 1500
        while not re.search(pattern, self.watched, re.MULTILINE):
            assert time.monotonic() < deadline, self.watched
            time.sleep(0.5)


Train = Callable[..., Trained]


@pytest.fixture(scope="session")
def train(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Runs a training to its end, which must be a success."""
    python = str(ensure_training_python(read_host().cache_dir))

    def run(wanted: dict[str, Any], *launcher: str) -> Trained:
        folder = tmp_path_factory.mktemp("training")
        command = [python, *launcher, str(SCRIPT), json.dumps({"output_dir": "out", **wanted})]
        ran = subprocess.run(
            command,
            env=training_variables(),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=1500,
        )
        assert ran.returncode == 0, ran.stdout
        return Trained(folder, ran.stdout)

    return run
