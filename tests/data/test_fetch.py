"""Bringing data: found, downloaded and unpacked, or one problem that says everything."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from ftbench.data import Missing, announced, obstacles, still_missing
from ftbench.preset import DataSource
from tests.data.conftest import Machine
from tests.data.repositories import add_snapshot
from tests.data.server import DataServer

MMLU = DataSource("data/mmlu", "download")
MATH = DataSource("data/math/math.json", "download")
OTHER_MATH = DataSource("data/math/test.json", "download")
OWN = DataSource("data/own", "local")
HLE = DataSource("cais/hle", "hub")


@pytest.fixture
def mmlu(machine: Machine) -> Machine:
    machine.serve("/mmlu/", "mmlu.zip", {"mmlu/test/law_test.csv": "q,a\n" * 1000})
    return machine


def test_fetch_downloads_and_unpacks_what_is_missing(mmlu: Machine, server: DataServer) -> None:
    (fetched,) = mmlu.fetch(MMLU)
    size = len(server.files["/datasets/data/mmlu.zip"])
    assert (fetched.problem, fetched.num_bytes) == (None, size)
    assert fetched.place == mmlu.data / "mmlu"
    assert mmlu.left() == ["mmlu/test/law_test.csv"]
    assert mmlu.printed == ["downloading mmlu.zip", "unpacking mmlu.zip"]


def test_fetch_asks_no_server_for_what_is_here(mmlu: Machine, server: DataServer) -> None:
    mmlu.fetch(MMLU)
    server.seen.clear()
    (again,) = mmlu.fetch(MMLU, may_download=False)
    assert (again.problem, again.num_bytes) == (None, 0)
    assert server.seen == []


def test_fetch_downloads_an_archive_of_two_datasets_once(
    machine: Machine, server: DataServer
) -> None:
    machine.serve("/math/", "math.zip", {"math/math.json": "[]", "math/test.json": "[]"})
    first, second = machine.fetch(MATH, OTHER_MATH)
    assert first.num_bytes > 0 == second.num_bytes
    assert len(server.downloads("math.zip")) == 1


def test_fetch_takes_an_archive_that_was_brought_by_hand(mmlu: Machine, server: DataServer) -> None:
    mmlu.data.mkdir(parents=True)
    (mmlu.data / "mmlu.zip").write_bytes(server.files["/datasets/data/mmlu.zip"])
    (fetched,) = mmlu.fetch(MMLU)
    assert (fetched.problem, fetched.num_bytes) == (None, 0)
    assert mmlu.left() == ["mmlu.zip", "mmlu/test/law_test.csv"]
    assert server.downloads("mmlu.zip") == []


def test_fetch_unpacks_what_was_downloaded_before_a_kill(mmlu: Machine, server: DataServer) -> None:
    work = mmlu.data / ".ftbench"
    (work / "mmlu.zip.unpacked" / "mmlu").mkdir(parents=True)
    (work / "mmlu.zip").write_bytes(server.files["/datasets/data/mmlu.zip"])
    mmlu.fetch(MMLU)
    assert mmlu.left() == ["mmlu/test/law_test.csv"]
    assert server.downloads("mmlu.zip") == []


def test_fetch_lets_a_second_process_wait_for_the_first(mmlu: Machine, server: DataServer) -> None:
    server.holds = True
    other = Machine(mmlu.root, server, mmlu.downloads)
    threads = [threading.Thread(target=m.fetch, args=(MMLU,)) for m in (mmlu, other)]
    threads[0].start()
    assert server.begun.wait(20)
    threads[1].start()
    while "waiting for another download of mmlu.zip" not in other.printed:
        assert threads[1].is_alive()
    server.released.set()
    for thread in threads:
        thread.join(30)
    assert len(server.downloads("mmlu.zip")) == 1
    assert other.printed == ["waiting for another download of mmlu.zip"]
    assert mmlu.left() == ["mmlu/test/law_test.csv"]


INTERRUPTED = """
import sys
from pathlib import Path
from rich.console import Console
from ftbench.preset import DataSource
from ftbench.data import Access, fetch
from tests.surroundings import make_host
root, url, md5 = sys.argv[1:]
host = make_host(Path(root), data_url=url)
downloads = {"/mmlu/": ("http://far.away/datasets/data/mmlu.zip", md5)}
access = Access(host, host.data_dir, downloads)
fetch([("mmlu", DataSource("data/mmlu", "download"))], access, Console())
"""


def end(process: subprocess.Popen[bytes], sent: signal.Signals) -> None:
    """Sends the signal until the process has ended.

    Python answers a signal between two steps of its own: one that comes after the last step before
    a read begins is not seen until the read returns, here never, since the server holds.
    """
    deadline = time.monotonic() + 60
    while process.poll() is None:
        assert time.monotonic() < deadline
        process.send_signal(sent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_fetch_goes_on_after_an_interruption(
    sent: signal.Signals, mmlu: Machine, server: DataServer
) -> None:
    whole = len(server.files["/datasets/data/mmlu.zip"])
    server.holds = True
    arguments = [str(mmlu.root), server.url, mmlu.downloads["/mmlu/"][1]]
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, *arguments], env={**os.environ, "PYTHONPATH": "."}
    )
    part = mmlu.data / ".ftbench" / "mmlu.zip.part"
    assert server.begun.wait(20)
    while not part.is_file():
        assert process.poll() is None
    end(process, sent)
    server.holds = False
    server.released.set()
    assert not (mmlu.data / "mmlu").exists()
    have = part.stat().st_size
    (fetched,) = mmlu.fetch(MMLU)
    assert (fetched.problem, fetched.num_bytes) == (None, whole - have)
    assert mmlu.left() == ["mmlu/test/law_test.csv"]


def problem_of(machine: Machine, source: DataSource, **access: object) -> str:
    (fetched,) = machine.fetch(source, **access)
    assert not fetched.place.exists() or not any(fetched.place.rglob("*.*"))
    return str(fetched.problem)


BY_HAND = "or say where they are with data_dir=DIR (the folder that contains data/)"


def test_fetch_names_dataset_place_and_cure_when_no_server_answers(
    mmlu: Machine, server: DataServer
) -> None:
    url = "http://127.0.0.1:1"
    assert problem_of(mmlu, MMLU, data_url=url) == (
        f"dataset mmlu: its data is not at {mmlu.data}/mmlu, and {url} cannot be reached: "
        f"connection refused\n  try: put {url}/datasets/data/mmlu.zip into {mmlu.data} by hand, "
        f"as it is or unpacked, {BY_HAND}, or set FTBENCH_DATA_URL to a mirror"
    )
    assert problem_of(mmlu, HLE, hub_url=url) == (
        f"dataset hle: its data is not at {mmlu.hub}/datasets--cais--hle, and {url} cannot be "
        "reached: connection refused\n  try: copy that folder from a machine that has downloaded "
        "cais/hle, or set HF_ENDPOINT to a mirror"
    )


def test_fetch_asks_a_server_that_is_away_once(mmlu: Machine, server: DataServer) -> None:
    server.answers["/datasets/data/mmlu.zip"] = 503
    mmlu.serve("/math/", "math.zip", {"math/math.json": "[]"})
    fetched = mmlu.fetch(MMLU, MATH, MMLU)
    assert [bool(item.problem) for item in fetched] == [True, False]
    assert [line for line in server.seen if line.startswith("HEAD")] == ["HEAD /"]


@pytest.mark.parametrize(
    ("source", "access", "obstacle", "cure"),
    [
        (
            MMLU,
            {"may_download": False},
            "download=false forbids a download",
            "put {url}/datasets/data/mmlu.zip into {data} by hand, as it is or unpacked, "
            f"{BY_HAND}, or leave download=false out",
        ),
        (
            OWN,
            {"may_download": False},
            "OpenCompass knows no download for it",
            f"bring the files of data/own to {{data}}/own by hand, {BY_HAND}",
        ),
        (
            HLE,
            {"hub_offline": True},
            "HF_HUB_OFFLINE forbids a download",
            "copy that folder from a machine that has downloaded cais/hle, or unset HF_HUB_OFFLINE",
        ),
    ],
    ids=["download", "local", "hub"],
)
def test_what_can_never_be_brought_is_said_without_asking(
    source: DataSource,
    access: dict[str, bool],
    obstacle: str,
    cure: str,
    mmlu: Machine,
    server: DataServer,
) -> None:
    (fetched,) = mmlu.fetch(source, **access)
    name, place = fetched.dataset, fetched.place
    cure = cure.format(url=server.url, data=mmlu.data)
    message = f"dataset {name}: its data is not at {place}, and {obstacle}\n  try: {cure}"
    assert str(fetched.problem) == message
    (known,) = obstacles([Missing(name, source, place)], mmlu.access(**access))
    assert str(known) == message
    assert announced([Missing(name, source, place)], mmlu.access(**access)) == []
    assert server.seen == []


def test_announced_says_what_would_come_from_where(mmlu: Machine) -> None:
    places = {MMLU: mmlu.data / "mmlu", HLE: mmlu.hub / "datasets--cais--hle"}
    missing = [Missing("x", source, place) for source, place in places.items()]
    access = mmlu.access(data_url=None, hub_url="https://hub")
    assert announced(missing, access) == [
        f"x: http://far.away/datasets/data/mmlu.zip would be downloaded to {places[MMLU]}",
        f"x: https://hub/datasets/cais/hle would be downloaded to {places[HLE]}",
    ]


def test_fetch_says_when_the_archive_lacks_the_data(machine: Machine, server: DataServer) -> None:
    machine.serve("/mmlu/", "mmlu.zip", {"other/a.csv": "1"})
    message = problem_of(machine, MMLU)
    assert f"and {server.url}/datasets/data/mmlu.zip has no such file in it\n" in message


def test_fetch_says_when_the_archive_is_damaged(machine: Machine, server: DataServer) -> None:
    machine.serve("/mmlu/", "mmlu.zip", {"../mmlu/a.csv": "1"})
    message = problem_of(machine, MMLU)
    assert "mmlu.zip: its entry ../mmlu/a.csv leads out of the folder\n" in message
    assert not (machine.data.parent / "mmlu").exists()


def test_fetch_says_when_the_folder_cannot_be_written(mmlu: Machine) -> None:
    mmlu.data.parent.write_text("a file")
    message = problem_of(mmlu, MMLU)
    assert f"and {mmlu.data} cannot be written: Not a directory\n" in message


def test_one_problem_does_not_keep_the_others_from_coming(mmlu: Machine) -> None:
    fetched = mmlu.fetch(OWN, MMLU)
    assert [bool(item.problem) for item in fetched] == [True, False]
    assert still_missing(fetched, mmlu.access()) == [Missing("own", OWN, mmlu.data / "own")]


def test_fetch_adds_to_a_folder_that_is_there(machine: Machine) -> None:
    (machine.data / "math").mkdir(parents=True)
    (machine.data / "math" / "mine.txt").write_text("mine")
    machine.serve("/math/", "math.zip", {"math/math.json": "[]"})
    machine.fetch(MATH)
    assert machine.left() == ["math/math.json", "math/mine.txt"]


def test_a_hub_dataset_that_is_here_needs_no_hub(machine: Machine, server: DataServer) -> None:
    add_snapshot(machine.hub, "cais/hle", {"test.jsonl": "{}"})
    (fetched,) = machine.fetch(HLE, hub_offline=True)
    assert fetched.problem is None
    assert server.seen == []
