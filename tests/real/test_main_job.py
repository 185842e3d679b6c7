"""The main job, every part real: OpenCompass, a trained adapter, a process, MLflow.

The models, their data and their scores are those of ``python -m ftbench.demo``.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftbench.schema import RunFiles, read_result, read_samples
from tests.real.conftest import SECRETS, Demo, assert_equals_stock, assert_no_secret, run_demo

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
    assert printed.count(": same fingerprint\n") == 1
    assert "the baseline: " not in printed
    assert "step 20 of" not in printed


def test_local_runtime_gives_what_the_stock_command_gives(
    demo: Demo, stock_adapter: RunFiles
) -> None:
    assert_equals_stock(demo.scores("adapter"), stock_adapter)


def test_scores_stand_on_the_training_run(demo: Demo) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=demo.tracking_uri)
    trained = client.get_run(demo.training_run_id)
    mmlu, gsm8k = read_result(demo.scores("adapter").summary).datasets
    metrics = trained.data.metrics
    assert (metrics["bench/mmlu"], metrics["bench/gsm8k"]) == (mmlu.score, gsm8k.score)
    assert len(client.get_metric_history(trained.info.run_id, "loss")) == 15
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


def test_differences_from_the_base_stand_in_feedback_and_mlflow(demo: Demo) -> None:
    from mlflow import MlflowClient

    value = json.loads(demo.scores("adapter").feedback.read_text())
    client = MlflowClient(tracking_uri=demo.tracking_uri)
    trained = client.get_run(demo.training_run_id).data
    run = client.get_run(trained.tags["ftbench.eval_run_id"]).data
    base = client.get_run(run.tags["ftbench.delta_base_run_id"])
    assert value["baseline"]["run_id"] == base.info.run_id == run.tags["ftbench.base_run_id"]
    assert "ftbench.train_run_id" not in base.data.tags
    for name in ("mmlu", "gsm8k"):
        own = value["datasets"][name]
        delta = run.metrics[f"bench/{name}"] - base.data.metrics[f"bench/{name}"]
        assert own["delta"] == run.metrics[f"delta_vs_base/{name}"] == pytest.approx(delta)
        assert own["delta_low"] == run.metrics[f"delta_vs_base_low/{name}"] < delta
        assert own["delta_high"] == run.metrics[f"delta_vs_base_high/{name}"] > delta
        assert own["p_value"] == run.metrics[f"p_value/{name}"]
        assert trained.metrics[f"delta_vs_base/{name}"] == own["delta"]
    average = value["baseline"]
    assert average["average_delta"] == run.metrics["delta_vs_base/avg"]
    ends = (average["average_delta_low"], average["average_delta_high"])
    assert ends == (run.metrics["delta_vs_base_low/avg"], run.metrics["delta_vs_base_high/avg"])
    assert average["average_verdict"] == run.tags["ftbench.verdict.avg"] == "better"
    assert run.metrics["ci_low/avg"] < run.metrics["bench/avg"] < run.metrics["ci_high/avg"]
    assert value["datasets"]["mmlu"]["verdict"] == run.tags["ftbench.verdict.mmlu"] == "better"
    assert value["datasets"]["mmlu"]["delta_low"] > 0
    assert "mmlu +" in run.tags["ftbench.vs_base"] and "(better)" in run.tags["ftbench.vs_base"]
    assert "(better)" in run.tags["mlflow.note.content"]


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
