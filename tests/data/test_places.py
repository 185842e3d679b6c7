"""Data of the datasets: what is on disk, what is missing, what can be downloaded."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ftbench import dataset_files
from ftbench.catalogue import DataSource, Preset
from ftbench.dataset_files import (
    Missing,
    check_downloads,
    find_missing,
    linked_data,
    make_folders,
    place_of,
)
from ftbench.errors import LaunchError

DOWNLOAD = DataSource("data/mmlu", "download")
LOCAL = DataSource("data/own", "local")
HUB = DataSource("cais/hle", "hub")
BUNDLED = DataSource("inside", "bundled")


def preset(*sources: DataSource) -> Preset:
    return Preset("p", "p/p.py", "gen", ("p",), "p", sources)


class _Answering(BaseHTTPRequestHandler):
    asked: list[str]

    def do_HEAD(self) -> None:
        self.asked.append(self.path)
        self.send_response(403)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Requests that reach a server standing in for both download sites; it refuses each."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    _Answering.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answering) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(dataset_files, "_DOWNLOADS", f"{address}/oss")
        monkeypatch.setattr(dataset_files, "_HUB", f"{address}/hub")
        yield _Answering.asked
        server.shutdown()


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
    chosen = [("mmlu", preset(DOWNLOAD, LOCAL, BUNDLED)), ("hle", preset(HUB))]
    assert find_missing(chosen, data, hub) == [
        Missing("mmlu", DOWNLOAD, data / "data" / "mmlu"),
        Missing("hle", HUB, hub / "datasets--cais--hle"),
    ]


def test_find_missing_names_every_dataset_that_needs_a_source(tmp_path: Path) -> None:
    chosen = [("cola", preset(HUB)), ("qqp", preset(HUB))]
    assert [m.dataset for m in find_missing(chosen, tmp_path, tmp_path)] == ["cola", "qqp"]


def test_find_missing_accepts_a_single_file(tmp_path: Path) -> None:
    (tmp_path / "val.jsonl").write_text("{}\n")
    chosen = [("boolq", preset(DataSource("val.jsonl", "download")))]
    assert find_missing(chosen, tmp_path, tmp_path) == []


def test_linked_data_names_sources_outside_the_data_folder(weird_tmp_path: Path) -> None:
    data, disk = weird_tmp_path / "d", weird_tmp_path / "disk"
    (data / "data" / "own").mkdir(parents=True)
    (disk / "mmlu").mkdir(parents=True)
    (data / "data" / "mmlu").symlink_to(disk / "mmlu")
    chosen = [("mmlu", preset(DOWNLOAD, LOCAL)), ("hle", preset(HUB))]
    assert linked_data(chosen, data, weird_tmp_path) == [disk / "mmlu"]


@pytest.mark.parametrize(
    ("source", "network", "offline", "obstacle", "cure"),
    [
        (
            DOWNLOAD,
            False,
            False,
            "runtime.network=none forbids a download",
            "bring the files of data/mmlu to /d/x by hand, or say where they are with data_dir=DIR "
            "(the folder that contains data/), or leave runtime.network=none out",
        ),
        (
            LOCAL,
            False,
            False,
            "OpenCompass knows no download for it",
            "bring the files of data/own to /d/x by hand, or say where they are with data_dir=DIR "
            "(the folder that contains data/)",
        ),
        (
            HUB,
            False,
            True,
            "runtime.network=none forbids a download",
            "copy that folder from a machine that has downloaded cais/hle, "
            "or leave runtime.network=none out",
        ),
        (
            HUB,
            True,
            True,
            "HF_HUB_OFFLINE forbids a download",
            "copy that folder from a machine that has downloaded cais/hle, or unset HF_HUB_OFFLINE",
        ),
    ],
    ids=str,
)
def test_check_downloads_says_dataset_place_obstacle_and_cure(
    source: DataSource, network: bool, offline: bool, obstacle: str, cure: str, asked: list[str]
) -> None:
    (problem,) = check_downloads([Missing("mine", source, Path("/d/x"))], network, offline)
    assert str(problem) == (f"dataset mine: its data is not at /d/x, and {obstacle}\n  try: {cure}")
    assert asked == []


def test_check_downloads_lets_the_hub_alone_be_off(asked: list[str]) -> None:
    assert check_downloads([Missing("mmlu", DOWNLOAD, Path("/d"))], True, hub_offline=True) == []
    assert asked == ["/oss"]


def test_check_downloads_asks_each_server_once_and_any_answer_will_do(asked: list[str]) -> None:
    missing = [Missing(name, s, Path("/d")) for name in "ab" for s in (DOWNLOAD, HUB)]
    assert check_downloads(missing, True, False) == []
    assert asked == ["/oss", "/hub"]


def test_check_downloads_says_why_a_server_is_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(dataset_files, "_DOWNLOADS", "http://127.0.0.1:1")
    missing = [Missing(name, DOWNLOAD, Path("/d")) for name in ("mmlu", "ceval")]
    problems = check_downloads(missing, True, False)
    assert [problem.tried for problem in problems] == ["dataset mmlu", "dataset ceval"]
    assert problems[0].happened == (
        "its data is not at /d, and http://127.0.0.1:1 cannot be reached: connection refused"
    )


def test_make_folders_makes_parents_and_keeps_what_is_there(weird_tmp_path: Path) -> None:
    (weird_tmp_path / "a").write_text("a file")
    make_folders([weird_tmp_path / "b" / "c", weird_tmp_path])
    assert (weird_tmp_path / "b" / "c").is_dir()
    with pytest.raises(LaunchError) as caught:
        make_folders([weird_tmp_path / "a" / "c"])
    assert str(caught.value.problems[0]) == (
        f"folder {weird_tmp_path}/a/c: it cannot be made: Not a directory\n"
        "  try: data_dir=DIR, or set COMPASS_DATA_CACHE or HF_HUB_CACHE to another folder"
    )
