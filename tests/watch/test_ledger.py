"""The ledger on disk: what it remembers, and what a torn line does to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftbench.errors import LaunchError
from ftbench.watch.ledger import Account, Ledger, Running, append_line
from ftbench.watch.processes import ProcessId

LOG = Path("/logs/one.log")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.jsonl"


def test_success_is_remembered(path: Path) -> None:
    ledger = Ledger(path)
    ledger.starting("k1", "checkpoint-1", LOG)
    ledger.ended("k1", "checkpoint-1", 0, False)
    assert Ledger(path).account("k1") == Account(is_done=True)
    assert Ledger(path).account("k2") == Account()


def test_failures_are_counted_until_they_are_forgotten(path: Path) -> None:
    ledger = Ledger(path)
    ledger.ended("k1", "checkpoint-1", 5, True)
    ledger.ended("k1", "checkpoint-1", 3, True)
    account = Ledger(path).account("k1")
    assert (account.is_done, account.failures, account.exit_code) == (False, 2, 3)
    assert Ledger(path).failed_keys() == ["k1"]
    ledger.try_again("k1")
    assert Ledger(path).account("k1") == Account()


def test_interruption_is_no_failure(path: Path) -> None:
    Ledger(path).ended("k1", "checkpoint-1", 130, False)
    assert Ledger(path).account("k1") == Account()


def test_what_runs_is_known_with_its_process(path: Path) -> None:
    ledger = Ledger(path)
    ledger.starting("k1", "checkpoint-1", LOG)
    assert Ledger(path).running == Running("k1", "checkpoint-1", LOG)
    ledger.started(ProcessId(17, 4711))
    assert Ledger(path).running == Running("k1", "checkpoint-1", LOG, ProcessId(17, 4711))
    ledger.ended("k1", "checkpoint-1", 0, False)
    assert Ledger(path).running is None


def test_process_of_an_earlier_boot_is_no_process_of_today(path: Path) -> None:
    ledger = Ledger(path)
    ledger.starting("k1", "checkpoint-1", LOG)
    ledger.started(ProcessId(17, 4711))
    lines = path.read_text().replace(json.dumps(ledger._boot), '"another boot"')
    path.write_text(lines)
    running = Ledger(path).running
    assert running is not None and running.process == ProcessId(17, -1)


def test_torn_last_line_is_as_if_never_written(path: Path) -> None:
    ledger = Ledger(path)
    ledger.ended("k1", "checkpoint-1", 0, False)
    whole = path.read_bytes()
    ledger.ended("k2", "checkpoint-2", 0, False)
    line = path.read_bytes()[len(whole) :]
    for cut in range(len(line) - 1):
        path.write_bytes(whole + line[:cut])
        torn = Ledger(path)
        assert torn.account("k1").is_done
        assert not torn.account("k2").is_done
        torn.ended("k3", "checkpoint-3", 0, False)
        assert Ledger(path).account("k1").is_done
        assert Ledger(path).account("k3").is_done


def test_line_that_lost_only_its_end_counts(path: Path) -> None:
    Ledger(path).ended("k1", "checkpoint-1", 0, False)
    path.write_bytes(path.read_bytes()[:-1])
    Ledger(path).ended("k2", "checkpoint-2", 0, False)
    assert len(path.read_text().splitlines()) == 2
    assert Ledger(path).account("k1").is_done and Ledger(path).account("k2").is_done


@pytest.mark.parametrize("line", ["[]", "7", '{"event": "started", "pid": "x"}', '{"event": 3}'])
def test_line_of_another_hand_is_passed_over(path: Path, line: str) -> None:
    ledger = Ledger(path)
    ledger.starting("k1", "checkpoint-1", LOG)
    append_line(path, line)
    ledger.ended("k1", "checkpoint-1", 0, False)
    assert Ledger(path).account("k1").is_done


def test_moment_of_the_first_start_is_kept(path: Path) -> None:
    assert Ledger(path).since is None
    Ledger(path).keep_since(12.5)
    assert Ledger(path).since == 12.5


def test_names_of_any_letters_come_back(path: Path) -> None:
    name = 'étape\u2028 "7"\n'
    Ledger(path).starting("k1", name, LOG)
    assert Ledger(path).running == Running("k1", name, LOG)


def test_ledger_that_cannot_be_kept_is_an_error_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LaunchError, match="--state DIR"):
        Ledger(tmp_path / "file" / "ledger.jsonl")
    ledger = Ledger(tmp_path / "folder" / "ledger.jsonl")
    (tmp_path / "folder").write_text("")
    with pytest.raises(LaunchError, match="--state DIR"):
        ledger.ended("k1", "checkpoint-1", 0, False)
