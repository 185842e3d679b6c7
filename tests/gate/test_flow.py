"""A gate at the end of an evaluation: what is printed, kept, recorded, and the exit code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ftbench.config import GateConf, GateRuleConf, ModelConf
from ftbench.errors import PreflightError, Problem, TrackingError
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


def gated_base(world: World, gate: GateConf, **changes: Any) -> Outcome:
    """The base model alone, or a full fine-tune: nothing tells one from the other."""
    model = ModelConf(base=str(world.folder / "base"))
    return world.evaluate("gsm8k", baseline="base", gate=gate, model=model, **changes)


def in_sweep(world: World) -> World:
    """The same world, where other jobs have adapters of the model."""
    return replace(world, host=replace(world.host, is_base_of_sweep=True))


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


DROP = GateConf("mine", rule=GateRuleConf(max_drop=2))
FLOOR = GateConf("mine", rule=GateRuleConf(max_drop=2, floor=20), evidence="score")


@pytest.mark.parametrize("is_reused", [False, True])
def test_a_drop_that_nothing_is_measured_from_stops_before_the_launch(
    world: World, is_reused: bool
) -> None:
    if is_reused:
        gated_base(world, GateConf())
    with pytest.raises(PreflightError, match=r"gate=mine: .* gsm8k .*never be decided") as caught:
        gated_base(world, DROP)
    (problem,) = caught.value.problems
    assert problem.cure.startswith("baseline=RUN")
    assert len(world.runtime.launched) == is_reused
    gated_base(world, DROP, dry_run=True)
    assert "a launch would stop: gate=mine: it limits how far gsm8k" in world.printed


def test_a_full_model_is_held_against_the_run_that_was_named(world: World) -> None:
    named = world.evaluate("gsm8k")
    model = ModelConf(base=str(world.folder / "base"))
    outcome = world.evaluate("gsm8k", baseline=str(named.plan.run_dir), gate=DROP, model=model)
    assert outcome.exit_code == 8


def test_a_full_model_has_floors_of_its_own(world: World) -> None:
    floor = GateConf("mine", rule=GateRuleConf(floor=20), evidence="score")
    outcome = gated_base(world, floor)
    assert outcome.exit_code == 0
    assert outcome.decision is not None and outcome.decision.is_pass


def test_the_base_of_a_sweep_is_not_held_against_itself(world: World) -> None:
    outcome = gated_base(in_sweep(world), DROP)
    assert outcome.exit_code == 0
    assert "Final Decision: True\n" in world.printed
    assert "Gate mine: NOT APPLICABLE\n" in world.printed
    assert "this is the base model itself, which the adapters of this sweep are" in world.printed
    kept = json.loads(outcome.plan.files.gate.read_text())
    assert kept["outcome"] == "NOT APPLICABLE"
    assert "Gate mine: NOT APPLICABLE" in outcome.plan.files.report.read_text()


def test_the_base_of_a_sweep_keeps_its_floors(world: World) -> None:
    base = in_sweep(world)
    outcome = gated_base(base, FLOOR)
    assert (outcome.exit_code, "Gate mine: PASS" in world.printed) == (0, True)
    broken = replace(FLOOR, rule=GateRuleConf(max_drop=2, floor=30))
    assert gated_base(base, broken).exit_code == 8


@pytest.mark.parametrize("gate", [DROP, FLOOR], ids=["drop", "floor"])
def test_an_alias_never_moves_to_the_base_of_a_sweep(
    world: World, monkeypatch: pytest.MonkeyPatch, gate: GateConf
) -> None:
    catch_recordings(monkeypatch)
    told: list[str] = []
    monkeypatch.setattr(
        "ftbench.gate.holding.record_gate",
        lambda uri, run_id, tags, document: told.append(tags["ftbench.gate_reasons"]),
    )
    gate = replace(gate, registered_model="poet", alias="champion")
    outcome = gated_base(in_sweep(world), gate, tracking=INTO_MLFLOW)
    assert outcome.exit_code == 0
    assert "poet@champion did not move: this is the baseline itself." in world.printed
    assert "NOT APPLICABLE: this is the base model itself" in told[0]
