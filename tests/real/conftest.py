"""The evaluation environment, and the demo's models, data and scores, made once for all tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ftbench.environment import ensure_environment
from ftbench.host import read_host
from ftbench.schema import OK, RunFiles, read_result
from ftbench.workspace import run_dirs
from tests.made_once import made_once

SECRETS = {
    "HF_TOKEN": "hf_plantedSecretToken123",
    "OC_JUDGE_API_KEY": "sk-plantedSecretKey456",
    "MLFLOW_TRACKING_PASSWORD": "plantedSecretPassword789",
    "MLFLOW_TRACKING_TOKEN": "plantedSecretToken000",
}
"""They stand in the environment of every command below and must stand nowhere else."""


@pytest.fixture(scope="session")
def eval_python() -> Path:
    """Python of the evaluation environment, which is built when it is not there."""
    given = os.environ.get("FTBENCH_EVAL_PYTHON")
    if given:
        return Path(given)
    cache_dir = read_host().cache_dir
    return ensure_environment("cpu", None, cache_dir, os.environ, print).python


@dataclass(frozen=True)
class Demo:
    """What ``python -m ftbench.demo`` left.

    Attributes:
        folder: Its folder.
        printed: What it printed.
    """

    folder: Path
    printed: str

    @property
    def base(self) -> Path:
        return next(self.folder.glob("models/*/tiny-qwen2"))

    @property
    def adapter(self) -> Path:
        return self.base.parent / "tiny-qwen2-lora"

    @property
    def training_run_id(self) -> str:
        return str(json.loads((self.base.parent / "trained.json").read_text())["run_id"])

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    def scores(self, name: str) -> RunFiles:
        """The one run folder of ``base`` or ``adapter``."""
        workspace = self.folder / "scores" / "adapter"
        if name == "base":
            (workspace,) = (self.folder / "scores").glob("*-base-*")
        (folder,) = run_dirs(workspace)
        return RunFiles(folder)


def run_demo(folder: Path) -> str:
    """Runs the demonstration and gives what it prints."""
    ran = subprocess.run(
        [sys.executable, "-m", "ftbench.demo", "--folder", folder],
        env={**os.environ, **SECRETS},
        cwd=folder.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


@pytest.fixture(scope="session")
def demo(eval_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Shared by all tests: who writes into its folder copies it first."""

    def make(folder: Path) -> None:
        (folder / "printed.txt").write_text(run_demo(folder / "demo_workspace"))

    folder = made_once(tmp_path_factory, "demo", make)
    return Demo(folder / "demo_workspace", (folder / "printed.txt").read_text())


@pytest.fixture(scope="session")
def stock_adapter(
    demo: Demo, eval_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunFiles:
    """What the stock ``opencompass`` command gives on the config that the adapter's run wrote."""
    config, data = demo.scores("adapter").opencompass_config, demo.folder / "data"
    folder = made_once(
        tmp_path_factory, "stock_adapter", lambda made: run_stock(eval_python, config, made, data)
    )
    (work,) = (folder / "work").iterdir()
    return RunFiles(work)


def run_stock(eval_python: Path, config: Path, folder: Path, data: Path) -> None:
    """Runs the stock command, which writes into ``folder/work``."""
    environment = {
        "PATH": os.pathsep.join([str(eval_python.parent), os.environ["PATH"]]),
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "COMPASS_DATA_CACHE": str(data),
    }
    subprocess.run(
        [eval_python.parent / "opencompass", config, "-w", folder / "work"],
        env=environment,
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=900,
    )


def contents(folder: Path) -> dict[str, object]:
    """Every JSON file of a folder, by its stem."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def assert_equals_stock(ours: RunFiles, stock: RunFiles) -> None:
    """Same predictions, same results, and the scores of the summary are those of the files.

    What our program notes beside OpenCompass's results, for the samples, has a key of its own.
    """
    (model,) = (path.name for path in ours.results.iterdir())
    results = contents(stock.results / model)
    assert len(results) == 58
    found = contents(ours.results / model)
    for value in found.values():
        value.pop("ftbench", None)  # type: ignore[attr-defined]
    assert found == results
    assert contents(ours.predictions / model) == contents(stock.predictions / model)
    result = read_result(ours.summary)
    scores = {s.abbr: (s.status, s.score) for d in result.datasets for s in d.subsets}
    assert scores == {abbr: (OK, value["accuracy"]) for abbr, value in results.items()}  # type: ignore[index]
    mmlu = [value["accuracy"] for abbr, value in results.items() if abbr != "gsm8k"]  # type: ignore[index]
    assert result.datasets[0].score == pytest.approx(sum(mmlu) / 57, abs=1e-12)
    assert result.datasets[0].aggregation == "mean of 57 subsets"


def assert_no_secret(*places: Path) -> int:
    """No planted secret stands in any file below these places.

    Returns:
        The number of files that were searched.
    """
    files = [p for place in places for p in place.rglob("*") if p.is_file()]
    leaks = [
        (path, name)
        for path in files
        for name, secret in SECRETS.items()
        if secret.encode() in path.read_bytes()
    ]
    assert leaks == []
    return len(files)
