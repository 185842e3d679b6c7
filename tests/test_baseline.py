"""The baseline: the base model evaluated by itself, once, and what the scores are against it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ftbench import tracking
from ftbench.config import ModelConf
from ftbench.deltas import read_deltas
from ftbench.errors import LaunchError, PreflightError, Problem
from ftbench.outcome import Outcome
from ftbench.plan import Plan
from ftbench.record import record_folder
from ftbench.runtimes.base import FINISHED, INTERRUPTED, Launch
from ftbench.schema import OK, read_result, write_result
from tests.checkpoint.folders import lora_tensors, make_adapter
from tests.run_fixtures import (
    INTO_MLFLOW,
    World,
    answer_twenty,
    catch_recordings,
    finish,
    make_world,
    stop_after_mmlu,
)

GAIN = {"mmlu": 25.0, "gsm8k": 12.5}
"""Points that an adapter has more than its base, which scores 62.3 and 45.7."""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = make_world(tmp_path, monkeypatch)
    made.runtime.programs = [answer]
    return made


def answer(plan: Plan) -> Launch:
    """A program that knows what it asked, and scores an adapter higher than its base."""
    launch = finish(plan)
    result = read_result(plan.files.result)
    datasets = []
    for dataset in result.datasets:
        gain = GAIN[dataset.name] if plan.model.adapter else 0.0
        subsets = tuple(
            replace(
                subset,
                score=(subset.score or 0.0) + gain,
                metrics={"accuracy": (subset.score or 0.0) + gain},
                data_hash="a" * 16,
                prompt_hash="b" * 16,
            )
            for subset in dataset.subsets
        )
        for subset in subsets:
            path = plan.files.results / plan.model_abbr / f"{subset.abbr}.json"
            path.write_text(json.dumps({"accuracy": subset.score}))
        datasets.append(replace(dataset, subsets=subsets))
    write_result(plan.files.result, replace(result, datasets=tuple(datasets)))
    return launch


def evaluate(world: World, datasets: str = "gsm8k", **changes: Any) -> Outcome:
    return world.evaluate(datasets, **{"baseline": "base", **changes})


def other_adapter(world: World) -> ModelConf:
    tensors = {name: value + 1 for name, value in lora_tensors().items()}
    base = str(world.folder / "base")
    made = make_adapter(world.folder / "other", tensors, base_model_name_or_path=base)
    return ModelConf(adapter=str(made))


def launched(world: World) -> list[str]:
    return ["adapter" if plan.model.adapter else "base" for plan in world.runtime.launched]


def feedback_of(outcome: Outcome) -> Any:
    return json.loads(outcome.plan.files.feedback.read_text())


def test_base_is_evaluated_after_its_adapter_beside_it(world: World) -> None:
    outcome = evaluate(world)
    assert outcome.exit_code == 0
    assert launched(world) == ["adapter", "base"]
    own, base = world.runtime.launched
    assert base.fingerprint == own.base_fingerprint
    assert base.workspace == own.workspace.parent / base.model_abbr
    assert base.parameters["baseline"] == "none"
    assert base.command[-1] == f"model.base={world.folder / 'base'}"
    assert not any(part.startswith("model.adapter=") for part in base.command)


def test_difference_is_in_feedback_report_and_json(world: World) -> None:
    outcome = evaluate(world)
    assert outcome.deltas is not None
    (delta,) = outcome.deltas.datasets
    assert (delta.baseline_score, delta.score) == pytest.approx((45.7, 58.2))
    assert delta.difference == pytest.approx(12.5)
    assert "Final Decision: True\nAgainst base " in world.printed
    assert "  gsm8k: 45.7 -> 58.2, +12.5" in world.printed
    value = feedback_of(outcome)
    assert value["baseline"]["kind"] == "base"
    assert value["baseline"]["run_dir"] == str(world.runtime.launched[1].run_dir)
    own = value["datasets"]["gsm8k"]
    assert own["delta"] == pytest.approx(12.5)
    assert {"delta_low", "delta_high", "p_value", "verdict"} <= own.keys()
    assert "## Against base" in outcome.plan.files.report.read_text()
    assert json.loads(outcome.plan.files.comparison.read_text())["kind"] == "ftbench.comparison"


def test_difference_has_its_interval_and_verdict(world: World) -> None:
    world.runtime.programs = [answer_twenty]
    outcome = evaluate(world)
    assert outcome.deltas is not None
    (delta,) = outcome.deltas.datasets
    assert (delta.difference, delta.verdict, delta.why_not) == (75.0, "better", "")
    assert (delta.gained, delta.lost, delta.rows) == (15, 0, 20)
    # McNemar, exact: 15 of 15 answers that changed became right.
    assert delta.p_value == pytest.approx(2 * 0.5**15)
    assert delta.low is not None and delta.high is not None
    assert 0 < delta.low < 75 < delta.high <= 100
    assert "  gsm8k: 25.0 -> 100.0, +75.0 [+" in world.printed
    own = feedback_of(outcome)["datasets"]["gsm8k"]
    assert (own["delta_low"], own["delta_high"]) == (delta.low, delta.high)
    assert (own["verdict"], own["p_value"]) == ("better", delta.p_value)


def test_base_is_evaluated_once_for_two_adapters(world: World) -> None:
    first = evaluate(world)
    second = evaluate(world, model=other_adapter(world))
    assert launched(world) == ["adapter", "base", "adapter"]
    assert first.deltas is not None and second.deltas is not None
    assert first.deltas.run_dir == second.deltas.run_dir
    third = evaluate(world)
    assert third.deltas == first.deltas
    assert len(world.runtime.launched) == 3


def test_base_that_shares_its_adapters_workspace_is_found_there(world: World) -> None:
    base = evaluate(world, model=ModelConf(base=str(world.folder / "base")))
    assert base.deltas is not None and "it" in base.deltas.why_not
    outcome = evaluate(world)
    assert launched(world) == ["base", "adapter"]
    assert outcome.deltas is not None
    assert outcome.deltas.run_dir == str(base.plan.run_dir)


def test_baseline_none_evaluates_and_says_nothing(world: World) -> None:
    outcome = evaluate(world, baseline="none")
    assert launched(world) == ["adapter"]
    assert outcome.deltas is None
    assert "Against" not in world.printed
    assert feedback_of(outcome)["baseline"] is None


def test_baseline_of_a_model_without_adapter_says_why_there_is_none(world: World) -> None:
    outcome = evaluate(world, model=ModelConf(base=str(world.folder / "base")))
    assert (outcome.exit_code, launched(world)) == (0, ["base"])
    assert "no difference: without an adapter this is the base model itself" in world.printed


def test_baseline_may_be_a_run_folder(world: World) -> None:
    first = evaluate(world, baseline="none")
    outcome = evaluate(world, baseline=str(first.plan.run_dir), model=other_adapter(world))
    assert launched(world) == ["adapter", "adapter"]
    assert outcome.deltas is not None
    assert outcome.deltas.kind == "run"
    assert outcome.deltas.datasets[0].difference == 0


@pytest.mark.parametrize("is_reused", [False, True])
def test_unknown_baseline_stops_before_the_launch(world: World, is_reused: bool) -> None:
    if is_reused:
        evaluate(world, baseline="none")
    with pytest.raises(PreflightError, match="baseline=nowhere"):
        evaluate(world, baseline="nowhere")
    assert len(world.runtime.launched) == is_reused


def test_baseline_that_asks_nothing_alike_stops_before_the_launch(world: World) -> None:
    first = evaluate(world, baseline="none")
    with pytest.raises(PreflightError, match="it did not evaluate mmlu"):
        evaluate(world, "mmlu", baseline=str(first.plan.run_dir))
    assert launched(world) == ["adapter"]


def test_base_that_cannot_be_evaluated_stops_before_the_launch(world: World) -> None:
    (world.adapter / "chat_template.jinja").write_text("{{ messages }}")
    conf = ModelConf(adapter=str(world.adapter), type="chat")
    with pytest.raises(PreflightError, match=r"baseline=base: model\.type=chat"):
        evaluate(world, model=conf)
    assert evaluate(world, model=conf, baseline="none").exit_code == 0


def refuse(plan: Plan) -> Launch:
    raise LaunchError(Problem("starting", "no room on the GPU"))


@pytest.mark.parametrize(
    ("program", "code", "why"),
    [
        (refuse, 5, "its evaluation failed: starting: no room on the GPU"),
        (lambda plan: Launch(INTERRUPTED), 130, "its evaluation failed"),
        (lambda plan: Launch(FINISHED, 0), 5, "its evaluation failed"),
    ],
    ids=["refused", "interrupted", "empty"],
)
def test_scores_stand_when_the_base_fails(world: World, program: Any, code: int, why: str) -> None:
    world.runtime.programs = [answer, program, answer]
    outcome = evaluate(world)
    assert outcome.exit_code == code
    assert outcome.result is not None and outcome.result.is_complete
    assert f"no difference: {why}" in world.printed
    assert feedback_of(outcome)["baseline"]["why_not"].startswith(why)
    again = evaluate(world)
    assert (again.exit_code, launched(world)) == (0, ["adapter", "base", "base"])
    assert again.deltas is not None and again.deltas.datasets[0].difference is not None


def test_scores_are_recorded_before_the_base_is_evaluated(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = catch_recordings(monkeypatch)
    monkeypatch.setattr(tracking, "experiment_name", lambda *asked: "training")
    monkeypatch.setattr(tracking, "record_deltas", lambda *told: None)
    at_launch = []
    world.runtime.programs = [answer, lambda plan: at_launch.append(len(taken)) or answer(plan)]
    place = replace(INTO_MLFLOW, training_run_id=None)
    assert evaluate(world, tracking=place).exit_code == 0
    assert at_launch == [1]
    own, base = (plan for plan, _ in taken)
    assert own.model.adapter is not None and base.model.adapter is None
    assert base.tracking.experiment == "training"
    assert base.tracking.training_run_id is None


def test_base_is_not_evaluated_for_what_did_not_end(world: World) -> None:
    world.runtime.programs = [stop_after_mmlu(Launch(INTERRUPTED)), answer]
    outcome = evaluate(world, "mmlu gsm8k")
    assert (outcome.exit_code, launched(world)) == (130, ["adapter"])
    assert "the same command goes on, then with the base model" in world.printed


def test_dataset_that_cannot_be_compared_says_why(world: World) -> None:
    def ask_otherwise(plan: Plan) -> Launch:
        launch = answer(plan)
        result = read_result(plan.files.result)
        mmlu, gsm8k = result.datasets
        other = tuple(replace(s, prompt_hash="c" * 16) for s in gsm8k.subsets)
        changed = replace(result, datasets=(mmlu, replace(gsm8k, subsets=other)))
        write_result(plan.files.result, changed)
        return launch

    world.runtime.programs = [answer, ask_otherwise]
    outcome = evaluate(world, "mmlu gsm8k")
    assert outcome.exit_code == 0 and outcome.deltas is not None
    mmlu, gsm8k = outcome.deltas.datasets
    assert mmlu.difference == pytest.approx(25.0)
    assert (gsm8k.difference, gsm8k.verdict) == (None, "not comparable")
    assert "  gsm8k: not comparable: other prompt (bbbb vs cccc)" in world.printed
    assert outcome.result is not None and {d.status for d in outcome.result.datasets} == {OK}


def test_dry_run_says_what_becomes_of_the_base(world: World) -> None:
    evaluate(world, dry_run=True)
    assert "baseline:\n  base " in world.printed
    assert "it is evaluated after the adapter, within 3600 s of its own" in world.printed
    evaluate(world)
    evaluate(world, dry_run=True)
    assert "has it complete, nothing is launched" in world.printed
    assert len(world.runtime.launched) == 2


def test_reuse_never_takes_the_base_that_is_there(world: World) -> None:
    evaluate(world)
    evaluate(world, reuse="never")
    assert launched(world) == ["adapter", "base", "adapter"]


def test_waiting_jobs_share_one_base(world: World) -> None:
    from concurrent.futures import ThreadPoolExecutor

    other = other_adapter(world)
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(evaluate, world), pool.submit(evaluate, world, model=other)]
        outcomes = [job.result(timeout=120) for job in jobs]
    assert sorted(launched(world)) == ["adapter", "adapter", "base"]
    assert len({o.deltas.run_dir for o in outcomes if o.deltas}) == 1


def test_differences_are_in_mlflow_and_can_be_recorded_later(world: World) -> None:
    from mlflow import MlflowClient

    later = evaluate(world)
    assert read_deltas(later.plan.files) is not None
    uri = f"sqlite:///{world.folder / 'scores.db'}"
    recorded = record_folder(later.plan.run_dir, uri)
    assert recorded.notes == ()
    client = MlflowClient(tracking_uri=uri)
    own = client.get_run(recorded.run_id)
    assert own.data.metrics["delta_vs_base/gsm8k"] == pytest.approx(12.5)
    base = client.get_run(own.data.tags["ftbench.delta_base_run_id"])
    assert base.data.params["adapter"] == "base"
    assert base.info.experiment_id == own.info.experiment_id
    assert own.data.tags["ftbench.base_run_id"] == base.info.run_id
    assert own.data.tags["ftbench.vs_base"].startswith("avg +12.5 · gsm8k +12.5")
    assert "comparison.json" in {item.path for item in client.list_artifacts(recorded.run_id)}
    # The next adapter, elsewhere: the base comes out of MLflow.
    place = replace(INTO_MLFLOW, uri=uri)
    outcome = evaluate(
        world, tracking=place, workspace="elsewhere/scores", model=other_adapter(world)
    )
    assert launched(world) == ["adapter", "base", "adapter"]
    assert outcome.deltas is not None and outcome.deltas.run_id == base.info.run_id
    assert outcome.exit_code == 0
    best = evaluate(
        world,
        tracking=place,
        workspace="elsewhere/scores",
        model=ModelConf(base=str(world.folder / "base")),
        baseline="best",
    )
    assert best.deltas is not None and best.deltas.kind == "best"
    assert best.deltas.datasets[0].difference == pytest.approx(-12.5)
    metrics = client.get_run(best.pointers.run_id).data.metrics
    assert metrics["delta_vs_baseline/gsm8k"] == pytest.approx(-12.5)
    assert not any(key.startswith("delta_vs_base/") for key in metrics)
