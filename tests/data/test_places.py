"""Where data lies, and when it counts as there."""

from pathlib import Path

import pytest

from ftbench import hub_cache
from ftbench.data import Missing, contents_of, find_missing, is_here, linked_data, place_of
from ftbench.preset import DataSource
from tests.data.repositories import add_snapshot

DOWNLOAD = DataSource("data/mmlu", "download")
LOCAL = DataSource("data/own", "local")
HUB = DataSource("cais/hle", "hub")
BUNDLED = DataSource("inside", "bundled")


@pytest.mark.parametrize(
    ("source", "place"),
    [
        (DOWNLOAD, "/d/data/mmlu"),
        (LOCAL, "/d/data/own"),
        (HUB, "/h/datasets--cais--hle"),
        (DataSource("glue", "hub"), "/h/datasets--glue"),
    ],
    ids=str,
)
def test_place_of_follows_the_layout_of_its_kind(source: DataSource, place: str) -> None:
    assert place_of(source, Path("/d"), Path("/h")) == Path(place)


def test_find_missing_lists_what_is_not_on_disk(weird_tmp_path: Path) -> None:
    data, hub = weird_tmp_path / "d", weird_tmp_path / "h"
    (data / "data" / "own").mkdir(parents=True)
    (data / "data" / "own" / "test.csv").touch()
    wanted = [("mmlu", DOWNLOAD), ("mmlu", LOCAL), ("mmlu", BUNDLED), ("hle", HUB)]
    assert find_missing(wanted, data, hub) == [
        Missing("mmlu", DOWNLOAD, data / "data" / "mmlu"),
        Missing("hle", HUB, hub / "datasets--cais--hle"),
    ]


def test_find_missing_names_every_dataset_that_needs_a_source(tmp_path: Path) -> None:
    wanted = [("cola", HUB), ("qqp", HUB), ("qqp", HUB)]
    assert [m.dataset for m in find_missing(wanted, tmp_path, tmp_path)] == ["cola", "qqp"]


def test_a_single_file_is_data_and_an_empty_folder_is_none(tmp_path: Path) -> None:
    (tmp_path / "val.jsonl").write_text("{}\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    for name, here in {"val.jsonl": True, "empty": False, "gone": False}.items():
        assert is_here(DataSource(name, "download"), tmp_path, tmp_path) is here


def test_linked_data_names_sources_outside_their_folder(weird_tmp_path: Path) -> None:
    data, hub, disk = (weird_tmp_path / name for name in ("d", "h", "disk"))
    (data / "data" / "own").mkdir(parents=True)
    (disk / "mmlu").mkdir(parents=True)
    (disk / "hle").mkdir()
    hub.mkdir()
    (data / "data" / "mmlu").symlink_to(disk / "mmlu")
    place_of(HUB, data, hub).symlink_to(disk / "hle")
    wanted = [("mmlu", DOWNLOAD), ("mmlu", LOCAL), ("hle", HUB)]
    assert linked_data(wanted, data, hub) == [disk / "hle", disk / "mmlu"]


def test_a_hub_dataset_is_read_from_its_main_snapshot(tmp_path: Path) -> None:
    snapshot = add_snapshot(tmp_path, "cais/hle", {"test.parquet": b"x"})
    assert contents_of(HUB, tmp_path, tmp_path) == (snapshot,)


def test_a_hub_dataset_whose_download_broke_off_is_not_here(tmp_path: Path) -> None:
    snapshot = add_snapshot(tmp_path, "cais/hle", {"a.parquet": b"x", "b.parquet": b"y"})
    folder = hub_cache.repository(tmp_path, "cais/hle")
    mark = folder / hub_cache.UNFINISHED
    mark.touch()
    assert not is_here(HUB, tmp_path, tmp_path)
    mark.unlink()
    piece = folder / "blobs" / "0123.9f.incomplete"
    piece.touch()
    assert not is_here(HUB, tmp_path, tmp_path)
    # The same file came in a later attempt.
    (folder / "blobs" / "0123").touch()
    assert is_here(HUB, tmp_path, tmp_path)
    (snapshot / "a.parquet").resolve().unlink()
    assert not is_here(HUB, tmp_path, tmp_path)


def test_a_hub_dataset_with_a_script_needs_its_parquet_copy(tmp_path: Path) -> None:
    main = add_snapshot(tmp_path, "cais/hle", {"hle.py": b"import os"})
    assert not is_here(HUB, tmp_path, tmp_path)
    copy = add_snapshot(tmp_path, "cais/hle", {"x/test/0000.parquet": b""}, hub_cache.PARQUET)
    assert contents_of(HUB, tmp_path, tmp_path) == (main, copy)
