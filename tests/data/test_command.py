"""``python -m ftbench.datasets fetch``: what became of each dataset, and the exit code."""

from pathlib import Path

import pytest

from ftbench.data import Fetched, command
from ftbench.data.command import fetch_command, report
from ftbench.errors import EXIT_CONFIG, EXIT_LAUNCH, EXIT_OK
from ftbench.preset import DataSource
from tests.data.server import DataServer
from tests.surroundings import CATALOGUE, make_host

Captured = pytest.CaptureFixture[str]


def run(names: str, root: Path, server: DataServer) -> int:
    md5 = server.add_archive("gsm8k.zip", {"gsm8k/test.jsonl": "x" * 60_000})
    CATALOGUE.downloads["/gsm8k/"] = ("http://far.away/datasets/data/gsm8k.zip", md5)
    host = make_host(root, data_url=server.url, hub_url="http://127.0.0.1:1")
    try:
        return fetch_command(names.split(), CATALOGUE, host)
    finally:
        CATALOGUE.downloads.clear()


def test_fetch_says_what_became_of_each(
    server: DataServer, tmp_path: Path, capsys: Captured
) -> None:
    mmlu = tmp_path / "compass" / "data" / "mmlu"
    mmlu.mkdir(parents=True)
    (mmlu / "test.csv").touch()
    assert run("mmlu gsm8k", tmp_path, server) == EXIT_OK
    place = tmp_path / "compass" / "data" / "gsm8k"
    assert capsys.readouterr().out.splitlines() == [
        "downloading gsm8k.zip",
        "unpacking gsm8k.zip",
        f"mmlu: {mmlu} is here",
        f"gsm8k: downloaded 0.1 MB to {place}",
    ]


def test_fetch_lists_all_problems_and_brings_the_rest(
    server: DataServer, tmp_path: Path, capsys: Captured
) -> None:
    assert run("hle mmlu gsm8k", tmp_path, server) == EXIT_LAUNCH
    out, err = capsys.readouterr()
    data, hub = tmp_path / "compass" / "data", tmp_path / "hub"
    assert out.splitlines()[2:] == [
        f"hle: is not at {hub}/datasets--cais--hle",
        f"mmlu: is not at {data}/mmlu",
        f"gsm8k: downloaded 0.1 MB to {data}/gsm8k",
    ]
    assert err.splitlines()[0] == "Not all data could be brought: 2 problems"
    assert "1. dataset hle: " in err and "2. dataset mmlu: " in err


def test_fetch_refuses_unknown_names_before_it_downloads(
    server: DataServer, tmp_path: Path, capsys: Captured
) -> None:
    assert run("gsm8k gsm8", tmp_path, server) == EXIT_CONFIG
    assert capsys.readouterr().err == (
        "The configuration cannot be used\n"
        "dataset 'gsm8': OpenCompass 0.5.4 has no dataset of this name\n  try: one of: gsm8k\n"
    )
    assert server.seen == []


def test_report_says_what_comes_with_opencompass() -> None:
    bundled = Fetched("wikibench", DataSource("", "bundled"), Path("/d"))
    assert report("wikibench", [bundled]) == ["wikibench: comes with OpenCompass"]
    assert report("synthetic", []) == ["synthetic: comes with OpenCompass"]


def test_fetch_says_that_an_interruption_costs_nothing(
    server: DataServer, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "fetch", interrupted)
    assert run("gsm8k", tmp_path, server) == 130
    assert capsys.readouterr().err == "interrupted; the same command goes on where it stopped\n"
