"""Everything that can be known to be wrong, listed before anything starts."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient

from ftbench.choosing import Chosen
from ftbench.config import ModelConf
from ftbench.errors import EXIT_LAUNCH, PreflightError, Problem
from ftbench.model_source import ModelSource, locate_model
from ftbench.plan import Plan, TrackingPlan
from ftbench.preflight import preflight
from ftbench.runtimes.base import FINISHED, Launch
from tests.builders import make_plan
from tests.surroundings import make_host, make_world


@dataclass
class FakeRuntime:
    """A runtime that says what it is told to say, and launches nothing."""

    problems: tuple[Problem, ...] = ()

    def check(self, plan: Plan) -> list[Problem]:
        return list(self.problems)

    def describe(self, plan: Plan) -> list[str]:
        return []

    def launch(self, plan: Plan, on_line: Callable[[str], None]) -> Launch:
        return Launch(FINISHED)


def source_of(root: Path) -> ModelSource:
    return locate_model(ModelConf(adapter="out", base="base"), make_host(root))


def problems_of(
    plan: Plan, source: ModelSource, *found: Problem, data: tuple[Problem, ...] = ()
) -> list[str]:
    chosen = Chosen((), plan.workspace, (), data)
    with pytest.raises(PreflightError) as caught:
        preflight(plan, source, chosen, FakeRuntime(found))
    assert caught.value.exit_code == EXIT_LAUNCH == 3
    return [str(problem) for problem in caught.value.problems]


@pytest.fixture
def world(weird_tmp_path: Path) -> Path:
    return make_world(weird_tmp_path)


def test_preflight_passes_and_writes_nothing(world: Path) -> None:
    source = source_of(world)
    before = sorted(world.rglob("*"))
    preflight(make_plan(world / "ws"), source, Chosen((), world, ()), FakeRuntime())
    assert sorted(world.rglob("*")) == before


def test_preflight_lists_all_problems_at_once(world: Path) -> None:
    (world / "out" / "adapter_model.safetensors").unlink()
    (world / "file").write_text("")
    tracking = TrackingPlan("mlflow", f"sqlite:///{world}/mlflow.db", experiment=" ")
    found = problems_of(
        make_plan(world / "file", tracking=tracking),
        source_of(world),
        Problem("image x", "is not on this engine"),
        data=(Problem("dataset own", "its data is not there"),),
    )
    assert found[0].startswith(f"model.adapter={world}/out: ")
    assert found[1:] == [
        "dataset own: its data is not there",
        f"workspace {world}/file: it cannot be written: {world}/file is not a folder\n"
        "  try: choose another folder with workspace=DIR",
        "image x: is not on this engine",
        "tracking.experiment=' ': an experiment's name cannot be empty\n"
        "  try: tracking.experiment=NAME",
    ]


def test_preflight_wants_free_space(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=(1 << 30) - 1))
    assert problems_of(make_plan(world / "ws"), source_of(world)) == [
        f"workspace {world}/ws: only 1024 MiB are free there, 1024 MiB are needed\n"
        "  try: free some space, or choose another folder with workspace=DIR"
    ]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 30))
    preflight(make_plan(world), source_of(world), Chosen((), world, ()), FakeRuntime())


def test_preflight_refuses_a_training_run_that_failed(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{world}/mlflow.db"
    client = MlflowClient(uri, uri)
    run_id = client.create_run(client.create_experiment("training")).info.run_id
    plan = make_plan(world, tracking=TrackingPlan("mlflow", uri, training_run_id=run_id))
    preflight(plan, source_of(world), Chosen((), world, ()), FakeRuntime())
    client.set_terminated(run_id, "FAILED")
    assert problems_of(plan, source_of(world)) == [
        f"tracking.training_run_id={run_id}: that training run has FAILED, so there is nothing "
        "to evaluate\n  try: train again, or leave tracking.training_run_id out to evaluate what "
        "it left"
    ]
