"""Reproduction: the command says what was asked, and the verdict what came of it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ftbench.compose import compose_config, override
from ftbench.config import DatasetConf, GateConf, GateRuleConf, SuiteConf
from ftbench.host import command_line
from ftbench.plan import Plan
from ftbench.reproduce import __main__ as module
from ftbench.reproduce.command import Wanted, overrides_of
from ftbench.reproduce.verdict import compare_answers
from ftbench.schema import Uncertainty, read_result, write_result
from tests.run_fixtures import World, make_world


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = make_world(tmp_path, monkeypatch)
    monkeypatch.setattr(module, "read_host", lambda: world.host)
    return world


def rerun(world: World, monkeypatch: pytest.MonkeyPatch) -> list[Wanted]:
    """Lets the command be evaluated in this process, by the fake runtime."""
    ran: list[Wanted] = []

    def run(wanted: Wanted) -> int:
        from ftbench.run import evaluate

        ran.append(wanted)
        return evaluate(compose_config(list(wanted.overrides)), world.host).exit_code

    monkeypatch.setattr(module, "_run", run)
    monkeypatch.setattr("ftbench.runtimes.local.LocalRuntime.check", lambda self, plan: [])
    return ran


def reproduce(world: World, run_dir: Path, *options: str) -> int:
    return module.main([str(run_dir), *options])


def test_overrides_compose_to_the_very_settings() -> None:
    given = [
        'datasets=[mmlu,"./we ird, \'quoted\'.jsonl","humaneval+"]',
        override("model.adapter", '/a b/c=${x}/d"e\\'),
        "backend.temperature=1e-05",
        'backend.custom_prompt="null"',
        "runtime.gpu_ids=[0,GPU-8a]",
        "num_runs=4",
        "pass_k=[1,4]",
        "test_range=[10:20]",
        "per_dataset.humaneval+.limit=5",
        "per_dataset.mmlu.split=test",
        "judge.model=grader",
        "judge.api_base=http://gpu-box:8000/v1",
        "download=false",
        "model.type=chat",
    ]
    config = compose_config(given)
    overrides = list(overrides_of(dataclasses.asdict(config)))
    assert compose_config(overrides) == config
    # A shell gives the arguments back as they are.
    show = [sys.executable, "-c", "import json,sys; print(json.dumps(sys.argv[1:]))"]
    line = command_line((*show, *overrides))
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == overrides


def test_the_same_evaluation_is_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = world.evaluate(limit=5).plan
    ran = rerun(world, monkeypatch)
    _same_answers(world, plan)
    assert reproduce(world, plan.run_dir) == 0
    (again,) = world.runtime.launched[1:]
    assert again.fingerprint == plan.fingerprint
    assert again.workspace != plan.workspace
    assert "reuse=never" in ran[0].overrides
    printed = capsys.readouterr().out
    assert "mmlu: the same, 62.3; 0 of" in printed
    assert printed.endswith("The same: 2/2 datasets have the very score of then\n")
    value = json.loads((again.run_dir / "reproduction.json").read_text())
    assert (value["is_same"], value["reproduces"]) == (True, str(plan.run_dir))


def test_nothing_is_trained_compared_or_decided_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = GateConf("mine", rule=GateRuleConf(floor=1))
    plan = world.evaluate(baseline="base", gate=gate).plan
    ran = rerun(world, monkeypatch)
    known = len(world.runtime.launched)
    reproduce(world, plan.run_dir)
    assert "baseline=none" in ran[0].overrides
    assert not [o for o in ran[0].overrides if o.startswith(("gate", "training"))]
    assert len(world.runtime.launched) == known + 1


def _same_answers(world: World, plan: Plan) -> None:
    # The fake program answers with the run folder's name.
    program = world.runtime.programs[0]

    def as_before(now: Plan) -> Any:
        launch = program(now)
        for path in (now.files.root / "samples").glob("*.jsonl"):
            path.write_text(path.read_text().replace(now.run_dir.name, plan.run_dir.name))
        return launch

    world.runtime.programs = [program, as_before]


def test_another_score_is_said_with_its_answers_and_interval(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = world.evaluate("gsm8k").plan
    rerun(world, monkeypatch)
    files = plan.files
    result = read_result(files.summary)
    (dataset,) = result.datasets
    other = replace(dataset, score=45.0, uncertainty=Uncertainty(2.0, 41.0, 49.0))
    write_result(files.summary, replace(result, datasets=(other,)))
    assert reproduce(world, plan.run_dir) == 1
    printed = capsys.readouterr().out
    assert "gsm8k: 45.0 then, 45.7 now, inside its 95 % interval; " in printed
    assert "Not the same: 0/1 datasets" in printed


@pytest.mark.parametrize("what", ["adapter", "data"])
def test_what_has_changed_is_refused_before_anything_starts(
    what: str, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = world.evaluate("gsm8k").plan
    ran = rerun(world, monkeypatch)
    if what == "data":
        (world.folder / "opencompass" / "data" / "gsm8k" / "test.txt").write_text("others")
    else:
        config = world.adapter / "adapter_config.json"
        value = json.loads(config.read_text())
        config.write_text(json.dumps(value | {"lora_alpha": 99}))
    assert reproduce(world, plan.run_dir) == 3
    assert "its content has changed" in capsys.readouterr().err
    assert ran == []


def test_a_dry_run_prints_the_command_and_starts_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = world.evaluate("gsm8k").plan
    ran = rerun(world, monkeypatch)
    assert reproduce(world, plan.run_dir, "--dry-run") == 0
    assert "python -m ftbench.run datasets=[gsm8k]" in capsys.readouterr().out.replace("'", "")
    assert ran == []


def test_options_of_a_suite_are_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = SuiteConf("mine", ["mmlu"], {"mmlu": DatasetConf(test_range="[1:3]")})
    own = {"mmlu": DatasetConf(split="validation")}
    plan = world.evaluate("gsm8k", suite=suite, per_dataset=own).plan
    rerun(world, monkeypatch)
    reproduce(world, plan.run_dir)
    assert world.runtime.launched[-1].fingerprint == plan.fingerprint


def test_a_plan_without_settings_cannot_be_repeated(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = world.evaluate("gsm8k").plan
    value = json.loads(plan.files.plan.read_text())
    plan.files.plan.write_text(json.dumps(value | {"settings": {}}))
    assert reproduce(world, plan.run_dir) == 2
    assert "did not keep its settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [
        ([("a", 0, 0, "x"), ("a", 1, 0, "y")], [("a", 1, 0, "y"), ("a", 0, 0, "z")], (2, 1)),
        ([("a", 0, 0, "x")], [("a", 0, 1, "x")], (0, 0)),
        ([], [("a", 0, 0, "x")], (0, 0)),
    ],
)
def test_answers_are_compared_by_their_place(
    then: Sequence[Any], now: Sequence[Any], expected: tuple[int, int]
) -> None:
    assert compare_answers(then, now) == expected
