"""The main job, every part real: OpenCompass, a trained adapter, a process or container, MLflow.

The models, their data and their scores are those of ``python -m ftbench.demo``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ftbench.image import image_name
from ftbench.schema import OK, RunFiles, read_result, read_samples
from tests.real.conftest import SECRETS, Demo, assert_no_secret, contents, run_demo

pytestmark = [pytest.mark.opencompass, pytest.mark.slow]


def test_demo_adapter_is_better_than_its_base(demo: Demo) -> None:
    scores = {
        name: {d.name: d.score for d in read_result(demo.scores(name).summary).datasets}
        for name in ("base", "adapter")
    }
    base, adapter = scores["base"], scores["adapter"]
    # Of four options one is right by chance; the base never adds.
    assert base["mmlu"] is not None and 15 < base["mmlu"] < 45
    assert adapter["mmlu"] is not None and adapter["mmlu"] > 80
    assert base["gsm8k"] is not None and base["gsm8k"] < 10
    # How far it learns to add hangs on the processor's rounding: 43.75 on one, 18.75 on another.
    assert adapter["gsm8k"] is not None and adapter["gsm8k"] > base["gsm8k"] + 5


def test_demo_asks_what_the_training_did_not_see(demo: Demo) -> None:
    seen = {
        json.loads(line)["question"]
        for path in (demo.folder / "examples").glob("*.jsonl")
        for line in path.read_text().splitlines()
    }
    files = demo.scores("adapter")
    abbrs = [path.stem for path in (files.root / "samples").glob("*.jsonl")]
    prompts = [sample.prompt for abbr in abbrs for sample in read_samples(files.samples(abbr))]
    assert (len(abbrs), len(prompts)) == (58, 57 * 8 + 16)
    assert not [question for question in seen if any(question in prompt for prompt in prompts)]


def test_demo_prints_the_feedback_and_how_to_open_mlflow(demo: Demo) -> None:
    mmlu, gsm8k = read_result(demo.scores("adapter").summary).datasets
    assert mmlu.score is not None and gsm8k.score is not None
    average = (mmlu.score + gsm8k.score) / 2
    assert (
        f"""\
Execution: Benchmark completed: 2/2 datasets
Return Checking:
  Benchmark Results:
    mmlu: {mmlu.score:.1f}
    gsm8k: {gsm8k.score:.1f}
Code: Average Score: {average:.1f}%
Final Decision: True
"""
        in demo.printed
    )
    assert f"-m mlflow ui --backend-store-uri {demo.tracking_uri}\n" in demo.printed


def test_second_demo_answers_from_what_is_there(demo: Demo) -> None:
    before = [demo.scores(name).result.stat().st_mtime_ns for name in ("base", "adapter")]
    printed = run_demo(demo.folder)
    assert [demo.scores(n).result.stat().st_mtime_ns for n in ("base", "adapter")] == before
    assert printed.count(": same fingerprint\n") == 2
    assert "step 20 of" not in printed


def test_local_runtime_gives_what_the_stock_command_gives(
    demo: Demo, stock_adapter: RunFiles
) -> None:
    assert_equals_stock(demo.scores("adapter"), stock_adapter)


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


def test_scores_stand_on_the_training_run(demo: Demo) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=demo.tracking_uri)
    trained = client.get_run(demo.training_run_id)
    mmlu, gsm8k = read_result(demo.scores("adapter").summary).datasets
    metrics = trained.data.metrics
    assert (metrics["bench/mmlu"], metrics["bench/gsm8k"]) == (mmlu.score, gsm8k.score)
    assert len(client.get_metric_history(trained.info.run_id, "loss")) == 20
    benchmark = client.get_run(trained.data.tags["ftbench.eval_run_id"])
    assert benchmark.data.tags["ftbench.train_run_id"] == trained.info.run_id
    assert benchmark.info.experiment_id == trained.info.experiment_id
    assert benchmark.data.metrics["subset/mmlu/anatomy"] == next(
        s.score for s in mmlu.subsets if s.name == "anatomy"
    )
    (model,) = client.search_logged_models(
        [trained.info.experiment_id], f"source_run_id = '{trained.info.run_id}'"
    )
    assert {metric.key for metric in model.metrics or []} >= {"bench/mmlu", "bench/gsm8k"}


def test_samples_are_a_table_in_mlflow(demo: Demo, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=demo.tracking_uri)
    run_id = client.get_run(demo.training_run_id).data.tags["ftbench.eval_run_id"]
    table = json.loads(
        Path(client.download_artifacts(run_id, "samples/gsm8k.json", str(tmp_path))).read_text()
    )
    assert table["columns"][:2] == ["sample_id", "verdict"]
    assert len(table["data"]) == 16


def test_demo_leaves_no_secret_anywhere(demo: Demo) -> None:
    assert not [name for name, secret in SECRETS.items() if secret in demo.printed]
    assert assert_no_secret(demo.folder) > 300


@dataclass(frozen=True)
class InContainer:
    """One evaluation in a container, with secrets forwarded.

    Attributes:
        workspace: What it left.
        inspected: What the engine knew of the container while it ran.
    """

    workspace: Path
    printed: str
    inspected: dict[str, Any]

    @property
    def files(self) -> RunFiles:
        (folder,) = (self.workspace / "benchmark_results").iterdir()
        return RunFiles(folder)


@pytest.fixture(scope="module")
def in_container(
    demo: Demo, eval_image: str, tmp_path_factory: pytest.TempPathFactory
) -> InContainer:
    folder = tmp_path_factory.mktemp("container")
    command = [
        *(sys.executable, "-m", "ftbench.run"),
        f"model.adapter={demo.adapter}",
        "datasets=[mmlu,gsm8k]",
        "runtime.num_gpus=0",
        # A network, so that secrets are forwarded at all.
        "runtime.network=bridge",
        f"data_dir={demo.folder / 'data'}",
        "backend.max_out_len=64",
        f"workspace={folder / 'workspace'}",
        f"tracking.uri=sqlite:///{folder}/mlflow.db",
    ]
    assert eval_image == image_name("cpu")
    process = subprocess.Popen(
        command,
        env={**os.environ, **SECRETS},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    inspected = _inspect_running(folder / "workspace", process)
    printed, _ = process.communicate(timeout=900)
    assert process.returncode == 0, printed
    return InContainer(folder / "workspace", printed, inspected)


def _inspect_running(workspace: Path, process: subprocess.Popen[str]) -> dict[str, Any]:
    import docker

    client = docker.from_env()
    deadline = time.monotonic() + 300
    label = f"org.ftbench.workspace={workspace}"
    while not (found := client.containers.list(filters={"label": label})):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "no container came within five minutes"
        time.sleep(0.1)
    attrs: dict[str, Any] = found[0].attrs
    client.close()
    return attrs


@pytest.mark.container
def test_docker_runtime_gives_what_the_stock_command_gives(
    in_container: InContainer, stock_adapter: RunFiles
) -> None:
    assert_equals_stock(in_container.files, stock_adapter)


@pytest.mark.container
def test_container_is_isolated(in_container: InContainer) -> None:
    config = in_container.inspected["HostConfig"]
    assert config["ReadonlyRootfs"] is True
    assert config["CapDrop"] == ["ALL"]
    assert config["SecurityOpt"] == ["no-new-privileges:true"]
    assert config["PidsLimit"] == 4096
    user = in_container.inspected["Config"]["User"]
    assert user == f"{os.getuid()}:{os.getgid()}"
    writable = [m["Destination"] for m in in_container.inspected["Mounts"] if m["RW"]]
    assert writable == [str(in_container.files.root)]


@pytest.mark.container
def test_container_run_leaves_no_secret_anywhere(in_container: InContainer) -> None:
    targets = [mount["Destination"] for mount in in_container.inspected["Mounts"]]
    assert "/run/ftbench-secrets" in targets
    said = in_container.printed + json.dumps(in_container.inspected)
    assert not [name for name, secret in SECRETS.items() if secret in said]
    # The workspace, mlflow.db and the artifacts beside it.
    assert assert_no_secret(in_container.workspace.parent) > 190


@pytest.mark.container
def test_container_run_is_recorded_with_its_image(in_container: InContainer) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{in_container.workspace.parent}/mlflow.db")
    experiment = client.get_experiment_by_name("ftbench")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.tags["ftbench.image_digest"] == in_container.inspected["Image"]
    assert run.data.tags["ftbench.version.opencompass"] == "0.5.4"
    assert len(run.data.tags["ftbench.adapter_sha256"]) == 64
    assert run.info.status == "FINISHED"
