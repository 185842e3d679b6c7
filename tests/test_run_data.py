"""Data that is not here: brought before the plan is made, or one error for each dataset."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from ftbench import ready
from ftbench.catalogue import load_catalogue
from ftbench.errors import PreflightError
from tests.data.server import DataServer, data_server
from tests.run_fixtures import World, make_world

GSM8K = "/datasets/data/gsm8k.zip"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[DataServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with data_server() as running:
        yield running


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: DataServer) -> World:
    """A world without the data of gsm8k, which the server has."""
    world = make_world(tmp_path, monkeypatch)
    (tmp_path / "opencompass" / "data" / "gsm8k" / "test.txt").unlink()
    world.host = dataclasses.replace(world.host, data_url=server.url, hub_url=server.url)
    catalogue = load_catalogue()
    md5 = server.add_archive("gsm8k.zip", {"gsm8k/test.jsonl": "{}\n"})
    catalogue.downloads["/gsm8k/"] = (f"http://far.away{GSM8K}", md5)
    monkeypatch.setattr(ready, "load_catalogue", lambda: catalogue)
    return world


def test_evaluate_brings_data_before_it_makes_the_plan(world: World, server: DataServer) -> None:
    first = world.evaluate()
    assert first.exit_code == 0
    assert (world.folder / "opencompass" / "data" / "gsm8k" / "test.jsonl").is_file()
    (plan,) = world.runtime.launched
    assert plan.network is None
    assert [mount.source for mount in plan.mounts if not mount.read_only] == [plan.run_dir]
    # The data that has come is in the fingerprint: the next run is the same one.
    second = world.evaluate()
    assert second.plan.fingerprint == first.plan.fingerprint
    assert second.plan.run_dir == first.plan.run_dir
    assert len(server.downloads("gsm8k.zip")) == 1


def test_evaluate_with_dry_run_says_what_would_be_downloaded(
    world: World, server: DataServer
) -> None:
    assert world.evaluate("gsm8k medmcqa", dry_run=True).exit_code == 0
    data, hub = world.folder / "opencompass" / "data", world.folder / "huggingface" / "hub"
    assert (
        f"notes:\n  gsm8k: {server.url}{GSM8K} would be downloaded to {data}/gsm8k\n"
        f"  medmcqa: {server.url}/datasets/openlifescienceai/medmcqa would be downloaded to "
        f"{hub}/datasets--openlifescienceai--medmcqa\n"
    ) in world.printed
    assert server.seen == []


def test_evaluate_with_dry_run_says_which_data_cannot_be_brought(world: World) -> None:
    assert world.evaluate("siqa", dry_run=True).exit_code == 0
    assert (
        "a launch would stop: dataset siqa: its data is not at "
        f"{world.folder}/opencompass/data/siqa, and OpenCompass knows no download for it\n"
    ) in world.printed


def test_evaluate_downloads_no_data_for_a_model_that_is_wrong(
    world: World, server: DataServer
) -> None:
    (world.adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(PreflightError) as caught:
        world.evaluate("gsm8k siqa")
    assert [p.tried for p in caught.value.problems] == [
        f"model.adapter={world.adapter}",
        "dataset siqa",
    ]
    assert server.seen == []


def test_evaluate_reports_every_dataset_whose_data_cannot_come(
    world: World, server: DataServer
) -> None:
    server.answers[GSM8K] = 404
    with pytest.raises(PreflightError) as caught:
        world.evaluate("mmlu gsm8k siqa medmcqa")
    assert [p.tried for p in caught.value.problems] == [
        "dataset gsm8k",
        "dataset siqa",
        "dataset medmcqa",
    ]
    assert world.runtime.launched == []


def test_evaluate_with_download_false_asks_no_server(world: World, server: DataServer) -> None:
    with pytest.raises(PreflightError, match="download=false forbids a download"):
        world.evaluate(download=False)
    assert server.seen == []


def test_evaluate_makes_no_run_folder_before_the_data_is_here(
    world: World, server: DataServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ready.data, "fetch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        world.evaluate()
    assert not world.workspace.exists()
    told = "interrupted; what is finished is kept. To go on: python -m ftbench.run"
    assert world.printed.count("interrupted") == 1 and world.printed.startswith(told)
