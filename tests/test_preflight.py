"""Everything that can be known to be wrong, listed before anything starts."""

import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow import MlflowClient
from rich.console import Console

from ftbench.catalogue import DataSource
from ftbench.choosing import Chosen
from ftbench.config import ModelConf
from ftbench.dataset_files import Missing
from ftbench.errors import EXIT_LAUNCH, PreflightError, Problem
from ftbench.model_source import ModelSource, locate_model
from ftbench.plan import Mount, Plan, TrackingPlan
from ftbench.preflight import preflight
from ftbench.run import _launch
from ftbench.runtimes.base import FINISHED, Launch
from tests.builders import make_plan
from tests.surroundings import make_host, make_world


@dataclass
class FakeRuntime:
    """A runtime that says what it is told to say, and launches nothing."""

    problems: tuple[Problem, ...] = ()
    folders_at_launch: list[Path] = field(default_factory=list)

    def check(self, plan: Plan) -> list[Problem]:
        return list(self.problems)

    def describe(self, plan: Plan) -> list[str]:
        return []

    def launch(self, plan: Plan, on_line: Callable[[str], None]) -> Launch:
        self.folders_at_launch += [m.source for m in plan.mounts if m.source.is_dir()]
        return Launch(FINISHED)


def source_of(root: Path) -> ModelSource:
    return locate_model(ModelConf(adapter="out", base="base"), make_host(root))


def problems_of(plan: Plan, source: ModelSource, *found: Problem, **chosen: Any) -> list[str]:
    missing = Chosen((), plan.workspace, chosen.pop("missing", ()), **chosen)
    with pytest.raises(PreflightError) as caught:
        preflight(plan, source, missing, FakeRuntime(found), network_allowed=False)
    assert caught.value.exit_code == EXIT_LAUNCH == 3
    return [str(problem) for problem in caught.value.problems]


@pytest.fixture
def world(weird_tmp_path: Path) -> Path:
    return make_world(weird_tmp_path)


def test_preflight_passes_and_writes_nothing(world: Path) -> None:
    source = source_of(world)
    before = sorted(world.rglob("*"))
    preflight(make_plan(world / "ws"), source, Chosen((), world, ()), FakeRuntime(), True)
    assert sorted(world.rglob("*")) == before


def test_preflight_lists_all_problems_at_once(world: Path) -> None:
    (world / "out" / "adapter_model.safetensors").unlink()
    (world / "file").write_text("")
    place = world / "compass" / "data" / "own"
    tracking = TrackingPlan("mlflow", f"sqlite:///{world}/mlflow.db", experiment=" ")
    found = problems_of(
        make_plan(world / "file", tracking=tracking),
        source_of(world),
        Problem("image x", "is not on this engine"),
        missing=(Missing("own", DataSource("data/own", "local"), place),),
    )
    assert found[0].startswith(f"model.adapter={world}/out: ")
    assert found[1:] == [
        f"dataset own: its data is not at {place}, and OpenCompass knows no download for it\n"
        f"  try: bring the files of data/own to {place} by hand, or say where they are with "
        "data_dir=DIR (the folder that contains data/)",
        f"workspace {world}/file: it cannot be written: {world}/file is not a folder\n"
        "  try: choose another folder with workspace=DIR",
        "image x: is not on this engine",
        "tracking.experiment=' ': an experiment's name cannot be empty\n"
        "  try: tracking.experiment=NAME",
    ]


def test_preflight_says_that_the_hub_is_off(world: Path) -> None:
    hub = Missing("hle", DataSource("cais/hle", "hub"), world / "hub")
    plan, chosen = make_plan(world), Chosen((), world, (hub,), hub_offline=True)
    with pytest.raises(PreflightError, match="HF_HUB_OFFLINE forbids a download"):
        preflight(plan, source_of(world), chosen, FakeRuntime(), network_allowed=True)


def test_preflight_wants_free_space(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=(1 << 30) - 1))
    assert problems_of(make_plan(world / "ws"), source_of(world)) == [
        f"workspace {world}/ws: only 1024 MiB are free there, 1024 MiB are needed\n"
        "  try: free some space, or choose another folder with workspace=DIR"
    ]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 30))
    preflight(make_plan(world), source_of(world), Chosen((), world, ()), FakeRuntime(), True)


def test_preflight_refuses_a_training_run_that_failed(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{world}/mlflow.db"
    client = MlflowClient(uri, uri)
    run_id = client.create_run(client.create_experiment("training")).info.run_id
    plan = make_plan(world, tracking=TrackingPlan("mlflow", uri, training_run_id=run_id))
    preflight(plan, source_of(world), Chosen((), world, ()), FakeRuntime(), True)
    client.set_terminated(run_id, "FAILED")
    assert problems_of(plan, source_of(world)) == [
        f"tracking.training_run_id={run_id}: that training run has FAILED, so there is nothing "
        "to evaluate\n  try: train again, or leave tracking.training_run_id out to evaluate what "
        "it left"
    ]


def test_launch_makes_the_folders_that_downloads_go_to(weird_tmp_path: Path) -> None:
    data, given = weird_tmp_path / "data", weird_tmp_path / "given"
    mounts = (Mount(data, str(data), read_only=False), Mount(given, str(given)))
    runtime = FakeRuntime()
    _launch(make_plan(weird_tmp_path, mounts=mounts), runtime, Console(file=io.StringIO()))
    assert runtime.folders_at_launch == [data]
