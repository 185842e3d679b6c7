"""One archive over HTTP: what it is, and how it comes whatever the connection does."""

import socket
from pathlib import Path

import pytest

from ftbench.catalogue import load_catalogue
from ftbench.data.download import (
    Archive,
    DownloadFailed,
    download,
    find_archive,
    md5_of,
    why_unreachable,
)
from tests.data.server import DataServer

CATALOGUE = load_catalogue()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("data/mmlu", "mmlu.zip"),
        ("data/mmlu_pro", "mmlu_pro.zip"),
        ("data/gsm8k", "gsm8k.zip"),
        ("data/ARC/ARC-c/ARC-Challenge-Dev.jsonl", "ARC.zip"),
        ("data/aime.jsonl", "aime.zip"),
        ("data/aime2025/aime2025.jsonl", "aime2025.zip"),
        ("data/SuperGLUE/BoolQ/val.jsonl", "SuperGLUE.zip"),
        ("data/P-MMEval", "pmmeval.zip"),
        ("data/subjective/mtbench101.jsonl", "mtbench101.zip"),
        ("data/subjective/mtbench", "mtbench.zip"),
        ("data/IFBench/IFBench_test.jsonl", "IFBench.zip"),
        ("data/arc_agi_2_public_evaluation", None),
        ("data/siqa", None),
        ("opencompass/math", None),
    ],
)
def test_find_archive_names_the_one_that_brings_a_path(path: str, name: str | None) -> None:
    archive = find_archive(path, CATALOGUE.downloads)
    assert (archive.name if archive else None) == name


def test_every_download_of_the_catalogue_has_an_archive() -> None:
    presets = (CATALOGUE.preset(path) for path in CATALOGUE.entries)
    sources = {s for preset in presets for s in preset.sources if s.kind == "download"}
    lacking = {s.path for s in sources if not find_archive(s.path, CATALOGUE.downloads)}
    assert len(sources) > 150 and lacking == set()


def test_find_archive_takes_it_from_a_mirror() -> None:
    archive = find_archive("data/mmlu", CATALOGUE.downloads, "https://mirror:8000/oc/")
    assert archive is not None
    assert archive.url == "https://mirror:8000/oc/datasets/data/mmlu.zip"
    assert archive.server == "https://mirror:8000"
    assert archive.md5 == CATALOGUE.downloads["/mmlu/"][1]


def test_why_unreachable_waits_for_a_silent_server_no_longer_than_it_must(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ftbench.data.download._REACH_TIMEOUT_S", 0.1)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert why_unreachable(f"http://127.0.0.1:{silent.getsockname()[1]}") == "timed out"


BODY = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def archive(server: DataServer) -> Archive:
    server.files["/a.zip"] = BODY
    return Archive(f"{server.url}/a.zip", "c35cc7d8d91728a0cb052831bc4ef372")


class Arrival:
    """Files of one download and the progress that it reported."""

    def __init__(self, folder: Path) -> None:
        self.part, self.target = folder / "a.part", folder / "a.zip"
        self.progress: list[tuple[int, int | None]] = []

    def run(self, archive: Archive) -> int:
        return download(archive, self.part, self.target, lambda *at: self.progress.append(at))


@pytest.fixture
def arrival(weird_tmp_path: Path) -> Arrival:
    return Arrival(weird_tmp_path)


def test_md5_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(BODY)
    assert md5_of(tmp_path / "a") == "c35cc7d8d91728a0cb052831bc4ef372"


def test_download_moves_the_whole_file_into_place(archive: Archive, arrival: Arrival) -> None:
    assert arrival.run(archive) == len(BODY)
    assert arrival.target.read_bytes() == BODY
    assert not arrival.part.exists()
    assert (arrival.progress[0], arrival.progress[-1]) == ((0, len(BODY)), (len(BODY), len(BODY)))


def test_download_goes_on_where_it_stopped(
    archive: Archive, arrival: Arrival, server: DataServer
) -> None:
    arrival.part.write_bytes(BODY[:1000])
    assert arrival.run(archive) == len(BODY) - 1000
    assert arrival.target.read_bytes() == BODY
    assert server.seen == ["GET /a.zip bytes=1000-"]


def test_download_survives_connections_that_break(
    archive: Archive, arrival: Arrival, server: DataServer
) -> None:
    server.cuts_at = [300_000, 1, 500_000]
    assert arrival.run(archive) == len(BODY)
    assert arrival.target.read_bytes() == BODY
    assert server.seen[1:] == [f"GET /a.zip bytes={n}-" for n in (300_000, 300_001, 800_001)]


def test_download_gives_up_when_nothing_more_comes(
    archive: Archive, arrival: Arrival, server: DataServer
) -> None:
    server.cuts_at = [1000, 0, 0, 0]
    with pytest.raises(DownloadFailed) as caught:
        arrival.run(archive)
    assert str(caught.value) == f"{server.url} breaks off: after 1000 of 1048576 bytes"
    assert arrival.part.read_bytes() == BODY[:1000]


def test_download_starts_again_where_the_server_sends_no_parts(
    archive: Archive, arrival: Arrival, server: DataServer
) -> None:
    server.ranges = False
    arrival.part.write_bytes(b"of another file")
    assert arrival.run(archive) == len(BODY)
    assert arrival.target.read_bytes() == BODY


@pytest.mark.parametrize("left", [b"x" * 1000, b"x" * len(BODY)], ids=["shorter", "as long"])
def test_download_drops_what_belongs_to_another_file(
    left: bytes, archive: Archive, arrival: Arrival, server: DataServer
) -> None:
    arrival.part.write_bytes(left)
    arrival.run(archive)
    assert arrival.target.read_bytes() == BODY
    assert server.seen == [f"GET /a.zip bytes={len(left)}-", "GET /a.zip"]


def test_download_takes_a_whole_file_that_was_not_moved_yet(
    archive: Archive, arrival: Arrival
) -> None:
    arrival.part.write_bytes(BODY)
    assert arrival.run(archive) == 0
    assert arrival.target.read_bytes() == BODY


def test_download_refuses_another_checksum(
    archive: Archive, arrival: Arrival, server: DataServer
) -> None:
    server.files["/a.zip"] = b"<html>please log in</html>"
    with pytest.raises(DownloadFailed) as caught:
        arrival.run(archive)
    assert str(caught.value) == f"what {archive.url} sends has another checksum than it had"
    assert list(arrival.part.parent.iterdir()) == []


def test_download_says_what_the_server_answers(
    archive: Archive, arrival: Arrival, server: DataServer
) -> None:
    server.answers["/a.zip"] = 404
    with pytest.raises(DownloadFailed) as caught:
        arrival.run(archive)
    assert str(caught.value) == f"{archive.url} answers 404 Not Found"
    assert server.seen == ["GET /a.zip"]


def test_why_unreachable_is_empty_for_any_answer(server: DataServer) -> None:
    server.answers["/"] = 403
    assert why_unreachable(f"{server.url}/") == ""


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:1", "connection refused"),
        ("http://no-such-host.invalid", "name or service not known"),
        ("nonsense", "unknown url type: 'nonsense'"),
    ],
)
def test_why_unreachable_says_what_happened(
    url: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert why_unreachable(url) == why
