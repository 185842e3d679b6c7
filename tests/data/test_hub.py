"""Datasets of the hub, brought by its own client from a server that speaks its protocol."""

import pytest

from ftbench import hub_cache
from ftbench.data import is_here
from ftbench.preset import DataSource
from tests.data.conftest import Machine
from tests.data.server import DataServer, commit_of

HLE = DataSource("cais/hle", "hub")
WSC = DataSource("winograd_wsc", "hub")
FILES = {"README.md": b"---\n---\n", "data/test.jsonl": b'{"a": 1}\n'}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def test_bring_snapshot_fills_the_cache(machine: Machine, server: DataServer) -> None:
    server.repositories["cais/hle@main"] = FILES
    (fetched,) = machine.fetch(HLE)
    assert fetched.problem is None
    assert fetched.num_bytes == sum(map(len, FILES.values()))
    snapshot = fetched.place / "snapshots" / commit_of("cais/hle@main")
    assert {
        str(path.relative_to(snapshot)): path.read_bytes()
        for path in snapshot.rglob("*")
        if path.is_file()
    } == FILES
    assert machine.printed == [f"downloading cais/hle from {server.url}"]


def test_bring_snapshot_goes_on_after_a_file_that_broke_off(
    machine: Machine, server: DataServer
) -> None:
    server.repositories["cais/hle@main"] = FILES
    server.answers[f"/datasets/cais/hle/resolve/{commit_of('cais/hle@main')}/data/test.jsonl"] = 404
    (fetched,) = machine.fetch(HLE)
    assert fetched.problem is not None
    assert f"{server.url} does not send it" in fetched.problem.happened
    assert not is_here(HLE, machine.data.parent, machine.hub)
    server.answers.clear()
    server.seen.clear()
    (again,) = machine.fetch(HLE)
    assert (again.problem, again.num_bytes) == (None, len(FILES["data/test.jsonl"]))
    assert server.downloads("README.md") == []


def test_bring_snapshot_brings_the_parquet_copy_of_what_a_script_makes(
    machine: Machine, server: DataServer
) -> None:
    server.repositories["winograd_wsc@main"] = {"winograd_wsc.py": b"import os"}
    copy = {"wsc273/test/0000.parquet": b"PAR1"}
    server.repositories[f"winograd_wsc@{hub_cache.PARQUET}"] = copy
    (fetched,) = machine.fetch(WSC)
    assert fetched.problem is None
    main, parquet = hub_cache.snapshots(machine.hub, "winograd_wsc")
    assert (main / "winograd_wsc.py").is_file()
    assert (parquet / "wsc273" / "test" / "0000.parquet").read_bytes() == b"PAR1"


def test_a_script_without_a_parquet_copy_is_a_problem(machine: Machine, server: DataServer) -> None:
    server.repositories["winograd_wsc@main"] = {"winograd_wsc.py": b"import os"}
    (fetched,) = machine.fetch(WSC)
    assert fetched.problem is not None
    assert fetched.problem.happened == (
        f"its data is not at {machine.hub}/datasets--winograd_wsc, and a script makes its rows, "
        "which is not run, and the hub has no parquet copy of them"
    )


def test_a_gated_dataset_names_its_terms_and_the_token(
    machine: Machine, server: DataServer
) -> None:
    server.repositories["cais/hle@main"] = FILES
    server.gated.add("cais/hle")
    (fetched,) = machine.fetch(HLE)
    assert str(fetched.problem) == (
        f"dataset hle: its data is not at {machine.hub}/datasets--cais--hle, and it is given only "
        f"to those who accept its terms at {server.url}/datasets/cais/hle\n"
        "  try: accept them there, then set HF_TOKEN, "
        "or copy that folder from a machine that has downloaded cais/hle"
    )
    (opened,) = machine.fetch(HLE, secrets={"HF_TOKEN": server.token})
    assert opened.problem is None


def test_a_dataset_that_the_hub_does_not_have(machine: Machine, server: DataServer) -> None:
    (fetched,) = machine.fetch(HLE)
    assert fetched.problem is not None
    assert fetched.problem.happened == (
        f"its data is not at {machine.hub}/datasets--cais--hle, and {server.url} has no dataset "
        "of this name, or shows it to its owners only"
    )
    assert not fetched.place.exists()
