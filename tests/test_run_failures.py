"""Evaluations that do not end well: their exit codes, and that no score is lost."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from ftbench import ready, tracking
from ftbench.config import ModelConf
from ftbench.errors import LaunchError, PreflightError, Problem, TrackingError
from ftbench.host import Host, command_line
from ftbench.plan import Plan
from ftbench.runtimes.base import (
    FINISHED,
    INTERRUPTED,
    OUT_OF_MEMORY,
    STOPPED_OUTSIDE,
    TIMED_OUT,
    Launch,
)
from ftbench.schema import Canary, Reason, Result, RunFiles, read_result, write_result
from ftbench.tracking import Recorded
from ftbench.tracking.scores import of_canary, overall_status
from tests.run_fixtures import (
    BROKEN,
    CRASH,
    INTO_MLFLOW,
    World,
    catch_recordings,
    fail_at_loading,
    finish,
    finish_without,
    make_world,
    stop_after_mmlu,
)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return make_world(tmp_path, monkeypatch)


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Plan, Result]]:
    return catch_recordings(monkeypatch)


@pytest.mark.parametrize(
    ("launch", "exit_code", "status", "message"),
    [
        (CRASH, 4, "failed", "ended with exit code 1"),
        (Launch(OUT_OF_MEMORY, 137), 4, "failed", "the evaluation process ran out of memory"),
        (Launch(STOPPED_OUTSIDE, 143, "SIGTERM"), 4, "failed", "SIGTERM"),
        (Launch(TIMED_OUT, 124, "stopped after timeout=9 seconds"), 5, "timeout", "stopped after"),
        (Launch(FINISHED, 0), 5, "failed", "the evaluation program ended without finishing it"),
        (Launch(INTERRUPTED), 130, "failed", "the run was interrupted"),
    ],
    ids=lambda value: value.ending if isinstance(value, Launch) else "",
)
def test_evaluate_keeps_and_records_what_was_scored_before_an_end(
    world: World,
    recordings: list[tuple[Plan, Result]],
    launch: Launch,
    exit_code: int,
    status: str,
    message: str,
) -> None:
    world.runtime.programs = [stop_after_mmlu(launch)]
    outcome = world.evaluate(tracking=INTO_MLFLOW)
    assert outcome.exit_code == exit_code
    ((_, recorded),) = recordings
    mmlu, gsm8k = recorded.datasets
    assert (mmlu.status, mmlu.score) == ("ok", 62.3)
    assert (gsm8k.status, gsm8k.score) == (status, None)
    assert gsm8k.reason is not None
    assert gsm8k.reason.message.startswith(message)
    assert read_result(outcome.plan.files.summary) == recorded
    assert "Code: Average Score: 62.3% (1/2 datasets)\nFinal Decision: False\n" in world.printed


def test_evaluate_turns_a_signal_during_the_launch_into_130(world: World) -> None:
    def interrupted(plan: Plan) -> Launch:
        stop_after_mmlu(CRASH)(plan)
        raise KeyboardInterrupt

    world.runtime.programs = [interrupted]
    outcome = world.evaluate()
    assert outcome.exit_code == 130
    assert json.loads(outcome.plan.files.launch.read_text())["ending"] == "interrupted"
    assert "gsm8k: failed: interrupted; the same command goes on" in world.printed


def interrupt_at(step: str, world: World, monkeypatch: pytest.MonkeyPatch) -> str:
    """Presses Ctrl-C when an evaluation comes to a step; returns what it says to that."""
    with monkeypatch.context() as patch:
        patch.setattr(step, lambda *args: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            world.evaluate()
    return f"interrupted; what is finished is kept. To go on: {command_line(world.host.command)}\n"


def test_ctrl_c_before_the_launch_says_how_to_start_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = interrupt_at("ftbench.line.preflight", world, monkeypatch)
    assert world.printed == said
    assert (world.runtime.launched, [*world.folder.glob("scores/*/*")]) == ([], [])
    assert world.evaluate().exit_code == 0


def test_ctrl_c_behind_the_launch_loses_no_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = interrupt_at("ftbench.line.collect", world, monkeypatch)
    assert world.printed.endswith(said)
    (interrupted,) = world.folder.glob("scores/*/*")
    assert world.evaluate().exit_code == 0
    assert [*world.folder.glob("scores/*/*")] == [interrupted]


def test_ctrl_c_during_the_recording_shows_the_scores_and_says_how_to_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = replace(INTO_MLFLOW, uri=f"sqlite:///{world.folder / 'scores.db'}")
    with monkeypatch.context() as patch:
        # The benchmark run is there with its scores, and nothing else of it.
        patch.setattr(
            "ftbench.tracking.recorder._log_artifacts",
            lambda target: signal.raise_signal(signal.SIGINT),
        )
        outcome = world.evaluate(tracking=place, baseline="base")
    assert outcome.exit_code == 130
    assert len(world.runtime.launched) == 1
    assert outcome.result is not None and outcome.result.is_complete
    assert "    gsm8k: 45.7\n" in world.printed
    assert "interrupted while they were recorded; the scores are safe on disk" in world.printed
    assert "interrupted; the same command goes on, then with the base model" in world.printed
    assert f"To go on: {command_line(outcome.plan.command)}" in world.printed

    again = world.evaluate(tracking=place)
    assert (again.exit_code, len(world.runtime.launched)) == (0, 1)
    (run,) = MlflowClient(place.uri).search_runs(
        [again.pointers.experiment_id], "tags.`ftbench.kind` = 'eval'"
    )
    assert (run.info.run_id, run.info.status) == (again.pointers.run_id, "FINISHED")


def test_evaluate_of_a_partial_dataset_ends_with_5(world: World) -> None:
    world.runtime.programs = [finish_without("lukaemon_mmlu_virology")]
    outcome = world.evaluate()
    assert outcome.exit_code == 5
    assert outcome.result is not None
    mmlu = outcome.result.datasets[0]
    assert (mmlu.status, mmlu.aggregation) == ("partial", "mean of 56 of 57 subsets")
    assert mmlu.reason == BROKEN
    assert mmlu.score == pytest.approx(62.3)


def test_evaluate_of_a_model_that_does_not_load_ends_with_5(world: World) -> None:
    world.runtime.programs = [fail_at_loading]
    assert world.evaluate().exit_code == 5
    assert (
        "Execution: Benchmark completed: 0/2 datasets (OSError: no tokenizer in base)\n"
    ) in world.printed


def test_evaluate_of_an_adapter_without_effect_ends_with_5_and_says_what_was_measured(
    world: World, recordings: list[tuple[Plan, Result]]
) -> None:
    why = "the adapter has no effect: 8 fixed prompts were answered alike with it and without it"

    def stop_at_canary(plan: Plan) -> Launch:
        launch = fail_at_loading(plan)
        found = Canary(prompts=8, max_logprob_difference=0.0, noise=0.0)
        result = read_result(plan.files.result)
        failed = replace(
            result, failure=Reason("adapter", why), model=replace(result.model, canary=found)
        )
        write_result(plan.files.result, failed)
        return launch

    world.runtime.programs = [stop_at_canary]
    outcome = world.evaluate(tracking=INTO_MLFLOW)
    assert outcome.exit_code == 5
    assert f"Execution: Benchmark completed: 0/2 datasets ({why})\n" in world.printed
    sentence = "Canary: the adapter changes the answers to 0 of 8 fixed prompts: it has no effect."
    assert sentence in world.printed
    assert sentence in outcome.plan.files.report.read_text()
    said = json.loads(outcome.plan.files.feedback.read_text())["canary"]
    assert (said["changed_fraction"], said["max_logprob_difference"]) == (0.0, 0.0)
    ((_, recorded),) = recordings
    assert recorded.model.canary is not None
    assert overall_status(recorded) == "failed"
    logged = {score.key: score.value for score in of_canary(recorded.model.canary)}
    assert logged == {"canary/changed_fraction": 0.0, "canary/max_logprob_difference": 0.0}


def test_evaluate_names_a_download_that_failed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: object, host: Host) -> list[Problem]:
        return [Problem("downloading some/model", "401 Unauthorized")]

    monkeypatch.setattr(ready, "download_base", refuse)
    with pytest.raises(PreflightError, match="downloading some/model: 401 Unauthorized"):
        world.evaluate(model=ModelConf(base="some/model"))
    assert "downloading some/model\n" in world.printed


def test_evaluate_keeps_the_scores_when_the_tracker_fails(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "check", lambda *checked: [])
    (world.folder / "scores.db").write_text("this is no database, and was one at preflight")
    outcome = world.evaluate(tracking=INTO_MLFLOW)
    assert outcome.exit_code == 6
    assert read_result(outcome.plan.files.summary).is_complete
    assert f"python -m ftbench.record {outcome.plan.run_dir}" in world.printed
    assert "Final Decision: True\n" in world.printed


def test_evaluate_ends_with_the_results_code_when_the_tracker_fails_too(
    world: World, recordings: list[tuple[Plan, Result]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(plan: Plan, result: Result, is_found: bool) -> Recorded:
        raise TrackingError(Problem("recording", "connection refused"))

    monkeypatch.setattr(tracking, "record", fail)
    world.runtime.programs = [finish_without("gsm8k")]
    assert world.evaluate(tracking=INTO_MLFLOW).exit_code == 5


def test_evaluate_after_a_failed_training_decides_false(
    world: World, recordings: list[tuple[Plan, Result]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "training_status", lambda plan: "FAILED")
    conf = replace(INTO_MLFLOW, training_run_id="t1")
    with pytest.raises(PreflightError) as caught:
        world.evaluate(tracking=conf)
    assert caught.value.exit_code == 3
    why = "that training run has FAILED, so there is nothing to evaluate"
    assert world.printed == (
        f"Execution: Benchmark completed: 0/2 datasets ({why})\n"
        "Return Checking:\n"
        "  Benchmark Results:\n"
        f"    mmlu: failed: {why}\n"
        f"    gsm8k: failed: {why}\n"
        "Code: Average Score: none (0/2 datasets)\n"
        "Final Decision: False\n"
    )
    assert world.runtime.launched == []
    assert recordings == []


def test_evaluate_that_cannot_start_decides_false(world: World) -> None:
    def refuse(plan: Plan) -> Launch:
        raise LaunchError(Problem("starting", "no engine answers"))

    world.runtime.programs = [refuse]
    with pytest.raises(LaunchError):
        world.evaluate("gsm8k")
    assert "    gsm8k: failed: no engine answers\n" in world.printed
    assert "Final Decision: False\n" in world.printed


def test_evaluate_ignores_a_result_that_another_evaluation_left(world: World) -> None:
    def leave_nothing(plan: Plan) -> Launch:
        return CRASH

    world.runtime.programs = [finish, leave_nothing]
    world.evaluate()
    outcome = world.evaluate(limit=2)
    assert outcome.result is not None
    assert outcome.result.datasets[0].reason == Reason(
        "crashed", "ended with exit code 1", "logs/launch.log"
    )
    assert not RunFiles(outcome.plan.run_dir).result.exists()
