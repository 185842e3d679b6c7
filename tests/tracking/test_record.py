"""Recording into a real MLflow store (sqlite): what is there, and what stays the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import Run

from ftbench import tracking
from ftbench.comparison.comparable import asked
from ftbench.errors import TrackingError
from ftbench.plan import TrackingPlan
from ftbench.schema import FAILED, PARTIAL, TIMEOUT, Reason
from ftbench.tracking.archive import sha256_of
from ftbench.tracking.note import BEGIN
from ftbench.validity import flagged
from tests.tracking.conftest import Store
from tests.tracking_fixtures import (
    FINISHED_AT,
    STARTED_AT,
    RunFolder,
    cut_off_gsm8k,
    dataset,
    grouped_mmlu,
    gsm8k,
    make_adapter,
    make_run_folder,
    mmlu,
    result_of,
    subset,
)

pytestmark = pytest.mark.slow

MMLU_SCORE = (19 * 62.5 + 38 * 50.0) / 57
AVERAGE = (MMLU_SCORE + 25.0) / 2


def folder_for(store: Store, tracking_plan: TrackingPlan, **more: Any) -> RunFolder:
    adapter = make_adapter(store.folder / "qwen-sft" / "checkpoint-500")
    workspace = store.folder / "workspace"
    return make_run_folder(
        workspace, tracking_plan, result_of(mmlu(4), gsm8k(25.0)), adapter, **more
    )


def everything_in(store: Store) -> dict[str, Any]:
    """What the store holds, in full, but for times of last update."""
    client = store.client
    experiments = client.search_experiments()
    ids = [e.experiment_id for e in experiments]
    runs = client.search_runs(ids)
    return {
        "experiments": {e.name: dict(e.tags) for e in experiments},
        "runs": {run.info.run_id: run_content(store, run) for run in runs},
        "models": {
            model.model_id: (
                model.name,
                model.status,
                model.source_run_id,
                dict(model.params),
                dict(model.tags),
                sorted((m.key, m.value, m.dataset_name) for m in model.metrics or ()),
            )
            for model in client.search_logged_models(ids)
        },
    }


def run_content(store: Store, run: Run) -> dict[str, Any]:
    client = store.client
    run = client.get_run(run.info.run_id)
    return {
        "info": (run.info.run_name, run.info.status, run.info.start_time, run.info.end_time),
        "params": dict(run.data.params),
        "tags": dict(run.data.tags),
        "history": {
            key: [
                (m.value, m.timestamp, m.step)
                for m in client.get_metric_history(run.info.run_id, key)
            ]
            for key in run.data.metrics
        },
        "datasets": sorted((d.dataset.name, d.dataset.digest) for d in run.inputs.dataset_inputs),
        "models": [m.model_id for m in run.inputs.model_inputs],
        "outputs": [m.model_id for m in run.outputs.model_outputs] if run.outputs else [],
        "artifacts": artifact_paths(store, run.info.run_id),
    }


def artifact_paths(store: Store, run_id: str, path: str | None = None) -> list[str]:
    paths = []
    for item in store.client.list_artifacts(run_id, path):
        paths += artifact_paths(store, run_id, item.path) if item.is_dir else [item.path]
    return paths


def test_a_benchmark_run_holds_everything_once(store: Store) -> None:
    trained = store.training_run()
    folder = folder_for(store, store.plan(training_run_id=trained))

    recorded = tracking.record(folder.plan, folder.result)

    run = store.client.get_run(recorded.run_id)
    content = run_content(store, run)
    assert content["info"] == (
        "qwen-sft/checkpoint-500 · greedy, first 8",
        "FINISHED",
        int(STARTED_AT * 1000),
        int(FINISHED_AT * 1000),
    )
    history = content["history"]
    assert len(history) == 3 + 2 + 57 + 2 + 2
    assert history["validity/mmlu/truncated_share"] == [(0.0, int(FINISHED_AT * 1000), 0)]
    point = (int(FINISHED_AT * 1000), 0)
    assert history["bench/avg"] == [(pytest.approx(AVERAGE), *point)]
    assert history["bench/mmlu"] == [(pytest.approx(MMLU_SCORE), *point)]
    assert history["bench/gsm8k"] == [(25.0, *point)]
    assert history["coverage/mmlu"] == [(100.0, *point)]
    assert history["subset/mmlu/subject_56"] == [(50.0, *point)]
    assert content["params"] == {
        "base_model": "tiny/base-model",
        "base_identity": "ba" * 8,
        "adapter": "qwen-sft/checkpoint-500",
        "setting": "greedy, first 8",
        **folder.plan.parameters,
        "adapter.peft_type": "LORA",
        "adapter.r": "16",
        "adapter.lora_alpha": "32",
        "adapter.lora_dropout": "0.05",
        "adapter.target_modules": "q_proj,v_proj",
        "train.learning_rate": "0.0002",
        "train.epochs": "3",
    }
    assert [name for name, _ in content["datasets"]] == ["gsm8k", "mmlu"]
    assert content["models"] == [recorded.model_id]
    assert content["artifacts"] == [
        "configs/ftbench.py",
        "feedback.json",
        "launch.json",
        "logs/infer/deep.log",
        "logs/launch.log",
        "plan.json",
        "plots/scores.svg",
        "plots/subsets-mmlu.svg",
        "predictions/gsm8k.parquet",
        "predictions/mmlu.parquet",
        "report.md",
        "samples/gsm8k.json",
        "samples/mmlu.json",
        "samples.html",
        "summary.json",
    ]
    assert recorded.notes == ()


def test_a_benchmark_run_is_tagged_for_search(store: Store) -> None:
    trained = store.training_run()
    folder = folder_for(store, store.plan(training_run_id=trained))

    tags = store.client.get_run(tracking.record(folder.plan, folder.result).run_id).data.tags

    assert json.loads(tags.pop("mlflow.loggedArtifacts")) == [
        {"path": "samples/mmlu.json", "type": "table"},
        {"path": "samples/gsm8k.json", "type": "table"},
    ]
    assert tags.pop("mlflow.note.content").startswith("**avg 39.58, mmlu 54.17, gsm8k 25.00**")
    assert len(tags.pop("ftbench.comparable")) == 12
    assert tags.pop("ftbench.summary_sha256") == sha256_of(folder.plan.files.summary)
    tags.pop("ftbench.version.ftbench", None)  # only where ftbench is installed
    assert tags == {
        "mlflow.runName": "qwen-sft/checkpoint-500 · greedy, first 8",
        "mlflow.runType": "genai_evaluate",
        "mlflow.source.name": "ftbench",
        "mlflow.source.type": "JOB",
        "ftbench.kind": "eval",
        "ftbench.eval_key": "f0f0f0f0f0f0f0f0-20260921_143320",
        "ftbench.fingerprint": "f0" * 32,
        "ftbench.status": "ok",
        "ftbench.flagged": "none",
        "ftbench.flags": "none",
        "ftbench.model_abbr": "tiny-ft-f0f0f0f0",
        "ftbench.runtime": "local",
        "ftbench.run_dir": str(folder.path),
        "ftbench.adapter": str(store.folder / "qwen-sft" / "checkpoint-500"),
        "ftbench.adapter_sha256": "ad" * 32,
        "ftbench.train_run_id": trained,
        "ftbench.train_status": "FINISHED",
        "ftbench.asked.mmlu": asked(folder.result.datasets[0]),
        "ftbench.asked.gsm8k": asked(folder.result.datasets[1]),
        "ftbench.prompt.mmlu": "aa" * 8,
        "ftbench.prompt.gsm8k": "aa" * 8,
        "ftbench.version.opencompass": "0.5.4",
        "ftbench.version.torch": "2.13.0",
        "ftbench.launch.ending": "finished",
        "ftbench.image_digest": "sha256:1d",
    }


def test_the_logged_model_carries_headlines_and_lineage(store: Store) -> None:
    trained = store.training_run()
    folder = folder_for(store, store.plan(training_run_id=trained))

    recorded = tracking.record(folder.plan, folder.result)

    model = store.client.get_logged_model(recorded.model_id)
    assert model.name == "qwen-sft-checkpoint-500 · greedy, first 8"
    assert (model.status, model.model_type) == ("READY", "adapter")
    assert model.source_run_id == trained
    assert model.params["train.learning_rate"] == "0.0002"
    assert model.tags["ftbench.adapter_sha256"] == "ad" * 32
    metrics = {m.key: (m.value, m.dataset_name, m.run_id) for m in model.metrics}
    assert metrics == {
        "bench/avg": (pytest.approx(AVERAGE), None, recorded.run_id),
        "bench/mmlu": (pytest.approx(MMLU_SCORE), "mmlu", recorded.run_id),
        "bench/gsm8k": (25.0, "gsm8k", recorded.run_id),
    }


def test_the_training_run_gets_scores_beside_its_loss(store: Store) -> None:
    trained = store.training_run()
    folder = folder_for(store, store.plan(training_run_id=trained))

    recorded = tracking.record(folder.plan, folder.result)

    run = store.client.get_run(trained)
    assert run.data.metrics == {
        "loss": 0.75,
        "bench/avg": pytest.approx(AVERAGE),
        "bench/mmlu": pytest.approx(MMLU_SCORE),
        "bench/gsm8k": 25.0,
    }
    assert run.data.tags["ftbench.eval_run_id"] == recorded.run_id
    assert run.info.status == "FINISHED"
    assert [m.model_id for m in run.outputs.model_outputs] == [recorded.model_id]
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith(f"My own words.\n\n{BEGIN}\n**Benchmark: avg 39.58, ")
    assert f"(#/experiments/{recorded.experiment_id}/runs/{recorded.run_id})" in note


def test_scores_stand_at_the_step_of_their_weights(store: Store) -> None:
    trained = store.training_run()
    for step in (1, 2, None):
        result = result_of(gsm8k(50.0 if step is None else 12.5 * step))
        plan = store.plan(training_run_id=trained, step=step)
        stamp = f"20260921_14332{step or 0}"
        folder = make_run_folder(store.folder / "ws", plan, result, stamp=stamp)
        tracking.record(folder.plan, folder.result)

    history = store.client.get_metric_history(trained, "bench/gsm8k")
    # Without a step, they stand where the loss ended.
    assert sorted((m.step, m.value) for m in history) == [(1, 12.5), (2, 25.0), (2, 50.0)]
    outputs = store.client.get_run(trained).outputs.model_outputs
    assert {output.step for output in outputs} == {1}


def test_recording_again_changes_nothing(store: Store) -> None:
    trained = store.training_run()
    folder = folder_for(store, store.plan(training_run_id=trained))
    recorded = tracking.record(folder.plan, folder.result)
    before = everything_in(store)

    again = tracking.record(folder.plan, folder.result)

    assert again == recorded
    assert everything_in(store) == before
    assert len(before["runs"]) == 2
    assert len(before["models"]) == 1


def test_evaluating_again_makes_another_run_of_the_same_model(store: Store) -> None:
    trained = store.training_run()
    first = folder_for(store, store.plan(training_run_id=trained))
    second = folder_for(store, store.plan(training_run_id=trained), stamp="20260922_080000")

    one = tracking.record(first.plan, first.result)
    two = tracking.record(second.plan, replace(second.result, started_at=STARTED_AT + 9))

    assert one.run_id != two.run_id
    assert one.model_id == two.model_id
    note = store.client.get_run(trained).data.tags["mlflow.note.content"]
    assert note.count("| [qwen-sft/checkpoint-500") == 2
    assert note.index(
        f"| [qwen-sft/checkpoint-500 · greedy, first 8](#/experiments/1/runs/{two.run_id})"
    ) < note.index(f"runs/{one.run_id})")


def test_an_evaluation_that_went_on_replaces_its_partial_scores(store: Store) -> None:
    whole = mmlu(4)
    lost = tuple(subset(s.abbr, s.name, None, 8, status=TIMEOUT) for s in whole.subsets[30:])
    stopped = dataset("mmlu", (*whole.subsets[:30], *lost), status=PARTIAL)
    partial = replace(result_of(stopped, gsm8k(25.0)), finished_at=FINISHED_AT - 60)
    folder = folder_for(store, store.plan())

    first = tracking.record(
        folder.plan, replace(partial, failure=Reason("memory", "it was killed"))
    )
    run = store.client.get_run(first.run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["ftbench.status"] == "partial"
    assert run.data.tags["ftbench.failure"] == "memory: it was killed"
    assert run.data.tags["ftbench.reason.mmlu"] == (
        "partial: inference: ValueError: prompt | too long"
    )
    assert "bench/avg" not in run.data.metrics
    assert run.data.metrics["coverage/mmlu"] == pytest.approx(100 * 30 / 57)

    longer = replace(folder.plan, parameters={**folder.plan.parameters, "timeout": "7200"})
    second = tracking.record(longer, folder.result)

    run = store.client.get_run(second.run_id)
    assert second.run_id == first.run_id
    assert run.info.status == "FINISHED"
    assert run.data.tags["ftbench.status"] == "ok"
    assert run.data.metrics["bench/mmlu"] == pytest.approx(MMLU_SCORE)
    assert run.data.metrics["coverage/mmlu"] == 100.0
    left = [key for key in run.data.tags if key.startswith(("ftbench.reason", "ftbench.failure"))]
    assert left == []
    assert second.notes == ("timeout stays '3600' in MLflow; it was '7200' this time.",)


def test_groups_means_and_validity_are_metrics(store: Store) -> None:
    result = flagged(result_of(grouped_mmlu(), cut_off_gsm8k()), 0.05)
    folder = make_run_folder(store.folder / "ws", store.plan(), result)

    run = store.client.get_run(tracking.record(folder.plan, folder.result).run_id)

    metrics = run.data.metrics
    kinds = ("weighted/", "group/", "validity/")
    assert {key: value for key, value in metrics.items() if key.startswith(kinds)} == {
        "weighted/mmlu": 57.0,
        "group/mmlu/mmlu-stem": 62.5,
        "group/mmlu/mmlu-other": 10.0,
        "group/mmlu/mmlu-all": 36.25,
        "validity/mmlu/truncated_share": 0.0,
        "validity/gsm8k/truncated_share": 0.4375,
        "validity/gsm8k/empty_share": 0.0,
        "validity/gsm8k/mean_output_tokens": 140.0,
    }


def test_flags_stand_beside_the_scores_and_follow_the_threshold(store: Store) -> None:
    trained = store.training_run()
    plan = store.plan(training_run_id=trained)
    result = result_of(mmlu(4), cut_off_gsm8k())
    folder = make_run_folder(store.folder / "ws", plan, result)

    recorded = tracking.record(folder.plan, flagged(result, 0.05))

    tags = store.client.get_run(recorded.run_id).data.tags
    assert tags["ftbench.flagged"] == "gsm8k"
    assert tags["ftbench.flags"] == (
        "gsm8k: 7 of 16 answers (44 %) reached the generation limit; "
        "gsm8k: its score is rule-only: "
        "what the rules do not accept counts as wrong"
    )
    assert tags["ftbench.label.gsm8k"] == "rule-only"
    tags = store.client.get_run(trained).data.tags
    assert tags["ftbench.flagged"] == "gsm8k"
    assert "mmlu 54.17, gsm8k 25.00&nbsp;\\***" in tags["mlflow.note.content"]

    tracking.record(folder.plan, flagged(result, 0.5))

    tags = store.client.get_run(recorded.run_id).data.tags
    assert (
        tags["ftbench.flags"] == "gsm8k: its score is rule-only: "
        "what the rules do not accept counts as wrong"
    )


def test_partial_scores_are_not_written_to_the_training_run(store: Store) -> None:
    trained = store.training_run()
    whole = mmlu(4)
    lost = subset("lukaemon_mmlu_subject_56", "subject_56", None, 8, status=FAILED)
    broken = dataset("mmlu", (*whole.subsets[:-1], lost), status=PARTIAL)
    folder = folder_for(store, store.plan(training_run_id=trained))

    tracking.record(folder.plan, result_of(broken, gsm8k(25.0)))

    run = store.client.get_run(trained)
    assert run.data.metrics == {"loss": 0.75, "bench/gsm8k": 25.0}
    assert run.data.tags["ftbench.eval_status"] == "partial"


def test_an_evaluation_without_any_score_is_a_failed_run(store: Store) -> None:
    lost = dataset("gsm8k", (subset("gsm8k", "gsm8k", None, 16, status=FAILED),), status=FAILED)
    folder = make_run_folder(store.folder / "ws", store.plan(), result_of(lost))

    recorded = tracking.record(folder.plan, folder.result)

    run = store.client.get_run(recorded.run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["ftbench.status"] == "failed"
    assert run.data.metrics == {"seconds/gsm8k": 0.5}


@pytest.mark.parametrize(
    ("write_back", "metrics", "tag"),
    [
        ("metrics", {"loss", "bench/avg", "bench/mmlu", "bench/gsm8k"}, None),
        ("tags", {"loss"}, "25.0"),
        ("none", {"loss"}, None),
    ],
)
def test_write_back_is_as_asked(
    store: Store, write_back: str, metrics: set[str], tag: str | None
) -> None:
    trained = store.training_run()
    folder = folder_for(store, store.plan(training_run_id=trained, write_back=write_back))

    tracking.record(folder.plan, folder.result)

    run = store.client.get_run(trained)
    assert set(run.data.metrics) == metrics
    assert run.data.tags.get("ftbench.bench.gsm8k") == tag
    is_untouched = run.data.tags["mlflow.note.content"] == "My own words."
    assert is_untouched == (write_back == "none")
    assert ("ftbench.eval_run_id" in run.data.tags) == (write_back != "none")


def test_the_experiment_is_the_configured_else_the_training_runs_else_ftbench(
    store: Store,
) -> None:
    trained = store.training_run("sft")
    cases = [
        (store.plan(experiment="chosen", training_run_id=trained), "chosen"),
        (store.plan(training_run_id=trained), "sft"),
        (store.plan(), "ftbench"),
    ]
    for number, (plan, name) in enumerate(cases):
        folder = folder_for(store, plan, stamp=f"2026092{number}_000000")
        recorded = tracking.record(folder.plan, folder.result)
        assert store.client.get_experiment(recorded.experiment_id).name == name


def test_artifacts_of_a_database_lie_beside_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    folder = folder_for(store, store.plan(experiment="a/b c"))

    recorded = tracking.record(folder.plan, folder.result)

    artifacts = store.folder / "mlruns" / "a_b_c" / recorded.run_id / "artifacts"
    assert json.loads((artifacts / "summary.json").read_text())["fingerprint"] == "f0" * 32
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("experiment", [None, "another"])
def test_nesting_needs_the_training_runs_experiment(store: Store, experiment: str | None) -> None:
    trained = store.training_run()
    plan = store.plan(training_run_id=trained, nest=True, experiment=experiment)
    folder = folder_for(store, plan)

    recorded = tracking.record(folder.plan, folder.result)

    tags = store.client.get_run(recorded.run_id).data.tags
    if experiment is None:
        assert tags["mlflow.parentRunId"] == trained
        assert recorded.notes == ()
    else:
        assert "mlflow.parentRunId" not in tags
        assert recorded.notes == (
            "tracking.nest was left out: the training run is in another experiment.",
        )


def test_a_base_model_is_recorded_in_its_own_colour(store: Store) -> None:
    folder = make_run_folder(store.folder / "ws", store.plan(), result_of(gsm8k()))

    recorded = tracking.record(folder.plan, folder.result)

    run = store.client.get_run(recorded.run_id)
    assert run.info.run_name == "tiny/base-model · greedy, first 8"
    assert run.data.params["adapter"] == "base"
    assert run.data.tags["mlflow.runColor"] == "#8a8a8a"
    assert "ftbench.adapter_sha256" not in run.data.tags


def test_a_trainers_own_run_is_left_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "sft")
    mlflow.set_tracking_uri(store.uri)
    trained = store.training_run()
    monkeypatch.setenv("MLFLOW_RUN_ID", trained)
    folder = folder_for(store, store.plan(experiment="benchmarks"))
    try:
        with mlflow.start_run() as active:
            recorded = tracking.record(folder.plan, folder.result)
            assert mlflow.active_run().info.run_id == active.info.run_id == trained
    finally:
        mlflow.set_tracking_uri(None)

    assert recorded.run_id != trained
    assert store.client.get_run(trained).data.metrics == {"loss": 0.75}


def test_views_are_saved_with_the_experiment(store: Store) -> None:
    folder = folder_for(store, store.plan(training_run_id=store.training_run()))

    recorded = tracking.record(folder.plan, folder.result)

    tags = store.client.get_experiment(recorded.experiment_id).tags
    assert {"mlflow.sharedViewState.ftbench", "mlflow.sharedViewState.ftbench-training"} <= set(
        tags
    )
    root = f"http://127.0.0.1:5000/#/experiments/{recorded.experiment_id}/runs"
    assert recorded.run_url == f"{root}/{recorded.run_id}"
    assert recorded.view_url == (f"{root}?viewStateShareKey=ftbench&workflowType=machine_learning")
    charts = "viewStateShareKey=ftbench&workflowType=machine_learning&compareRunsMode=CHART"
    assert recorded.charts_url == f"{root}?{charts}"
    assert recorded.open_with.endswith(f"-m mlflow ui --backend-store-uri {store.uri}")


def test_credentials_never_get_into_mlflow(store: Store) -> None:
    folder = folder_for(store, store.plan())
    leaky = replace(
        folder.plan,
        command=("ftbench", "tracking.uri=https://me:hunter22@host/x"),
        parameters={"tracking.uri": "https://me:hunter22@host/x"},
    )
    folder.plan.files.plan.write_text(json.dumps({"uri": "https://me:hunter22@host/x"}))

    tracking.record(leaky, folder.result)

    written = [p for p in store.folder.rglob("*") if p.is_file() and "workspace" not in p.parts]
    assert len(written) > 10
    assert [p for p in written if b"hunter22" in p.read_bytes()] == []


def test_a_missing_training_run_is_an_error_with_a_log(store: Store) -> None:
    folder = folder_for(store, store.plan(training_run_id="ab" * 16))

    with pytest.raises(TrackingError) as caught:
        tracking.record(folder.plan, folder.result)

    log = folder.path / "logs" / "tracking.log"
    assert str(caught.value) == (
        "The scores are safe on disk but were not recorded\n"
        f"recording into {store.uri}: MlflowException: Run with id=abababababababababababababababab"
        " not found\n"
        f"  log: {log}\n"
        f"  try: python -m ftbench.record {folder.path}"
    )
    assert "Traceback" in log.read_text()


def test_tracking_none_is_not_recorded(store: Store) -> None:
    folder = folder_for(store, TrackingPlan("none"))

    with pytest.raises(TrackingError, match="it was planned with tracking=none"):
        tracking.record(folder.plan, folder.result)


def test_recording_works_in_a_folder_with_an_odd_name(weird_tmp_path: Path) -> None:
    plan = TrackingPlan("mlflow", f"sqlite:///{weird_tmp_path}/mlflow.db")
    folder = make_run_folder(weird_tmp_path / "ws", plan, result_of(gsm8k()))

    recorded = tracking.record(folder.plan, folder.result)

    artifacts = weird_tmp_path / "mlruns" / "ftbench" / recorded.run_id / "artifacts"
    assert (artifacts / "samples" / "gsm8k.json").is_file()
