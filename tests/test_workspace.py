"""Run folders: found by fingerprint alone, held by one launcher at a time."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from ftbench.errors import LaunchError
from ftbench.plan import read_plan, write_plan
from ftbench.schema import FAILED, write_result
from ftbench.workspace import (
    FoundRun,
    alone,
    check_writable,
    claimed,
    find_run,
    new_run_dir,
    run_dirs,
)
from tests.builders import FINGERPRINT, make_plan, scored_result


def test_a_plan_comes_back_as_it_was(weird_tmp_path: Path) -> None:
    plan = make_plan(weird_tmp_path)
    write_plan(plan)
    assert read_plan(plan.run_dir) == plan


def test_find_run_ignores_other_fingerprints(tmp_path: Path) -> None:
    write_plan(make_plan(tmp_path))
    assert find_run(tmp_path, "0" * 64) is None
    assert find_run(tmp_path / "nowhere", FINGERPRINT) is None


def test_find_run_prefers_a_complete_run_to_a_newer_unfinished_one(tmp_path: Path) -> None:
    runs = tmp_path / "benchmark_results"
    complete = make_plan(tmp_path, run_dir=runs / "20260101_000000")
    write_plan(complete)
    write_result(complete.files.summary, scored_result())
    newer = make_plan(tmp_path, run_dir=runs / "20260102_000000")
    write_plan(newer)
    assert find_run(tmp_path, FINGERPRINT) == FoundRun(complete.run_dir, True)
    complete.files.summary.unlink()
    assert find_run(tmp_path, FINGERPRINT) == FoundRun(newer.run_dir, False)


def test_a_run_with_a_failed_dataset_is_not_complete(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    write_plan(plan)
    mmlu, gsm8k = scored_result().datasets
    failed = replace(scored_result(), datasets=(mmlu, replace(gsm8k, status=FAILED)))
    write_result(plan.files.summary, failed)
    assert find_run(tmp_path, FINGERPRINT) == FoundRun(plan.run_dir, False)


def test_new_run_dir_never_names_an_existing_folder(tmp_path: Path) -> None:
    first = new_run_dir(tmp_path, 0.0)
    first.mkdir(parents=True)
    assert new_run_dir(tmp_path, 0.0).name == first.name + "_1"


def test_claimed_removes_a_stale_result_and_refuses_a_second_launcher(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    write_result(plan.files.result, scored_result())
    with claimed(plan.run_dir):
        assert not plan.files.result.exists()
        with pytest.raises(LaunchError) as caught, claimed(plan.run_dir):
            pass
    assert str(caught.value) == (
        "The evaluation could not be started\n"
        f"evaluating into {plan.run_dir}: another ftbench run is at work on this very evaluation\n"
        "  try: wait for it, or choose another workspace=DIR"
    )


def test_alone_waits_for_an_evaluation_of_the_same_fingerprint(tmp_path: Path) -> None:
    told = threading.Event()
    entered: list[str] = []

    def second() -> None:
        with alone(tmp_path, FINGERPRINT, told.set):
            entered.append("second")

    with alone(tmp_path, FINGERPRINT, pytest.fail):
        thread = threading.Thread(target=second)
        thread.start()
        assert told.wait(60)
        entered.append("first")
    thread.join(60)
    assert entered == ["first", "second"]
    with alone(tmp_path, FINGERPRINT, pytest.fail), alone(tmp_path, "0" * 64, pytest.fail):
        pass


def test_alone_names_a_workspace_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    within = alone(tmp_path / "file", FINGERPRINT, pytest.fail)
    with pytest.raises(LaunchError, match="it cannot be written"), within:
        pass


def test_check_writable_names_the_obstacle(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run_dir = tmp_path / "file" / "benchmark_results" / "t"
    (problem,) = check_writable(run_dir)
    assert str(problem) == (
        f"workspace {tmp_path}/file: it cannot be written: {tmp_path}/file is not a folder\n"
        "  try: choose another folder with workspace=DIR"
    )
    assert check_writable(tmp_path / "ws" / "benchmark_results" / "t") == []


def test_run_dirs_takes_a_workspace_or_a_run_folder(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    write_plan(plan)
    assert run_dirs(tmp_path) == run_dirs(plan.run_dir) == [plan.run_dir]
