"""Datasets that an earlier run has complete: taken over where all is the same, never else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ftbench import fingerprints
from ftbench.config import BackendConf, DatasetConf
from ftbench.outcome import Outcome
from ftbench.plan import Plan
from ftbench.runtimes.base import TIMED_OUT, Launch
from ftbench.schema import OK, Result, RunFiles, read_result, read_samples, write_result
from ftbench.tracking.contents import run_tags
from tests.checkpoint.folders import lora_tensors, make_adapter
from tests.run_fixtures import (
    CRASH,
    World,
    finish,
    finish_without,
    make_world,
    stop_after_mmlu,
)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return make_world(tmp_path, monkeypatch)


def asked(world: World) -> list[str]:
    """What each launch was to evaluate."""
    return [plan.environment["BENCHMARK_DATASETS"] for plan in world.runtime.launched]


def result_of(outcome: Outcome) -> Result:
    assert outcome.result is not None
    return outcome.result


def origins(outcome: Outcome) -> dict[str, str]:
    return {d.name: d.reused_from for d in result_of(outcome).datasets}


def test_only_what_is_new_is_evaluated(world: World) -> None:
    first = world.evaluate("mmlu")
    second = world.evaluate("mmlu gsm8k")
    assert asked(world) == ["mmlu", "gsm8k"]
    assert second.exit_code == 0
    assert second.plan.run_dir != first.plan.run_dir
    assert origins(second) == {"mmlu": str(first.plan.run_dir), "gsm8k": ""}
    scores = [(d.status, d.score) for d in result_of(second).datasets]
    assert scores == [(OK, pytest.approx(62.3)), (OK, pytest.approx(45.7))]
    assert f"reusing mmlu of {first.plan.run_dir}: same fingerprint\n" in world.printed


def test_the_new_run_folder_is_whole(world: World) -> None:
    first, second = world.evaluate("mmlu"), world.evaluate("mmlu gsm8k")
    ours, theirs = second.plan.files, first.plan.files
    (mmlu, _) = result_of(second).datasets
    for abbr in (subset.abbr for subset in mmlu.subsets):
        assert len(read_samples(ours.samples(abbr))) == 8
        for folder in ("predictions", "results"):
            name = f"{folder}/{second.plan.model_abbr}/{abbr}.json"
            assert (ours.root / name).samefile(theirs.root / name)
    assert json.loads(ours.feedback.read_text())["datasets"]["mmlu"]["reused_from"] == str(
        theirs.root
    )
    assert f"mmlu: reused, evaluated in {theirs.root}" in ours.report.read_text()
    tags = run_tags(second.plan, result_of(second), None)
    assert tags["ftbench.reused.mmlu"] == str(theirs.root)
    assert "ftbench.reused.gsm8k" not in tags
    assert tags["ftbench.fingerprint.mmlu"] == first.plan.fingerprint


def test_a_part_of_an_earlier_evaluation_needs_no_launch(world: World) -> None:
    whole = world.evaluate("mmlu gsm8k")
    part = world.evaluate("gsm8k")
    assert asked(world) == ["mmlu,gsm8k"]
    assert part.exit_code == 0
    (gsm8k,) = result_of(part).datasets
    assert (gsm8k.status, gsm8k.score) == (OK, pytest.approx(45.7))
    assert gsm8k.reused_from == str(whole.plan.run_dir)


def test_time_of_an_earlier_run_is_not_counted_again(world: World) -> None:
    whole = world.evaluate("mmlu gsm8k")
    assert all(d.seconds > 0 for d in result_of(whole).datasets)
    (gsm8k,) = result_of(world.evaluate("gsm8k")).datasets
    assert (gsm8k.seconds, [s.seconds for s in gsm8k.subsets]) == (0.0, [0.0])
    part = result_of(world.evaluate("mmlu"))
    assert part.finished_at == part.started_at > 0


def test_datasets_of_several_runs_come_together(world: World) -> None:
    mmlu, gsm8k = world.evaluate("mmlu"), world.evaluate("gsm8k")
    both = world.evaluate("gsm8k mmlu")
    assert asked(world) == ["mmlu", "gsm8k"]
    assert origins(both) == {"gsm8k": str(gsm8k.plan.run_dir), "mmlu": str(mmlu.plan.run_dir)}
    assert [d.name for d in result_of(both).datasets] == ["gsm8k", "mmlu"]


def test_the_run_that_evaluated_it_stays_named(world: World) -> None:
    first, second = world.evaluate("mmlu"), world.evaluate("mmlu gsm8k")
    first.plan.files.summary.unlink()
    third = world.evaluate("gsm8k mmlu")
    assert asked(world) == ["mmlu", "gsm8k"]
    assert origins(third) == {
        "gsm8k": str(second.plan.run_dir),
        "mmlu": str(first.plan.run_dir),
    }


def test_reuse_never_evaluates_everything(world: World) -> None:
    world.evaluate("mmlu")
    again = world.evaluate("mmlu gsm8k", reuse="never")
    assert asked(world) == ["mmlu", "mmlu,gsm8k"]
    assert origins(again) == {"mmlu": "", "gsm8k": ""}


CHANGES: dict[str, dict[str, Any]] = {
    "limit": {"limit": 3},
    "own limit": {"per_dataset": {"mmlu": DatasetConf(limit=3)}},
    "temperature": {"backend": BackendConf(temperature=0.5)},
    "prompt": {"backend": BackendConf(custom_prompt="Be brief.")},
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_settings_reuse_nothing(change: str, world: World) -> None:
    world.evaluate("mmlu")
    world.evaluate("mmlu gsm8k", **CHANGES[change])
    assert asked(world) == ["mmlu", "mmlu,gsm8k"]


def test_another_preset_reuses_nothing(world: World) -> None:
    world.evaluate("mmlu:ppl")
    world.evaluate("mmlu gsm8k")
    assert asked(world) == ["mmlu:ppl", "mmlu,gsm8k"]


def test_another_adapter_of_the_same_name_reuses_nothing(world: World) -> None:
    world.evaluate("mmlu")
    tensors = lora_tensors()
    next(iter(tensors.values()))[0, 0] += np.float32(1e-6)
    make_adapter(world.adapter, tensors, base_model_name_or_path=str(world.folder / "base"))
    world.evaluate("mmlu gsm8k")
    assert asked(world) == ["mmlu", "mmlu,gsm8k"]


def test_other_data_reuse_nothing(world: World) -> None:
    world.evaluate("mmlu")
    (world.folder / "opencompass" / "data" / "mmlu" / "test.txt").write_text("other rows")
    world.evaluate("mmlu gsm8k")
    assert asked(world) == ["mmlu", "mmlu,gsm8k"]


def test_another_program_reuses_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.evaluate("mmlu")
    monkeypatch.setattr(fingerprints, "program_hash", lambda: "0" * 64)
    world.evaluate("mmlu gsm8k")
    assert asked(world) == ["mmlu", "mmlu,gsm8k"]


def test_a_partial_dataset_is_evaluated_again(world: World) -> None:
    world.runtime.programs = [finish_without("lukaemon_mmlu_anatomy"), finish]
    world.evaluate("mmlu")
    world.evaluate("mmlu gsm8k")
    assert asked(world) == ["mmlu", "mmlu,gsm8k"]


def test_a_finished_dataset_of_an_unfinished_run_is_reused(world: World) -> None:
    world.runtime.programs = [stop_after_mmlu(Launch(TIMED_OUT, seconds=9.0)), finish]
    stopped = world.evaluate("mmlu gsm8k")
    assert stopped.exit_code == 5
    mmlu = world.evaluate("mmlu")
    assert asked(world) == ["mmlu,gsm8k"]
    assert origins(mmlu) == {"mmlu": str(stopped.plan.run_dir)}


def test_an_unfinished_run_goes_on_in_its_folder_with_what_others_finished(world: World) -> None:
    world.runtime.programs = [finish, stop_after_mmlu(CRASH), finish]
    world.evaluate("mmlu")
    stopped = world.evaluate("mmlu gsm8k")
    again = world.evaluate("mmlu gsm8k")
    assert (stopped.exit_code, again.exit_code) == (4, 0)
    assert again.plan.run_dir == stopped.plan.run_dir
    assert asked(world) == ["mmlu", "gsm8k", "gsm8k"]


def test_what_was_taken_over_stays_when_its_origin_is_gone(world: World) -> None:
    world.runtime.programs = [finish, stop_after_mmlu(CRASH), finish]
    first = world.evaluate("mmlu")
    world.evaluate("mmlu gsm8k")
    first.plan.files.summary.unlink()
    again = world.evaluate("mmlu gsm8k")
    assert asked(world) == ["mmlu", "gsm8k", "gsm8k"]
    assert origins(again)["mmlu"] == str(first.plan.run_dir)
    assert again.exit_code == 0


DAMAGES = {
    "no prediction": lambda files, abbr: next(files.predictions.glob("*/*.json")).unlink(),
    "another score": lambda files, abbr: next(files.results.glob("*/*.json")).write_text(
        '{"accuracy": 1.0}'
    ),
    "fewer samples": lambda files, abbr: files.samples(abbr).write_text("{}\n"),
    "no samples": lambda files, abbr: files.samples(abbr).unlink(),
    "another summary": lambda files, abbr: files.summary.write_text(
        files.summary.read_text().replace(read_result(files.summary).fingerprint, "0" * 64)
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_folder_is_not_believed(damage: str, world: World) -> None:
    first = world.evaluate("mmlu")
    abbr = result_of(first).datasets[0].subsets[0].abbr
    DAMAGES[damage](first.plan.files, abbr)
    world.evaluate("mmlu gsm8k")
    assert asked(world) == ["mmlu", "mmlu,gsm8k"]


def test_a_kill_while_taking_over_leaves_nothing_that_is_believed(world: World) -> None:
    world.runtime.programs = [finish, stop_after_mmlu(CRASH), finish]
    first = world.evaluate("mmlu")
    second = world.evaluate("mmlu gsm8k")
    second.plan.files.reused.unlink()
    first.plan.files.summary.unlink()
    written = {p: p.read_bytes() for p in first.plan.run_dir.rglob("*.json*")}
    again = world.evaluate("mmlu gsm8k")
    assert asked(world)[-1] == "mmlu,gsm8k"
    assert origins(again)["mmlu"] == ""
    # The evaluation wrote anew, and not through the links into the folder they came from.
    assert {p: p.read_bytes() for p in first.plan.run_dir.rglob("*.json*")} == written


def test_reused_scores_are_flagged_by_the_threshold_of_now(world: World) -> None:
    def with_an_empty_answer(plan: Plan) -> Launch:
        launch = finish(plan)
        result = read_result(plan.files.result)
        (gsm8k,) = result.datasets
        empty = replace(gsm8k.subsets[0], empty=1)
        flagged = replace(result, datasets=(replace(gsm8k, subsets=(empty,)),))
        write_result(plan.files.result, flagged)
        return launch

    world.runtime.programs = [with_an_empty_answer, finish]
    world.evaluate("gsm8k", flag_above=0.5)
    both = result_of(world.evaluate("gsm8k mmlu", flag_above=0.01))
    assert [d.flags for d in both.datasets] == [("1 of 8 answers (12 %) are empty",), ()]


def test_dry_run_says_what_would_be_reused(world: World) -> None:
    first = world.evaluate("mmlu")
    planned = world.evaluate("mmlu gsm8k", dry_run=True)
    lines = [line for line in world.printed.splitlines() if "; reused from " in line]
    assert len(lines) == 1
    assert lines[0].startswith("  mmlu: ")
    assert lines[0].endswith(f"; reused from {first.plan.run_dir}")
    assert "BENCHMARK_DATASETS=gsm8k\n" in world.printed
    assert not planned.plan.run_dir.exists()
    world.evaluate("gsm8k")
    world.evaluate("mmlu gsm8k", dry_run=True)
    assert "(new; earlier runs have everything, nothing is launched)\n" in world.printed


def test_subsets_that_would_be_called_otherwise_alone_are_evaluated_together(world: World) -> None:
    world.evaluate("mmlu")
    world.evaluate("mmlu mmlu:ppl")
    assert asked(world) == ["mmlu", "mmlu,mmlu:ppl"]


def test_a_moved_run_folder_answers_from_where_it_lies_now(world: World) -> None:
    first = world.evaluate("mmlu")
    moved = first.plan.run_dir.with_name("20200101_000000")
    first.plan.run_dir.rename(moved)
    part = world.evaluate("mmlu gsm8k")
    assert origins(part)["mmlu"] == str(moved)
    assert RunFiles(part.plan.run_dir).reused.is_file()
