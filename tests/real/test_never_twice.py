"""Yesterday mmlu, today mmlu and gsm8k; then the workspace is deleted: for real, with MLflow."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from ftbench.compose import override
from ftbench.schema import OK, Result, RunFiles, read_result, read_samples
from ftbench.workspace import run_dirs
from tests.real.conftest import Demo

pytestmark = [pytest.mark.opencompass, pytest.mark.slow]


@dataclass(frozen=True)
class Evaluated:
    """One command: what it printed, and the run folder that it reports from."""

    printed: str
    files: RunFiles

    @property
    def result(self) -> Result:
        return read_result(self.files.summary)

    @property
    def was_launched(self) -> bool:
        return "ftbench: loading OpenCompass" in self.printed


@dataclass(frozen=True)
class Days:
    folder: Path
    mmlu: Evaluated
    both: Evaluated
    again: Evaluated
    restored: Evaluated


@pytest.fixture(scope="module")
def days(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Days:
    folder = tmp_path_factory.mktemp("twice")

    def evaluate(datasets: str) -> Evaluated:
        command = [
            *(sys.executable, "-m", "ftbench.run", f"datasets=[{datasets}]", "limit=1"),
            "baseline=none",
            *("runtime=local", "runtime.num_gpus=0", "backend.max_out_len=8"),
            override("model.adapter", demo.adapter),
            override("data_dir", demo.folder / "data"),
            override("tracking.uri", f"sqlite:///{folder}/mlflow.db"),
        ]
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "400"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        (report,) = re.findall(r"^Report: (.*)/report\.md$", done.stdout, re.MULTILINE)
        return Evaluated(done.stdout, RunFiles(Path(report)))

    mmlu, both, again = evaluate("mmlu"), evaluate("mmlu,gsm8k"), evaluate("mmlu,gsm8k")
    # What the tests look at goes with the workspace.
    kept = folder / "kept"
    shutil.copytree(folder / "ftbench_workspace", kept)
    shutil.rmtree(folder / "ftbench_workspace")
    restored = evaluate("gsm8k,mmlu")

    def moved(one: Evaluated) -> Evaluated:
        below = one.files.root.relative_to(folder / "ftbench_workspace")
        return Evaluated(one.printed, RunFiles(kept / below))

    return Days(folder, moved(mmlu), moved(both), moved(again), restored)


def test_only_the_new_dataset_is_evaluated(days: Days) -> None:
    assert days.mmlu.was_launched and days.both.was_launched
    assert "ftbench: model loaded" in days.both.printed
    assert not re.search(r"^mmlu/", days.both.printed, re.MULTILINE)
    assert f"{days.mmlu.files.root.name}: same fingerprint" in days.both.printed
    mmlu, gsm8k = days.both.result.datasets
    assert Path(mmlu.reused_from).name == days.mmlu.files.root.name
    assert (mmlu.status, gsm8k.status, gsm8k.reused_from) == (OK, OK, "")
    assert (mmlu.seconds, mmlu.score) == (0.0, days.mmlu.result.datasets[0].score)


def test_both_runs_lie_in_one_workspace_of_the_model(days: Days) -> None:
    (workspace,) = {one.files.root.parents[1] for one in (days.mmlu, days.both, days.again)}
    assert len(run_dirs(workspace)) == 2


def test_new_run_folder_has_every_answer(days: Days) -> None:
    files, (mmlu, gsm8k) = days.both.files, days.both.result.datasets
    for subset in (*mmlu.subsets, *gsm8k.subsets):
        assert len(read_samples(files.samples(subset.abbr))) == subset.expected == 1
    for folder in (files.predictions, files.results):
        assert len(list(folder.glob("*/*.json"))) == 58


def test_equal_work_is_not_launched(days: Days) -> None:
    assert not days.again.was_launched
    assert days.again.files.root == days.both.files.root
    assert days.again.result == days.both.result


def test_a_deleted_workspace_is_answered_from_mlflow(days: Days) -> None:
    assert not days.restored.was_launched
    assert "brought from MLflow run" in days.restored.printed
    ours = {d.name: (d.status, d.score) for d in days.restored.result.datasets}
    assert ours == {d.name: (d.status, d.score) for d in days.both.result.datasets}
    gsm8k, mmlu = days.restored.result.datasets
    for subset in (*mmlu.subsets, *gsm8k.subsets):
        theirs = read_samples(days.both.files.samples(subset.abbr))
        assert read_samples(days.restored.files.samples(subset.abbr)) == theirs


def test_every_evaluation_is_recorded_once(days: Days) -> None:
    client = MlflowClient(f"sqlite:///{days.folder}/mlflow.db")
    ids = [e.experiment_id for e in client.search_experiments()]
    runs = client.search_runs(ids, "tags.`ftbench.kind` = 'eval'")
    assert sorted(run.data.tags["ftbench.fingerprint"] for run in runs) == sorted(
        one.result.fingerprint for one in (days.mmlu, days.both, days.restored)
    )


def test_an_evaluation_repeated_from_its_folder_is_the_same(days: Days) -> None:
    files = days.restored.files
    done = subprocess.run(
        [sys.executable, "-m", "ftbench.reproduce", str(files.root), "--no-record"],
        cwd=days.folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "400"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "gsm8k: the same" in done.stdout
    assert "0 of 57 answers differ" in done.stdout
    assert "The same: 2/2 datasets have the very score of then" in done.stdout
