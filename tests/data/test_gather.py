"""Data of several folders in one, by links."""

import dataclasses
import os
from pathlib import Path

import pytest

from ftbench.data import Missing, announced, gather, linked_data, obstacles
from ftbench.host import Host
from ftbench.preset import DataSource
from tests.data.conftest import Machine
from tests.surroundings import make_host

MMLU = DataSource("data/mmlu", "download")
GSM8K = DataSource("data/gsm8k", "download")
BOOLQ = DataSource("data/SuperGLUE/BoolQ/val.jsonl", "download")
HUB = DataSource("owner/name", "hub")
GATED = DataSource("cais/hle", "gated")
BUNDLED = DataSource("", "bundled")


@pytest.fixture
def host(weird_tmp_path: Path) -> Host:
    return dataclasses.replace(make_host(weird_tmp_path), home_data_dir=weird_tmp_path / "home")


def write(root: Path, path: str) -> Path:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("rows")
    return place


def read_only(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """A mount that cannot be written: root may write everything else."""
    real = os.access
    monkeypatch.setattr(
        os,
        "access",
        lambda path, mode: not Path(path).is_relative_to(folder) and real(path, mode),
    )


def gathered(host: Host, *sources: DataSource) -> Path:
    return gather([("x", source) for source in sources], host.data_dir, host)


def test_gather_leaves_a_complete_folder_alone(host: Host) -> None:
    write(host.data_dir, "data/mmlu/test.csv")
    write(host.home_data_dir or Path(), "data/mmlu/test.csv")
    assert gathered(host, MMLU, HUB, GATED, BUNDLED) == host.data_dir
    assert not (host.data_dir / "data" / "mmlu").is_symlink()
    assert gathered(host, HUB, GATED, BUNDLED) == host.data_dir


def test_gather_links_what_lies_at_home(host: Host) -> None:
    write(host.data_dir, "data/mmlu/test.csv")
    home = write(host.home_data_dir or Path(), BOOLQ.path)
    (host.data_dir / "data" / "gsm8k").mkdir()
    write(host.home_data_dir or Path(), "data/gsm8k/test.jsonl")
    assert gathered(host, MMLU, GSM8K, BOOLQ) == host.data_dir
    assert (host.data_dir / BOOLQ.path).resolve() == home
    assert (host.data_dir / "data" / "gsm8k" / "test.jsonl").read_text() == "rows"


def test_gather_replaces_a_link_to_what_is_gone(host: Host) -> None:
    place = host.data_dir / "data" / "gsm8k"
    place.parent.mkdir(parents=True)
    place.symlink_to("/nowhere")
    write(host.home_data_dir or Path(), "data/gsm8k/test.jsonl")
    gathered(host, GSM8K)
    assert (place / "test.jsonl").read_text() == "rows"


def test_gather_stands_in_for_a_folder_that_cannot_be_written(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(host.data_dir, "data/mmlu/test.csv")
    write(host.home_data_dir or Path(), "data/gsm8k/test.jsonl")
    read_only(monkeypatch, host.data_dir)
    folder = gathered(host, MMLU, GSM8K)
    assert folder.parent == host.cache_dir / "data"
    wanted = [("x", MMLU), ("x", GSM8K)]
    home = host.home_data_dir or Path()
    places = [host.data_dir / "data" / "mmlu", home / "data" / "gsm8k"]
    assert linked_data(wanted, folder, folder) == sorted(places)
    assert gathered(host, MMLU, GSM8K) == folder


def test_downloads_go_where_they_can_be_written(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.serve("/gsm8k/", "gsm8k.zip", {"gsm8k/test.jsonl": "{}"})
    write(machine.data.parent, "data/mmlu/test.csv")
    read_only(monkeypatch, machine.data.parent)
    access = machine.access()
    folder = gather([("m", MMLU), ("g", GSM8K)], access.data_dir, access.host)
    machine.data_folder = folder
    (fetched,) = machine.fetch(GSM8K)
    assert fetched.problem is None
    assert fetched.place == folder / "data" / "gsm8k"


def test_what_lies_at_home_is_no_obstacle(host: Host, machine: Machine) -> None:
    home = write(host.home_data_dir or Path(), "data/gsm8k/test.jsonl").parent
    missing = [Missing("g", GSM8K, host.data_dir / "data" / "gsm8k")]
    access = machine.access(may_download=False, home_data_dir=host.home_data_dir)
    assert obstacles(missing, access) == []
    assert announced(missing, access) == [f"g: {home} would be used"]
