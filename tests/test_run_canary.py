"""``canary=false`` from the command to the report, with the program's own check of an adapter.

Only the model is another one: it tells whether anyone asked it, and carries no adapter.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from ftbench_eval.effect_check import EffectCheck
from ftbench_eval.model_config import ModelDecision
from ftbench_eval.model_load import LoadedModel
from ftbench_eval.progress import Progress
from ftbench_eval.reasons import Refused
from ftbench_eval.settings import read_settings
from mlflow import MlflowClient

from ftbench.config import ModelConf
from ftbench.plan import Plan
from ftbench.runtimes.base import FINISHED, Launch
from ftbench.schema import ModelFacts, Result, read_result, write_result
from tests.run_fixtures import CRASH, INTO_MLFLOW, World, finish, make_world

SKIPPED = "Canary: skipped (canary=false): nothing shows that the adapter has an effect."

DECISION = ModelDecision({}, "none", "", "", {}, ())


class Asked:
    """An OpenCompass wrapper that counts how often somebody looks at its model."""

    def __init__(self) -> None:
        self.times = 0

    @property
    def model(self) -> None:
        self.times += 1


def program_of(wrapper: Asked, said: list[str]) -> object:
    """A program that checks the adapter as the real one does, then scores everything."""

    def program(plan: Plan) -> Launch:
        progress = Progress(plan.files, Result(fingerprint=plan.fingerprint))
        output = SimpleNamespace(say=said.append)
        check = EffectCheck(read_settings(plan.environment), progress, output)  # type: ignore[arg-type]
        progress.update(model=ModelFacts(canary=check.unasked))
        try:
            check.shown_by(LoadedModel({"gen": wrapper}, 0, "cpu", "none", 0.0), DECISION)
        except Refused:
            return CRASH
        finish(plan)
        result = read_result(plan.files.result)
        write_result(plan.files.result, replace(result, model=progress.result.model))
        return Launch(FINISHED, 0)

    return program


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return make_world(tmp_path, monkeypatch)


def test_canary_false_asks_nothing_and_every_report_says_so(world: World) -> None:
    wrapper, said = Asked(), list[str]()
    world.runtime.programs = [program_of(wrapper, said)]  # type: ignore[list-item]
    place = replace(INTO_MLFLOW, uri=f"sqlite:///{world.folder / 'scores.db'}")
    outcome = world.evaluate("gsm8k", canary=False, tracking=place)
    assert (outcome.exit_code, wrapper.times, said) == (0, 0, [])
    assert f"{SKIPPED}\n" in world.printed
    assert f"- {SKIPPED}\n" in outcome.plan.files.report.read_text()
    told = json.loads(outcome.plan.files.feedback.read_text())["canary"]
    assert (told["skipped"], told["prompts"], told["changed_fraction"]) == ("canary=false", 0, None)
    run = MlflowClient(place.uri).get_run(outcome.pointers.run_id)
    assert not [key for key in run.data.metrics if key.startswith("canary/")]
    assert SKIPPED in run.data.tags["mlflow.note.content"]


def test_the_canary_is_asked_where_nobody_forbids_it(world: World) -> None:
    """What the test above relies on: the same program does ask."""
    wrapper, said = Asked(), list[str]()
    world.runtime.programs = [program_of(wrapper, said)]  # type: ignore[list-item]
    outcome = world.evaluate("gsm8k")
    assert (outcome.exit_code, wrapper.times) == (4, 1)
    assert SKIPPED not in world.printed


def test_a_base_model_has_no_canary_to_skip(world: World) -> None:
    wrapper, said = Asked(), list[str]()
    world.runtime.programs = [program_of(wrapper, said)]  # type: ignore[list-item]
    model = ModelConf(base=str(world.folder / "base"))
    outcome = world.evaluate("gsm8k", canary=False, model=model)
    assert (outcome.exit_code, wrapper.times) == (0, 0)
    assert "Canary" not in world.printed
