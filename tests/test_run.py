"""The whole line with a fake runtime: what is launched, kept, reused, and what is not."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from ftbench import ready
from ftbench.config import JudgeConf, ModelConf
from ftbench.errors import ConfigError, PreflightError
from ftbench.outcome import Outcome
from ftbench.plan import Plan
from ftbench.runtimes.base import Launch
from ftbench.schema import Result, read_result, write_result
from tests.judge_server import judge_server
from tests.run_fixtures import (
    CRASH,
    INTO_MLFLOW,
    World,
    catch_recordings,
    finish,
    make_world,
    stop_after_mmlu,
)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return make_world(tmp_path, monkeypatch)


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Plan, Result]]:
    return catch_recordings(monkeypatch)


def finish_with_a_cut_answer(plan: Plan) -> Launch:
    launch = finish(plan)
    result = read_result(plan.files.result)
    mmlu, gsm8k = result.datasets
    cut = replace(gsm8k.subsets[0], expected=16, completed=16, truncated=1)
    datasets = (mmlu, replace(gsm8k, subsets=(cut,)))
    write_result(plan.files.result, replace(result, datasets=datasets))
    return launch


def evaluate_twice_at_once(world: World, **changes: str) -> list[Outcome]:
    """The first evaluation does not end before the second one waits for it."""
    is_at_work, waits = threading.Event(), threading.Event()

    def finish_once_the_second_waits(plan: Plan) -> Launch:
        is_at_work.set()
        assert waits.wait(60)
        return finish(plan)

    world.runtime.programs = [finish_once_the_second_waits, finish]
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(world.evaluate, **changes)
        assert is_at_work.wait(60)
        second = pool.submit(world.evaluate, **changes)
        while "waiting: another process is at work on this evaluation" not in world.printed:
            assert not second.done()
            time.sleep(0.01)
        waits.set()
    return [first.result(), second.result()]


def test_evaluate_prints_the_missions_feedback(world: World) -> None:
    assert world.evaluate().exit_code == 0
    assert (
        "Execution: Benchmark completed: 2/2 datasets\n"
        "Return Checking:\n"
        "  Benchmark Results:\n"
        "    mmlu: 62.3\n"
        "    gsm8k: 45.7\n"
        "Code: Average Score: 54.0%\n"
        "Final Decision: True\n"
    ) in world.printed


def test_evaluate_leaves_every_stage_in_the_run_folder(world: World) -> None:
    outcome = world.evaluate()
    files = outcome.plan.files
    assert files.root.parent == world.workspace / "benchmark_results"
    assert json.loads(files.plan.read_text())["fingerprint"] == outcome.plan.fingerprint
    assert json.loads(files.launch.read_text()) == {
        "ending": "finished",
        "seconds": "7.000",
        "runtime": "fake",
    }
    assert read_result(files.summary) == outcome.result
    assert json.loads(files.feedback.read_text())["decision"] is True
    assert files.report.is_file()


def test_evaluate_waits_for_equal_work_and_takes_its_result(world: World) -> None:
    outcomes = evaluate_twice_at_once(world)
    assert [outcome.exit_code for outcome in outcomes] == [0, 0]
    assert len(world.runtime.launched) == 1
    assert len({outcome.plan.run_dir for outcome in outcomes}) == 1
    assert outcomes[0].result == outcomes[1].result


def test_evaluate_with_reuse_never_takes_its_turn_and_its_own_folder(world: World) -> None:
    first, second = evaluate_twice_at_once(world, reuse="never")
    assert len(world.runtime.launched) == 2
    assert first.plan.run_dir != second.plan.run_dir


def test_evaluate_goes_on_in_an_unfinished_run_folder(world: World) -> None:
    world.runtime.programs = [stop_after_mmlu(CRASH), finish]
    first, second = world.evaluate(), world.evaluate()
    assert (first.exit_code, second.exit_code) == (4, 0)
    assert second.plan.run_dir == first.plan.run_dir
    assert len(world.runtime.launched) == 2


def test_evaluate_answers_from_a_complete_run_folder(
    world: World, recordings: list[tuple[Plan, Result]]
) -> None:
    first, second = world.evaluate(), world.evaluate(tracking=INTO_MLFLOW)
    assert len(world.runtime.launched) == 1
    assert second.result == first.result
    assert f"reusing {first.plan.run_dir}: same fingerprint\n" in world.printed
    assert [result for _, result in recordings] == [first.result]


def test_evaluate_flags_a_reused_result_by_the_threshold_of_now(world: World) -> None:
    world.runtime.programs = [finish_with_a_cut_answer]
    first = world.evaluate(flag_above=0.5)
    second = world.evaluate(flag_above=0.01)
    assert len(world.runtime.launched) == 1
    assert first.result is not None and second.result is not None
    sentence = "1 of 16 answers (6.2 %) reached the generation limit"
    assert [d.flags for d in first.result.datasets] == [(), ()]
    assert [d.flags for d in second.result.datasets] == [(), (sentence,)]
    assert read_result(second.plan.files.summary) == second.result
    assert f"Final Decision: True\nFlags:\n  gsm8k: {sentence}\n" in world.printed


def test_evaluate_launches_again_when_a_setting_changes_predictions(world: World) -> None:
    first, second = world.evaluate(), world.evaluate(limit=3)
    assert len(world.runtime.launched) == 2
    assert second.plan.run_dir != first.plan.run_dir


def test_evaluate_with_reuse_never_launches_again(world: World) -> None:
    first, second = world.evaluate(), world.evaluate(reuse="never")
    assert len(world.runtime.launched) == 2
    assert second.plan.run_dir != first.plan.run_dir
    assert second.plan.fingerprint == first.plan.fingerprint


def test_evaluate_of_no_datasets_is_a_success_without_a_launch(world: World) -> None:
    assert world.evaluate("").exit_code == 0
    assert world.printed == (
        "Execution: Benchmark skipped: no datasets\n"
        "Return Checking:\n"
        "  Benchmark Results: none\n"
        "Code: Average Score: none\n"
        "Final Decision: True\n"
    )
    assert world.runtime.launched == []
    assert not world.workspace.exists()


def test_evaluate_of_no_datasets_downloads_no_model(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads: list[object] = []
    monkeypatch.setattr(ready, "download_base", lambda source, host: downloads.append(source))
    assert world.evaluate("", model=ModelConf(base="some/model")).exit_code == 0
    assert downloads == []


def test_evaluate_with_dry_run_launches_and_writes_nothing(world: World) -> None:
    outcome = world.evaluate(dry_run=True)
    assert (outcome.exit_code, outcome.result) == (0, None)
    assert world.runtime.launched == []
    assert not world.workspace.exists()
    assert f"command:\n  fake-engine run {outcome.plan.model_abbr}\n" in world.printed
    assert f"{outcome.plan.run_dir} (new)\n" in world.printed


def test_evaluate_with_dry_run_says_what_preflight_would_stop(world: World) -> None:
    (world.adapter / "adapter_model.safetensors").unlink()
    assert world.evaluate(dry_run=True).exit_code == 0
    assert "notes:\n  a launch would stop: " in world.printed
    assert f"{world.adapter}: it has adapter_config.json but no adapter_model" in world.printed


def test_evaluate_without_tracking_says_how_to_record_later(world: World) -> None:
    outcome = world.evaluate()
    assert f"Record it later with: python -m ftbench.record {outcome.plan.run_dir}" in world.printed


def test_evaluate_refuses_unknown_datasets_before_anything_else(world: World) -> None:
    with pytest.raises(ConfigError) as caught:
        world.evaluate("gsm9k mmmmlu")
    assert [problem.tried for problem in caught.value.problems] == [
        "datasets: 'gsm9k'",
        "datasets: 'mmmmlu'",
    ]
    assert not world.workspace.exists()


JUDGED = "aime2025_llmjudge_gen_5e9f4f"


def test_evaluate_refuses_a_missing_judge_before_anything_else(world: World) -> None:
    with pytest.raises(PreflightError) as caught:
        world.evaluate(JUDGED)
    assert f"datasets: '{JUDGED}'" in [problem.tried for problem in caught.value.problems]
    assert "a judge model scores it, and none is configured" in str(caught.value)
    assert world.runtime.launched == []


def test_evaluate_with_dry_run_asks_no_judge(world: World) -> None:
    with judge_server() as server:
        judge = JudgeConf(model="other", api_base=server.url)
        assert world.evaluate(JUDGED, judge=judge, dry_run=True).exit_code == 0
    assert server.seen == []
    assert f"JUDGE_API_BASE={server.url}" in world.printed


def test_evaluate_asks_the_judge_before_the_launch(world: World) -> None:
    data = world.folder / "opencompass" / "data" / "aime2025"
    data.mkdir()
    (data / "aime2025.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n')
    with judge_server(key="") as server:
        judge = JudgeConf(model="other", api_base=server.url)
        with pytest.raises(PreflightError) as caught:
            world.evaluate(JUDGED, judge=judge)
    [problem] = caught.value.problems
    assert problem.tried == f"judge.model=other at {server.url}"
    assert world.runtime.launched == []
