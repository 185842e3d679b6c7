"""A gate at the end of an evaluation: what is printed, kept, recorded, and the exit code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ftbench.config import GateConf, GateRuleConf
from ftbench.errors import Problem, TrackingError
from ftbench.outcome import Outcome
from ftbench.runtimes.base import Launch
from tests.run_fixtures import (
    CRASH,
    INTO_MLFLOW,
    World,
    answer_twenty,
    catch_recordings,
    make_world,
)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = make_world(tmp_path, monkeypatch)
    made.runtime.programs = [answer_twenty]
    return made


def gated(world: World, baseline: str = "base", **rule: Any) -> Outcome:
    gate = GateConf(name="mine", rule=GateRuleConf(**rule))
    return world.evaluate("gsm8k", baseline=baseline, gate=gate)


def test_a_model_that_keeps_its_limits_passes(world: World) -> None:
    outcome = gated(world, floor=70, max_drop=2)
    assert outcome.exit_code == 0
    assert outcome.decision is not None and outcome.decision.is_pass
    assert "Final Decision: True" in world.printed
    assert "Gate mine: PASS" in world.printed
    kept = json.loads(outcome.plan.files.gate.read_text())
    assert kept["outcome"] == "PASS"
    assert "Gate mine: PASS" in outcome.plan.files.report.read_text()
    told = json.loads(outcome.plan.files.feedback.read_text())
    assert (told["decision"], told["gate"]["outcome"]) == (True, "PASS")


def test_a_broken_limit_is_no_failure_of_the_evaluation(world: World) -> None:
    outcome = gated(world, baseline="none", floor=100.5)
    assert outcome.exit_code == 8
    assert outcome.result is not None and outcome.result.is_complete
    assert "Final Decision: False" in world.printed
    assert json.loads(outcome.plan.files.feedback.read_text())["decision"] is False


def test_twenty_questions_cannot_show_everything(world: World) -> None:
    outcome = gated(world, baseline="none", floor=95)
    assert outcome.exit_code == 9
    assert "gsm8k (critical): at least 95: INCONCLUSIVE: 100.00 [" in world.printed


def test_a_failed_evaluation_keeps_its_own_exit_code(world: World) -> None:
    def crash(plan: Any) -> Launch:
        return CRASH

    world.runtime.programs = [crash]
    outcome = gated(world, floor=1)
    assert outcome.exit_code == 4
    assert outcome.decision is not None and outcome.decision.outcome == "INCONCLUSIVE"


def test_the_decision_goes_onto_the_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    catch_recordings(monkeypatch)
    told: list[tuple[str, str, str]] = []
    monkeypatch.setattr(
        "ftbench.gate.holding.record_gate",
        lambda uri, run_id, tags, document: told.append((uri, run_id, tags["ftbench.gate"])),
    )
    monkeypatch.setattr(
        "ftbench.gate.holding.move_alias", lambda *asked: f"{asked[2]}@{asked[3]} is version 1 now"
    )
    gate = GateConf("mine", rule=GateRuleConf(floor=70), registered_model="poet", alias="champion")
    outcome = world.evaluate("gsm8k", tracking=INTO_MLFLOW, gate=gate)
    assert [(run_id, tag) for _, run_id, tag in told] == [(outcome.pointers.run_id, "PASS")]
    assert "poet@champion is version 1 now." in world.printed
    broken = replace(gate, rule=GateRuleConf(floor=101))
    world.out.truncate(0)
    assert world.evaluate("gsm8k", tracking=INTO_MLFLOW, gate=broken).exit_code == 8
    assert "poet@champion" not in world.printed


def test_an_alias_that_did_not_move_is_not_taken_for_moved(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    catch_recordings(monkeypatch)

    def refuse(*asked: Any) -> None:
        raise TrackingError(Problem("the tracker", "it is away"))

    monkeypatch.setattr("ftbench.gate.holding.record_gate", refuse)
    gate = GateConf("mine", rule=GateRuleConf(floor=70))
    outcome = world.evaluate("gsm8k", tracking=INTO_MLFLOW, gate=gate)
    assert outcome.exit_code == 6
    assert "it is away" in world.printed
    unrecorded = replace(gate, registered_model="poet", alias="champion")
    outcome = world.evaluate("gsm8k", gate=unrecorded)
    assert outcome.exit_code == 0
    assert "poet@champion did not move: the run is not recorded." in world.printed
