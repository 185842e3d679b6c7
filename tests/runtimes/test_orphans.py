"""What a killed launcher left at work, or on disk, is gone before the next one starts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from ftbench.process import start_time
from ftbench.runtimes.orphans import private_folder, stop_orphans
from tests.builders import FINGERPRINT, make_plan


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def variables(plan) -> dict[str, str]:
    return {
        "OUTPUT_PATH": str(plan.run_dir),
        "FINGERPRINT": plan.fingerprint,
        "PATH": os.environ["PATH"],
    }


def start(code: str, plan, **changes: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=variables(plan) | changes,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


SLEEPING = "import time; print(flush=True); time.sleep(600)"

DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPING

WITH_CHILD = (
    "import subprocess, sys, time; "
    "child = subprocess.Popen(['sleep', '600']); print(child.pid, flush=True); time.sleep(600)"
)


@pytest.fixture
def plan(tmp_path):
    return make_plan(tmp_path, stop_grace_s=1)


def test_stop_orphans_asks_first(plan):
    orphan = start(SLEEPING, plan)
    said: list[str] = []
    stop_orphans(plan, said.append)
    assert orphan.wait(5) == -15
    assert said == [f"ftbench: stopping process {orphan.pid}, which a killed launcher left at work"]


def test_stop_orphans_kills_what_does_not_listen(plan):
    orphan = start(DEAF, plan)
    stop_orphans(plan, print)
    assert orphan.wait(5) == -9


def test_stop_orphans_leaves_no_child_of_a_killed_program(plan):
    orphan = subprocess.Popen(
        [sys.executable, "-c", WITH_CHILD],
        env=variables(plan),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert orphan.stdout is not None
    child = int(orphan.stdout.readline())
    # Linux shows no variables of a process in the middle of its exec.
    while not Path(f"/proc/{child}/environ").read_bytes():
        time.sleep(0.01)
    orphan.kill()
    orphan.wait()
    assert start_time(child)
    stop_orphans(plan, print)
    deadline = time.monotonic() + 5
    while start_time(child) and "Z" not in Path(f"/proc/{child}/stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_stop_orphans_leaves_other_evaluations_alone(plan, tmp_path):
    others = [
        start(SLEEPING, plan, OUTPUT_PATH=str(tmp_path / "run2")),
        start(SLEEPING, plan, FINGERPRINT="cd" * 32),
    ]
    said: list[str] = []
    stop_orphans(plan, said.append)
    assert [process.poll() for process in others] == [None, None]
    assert said == []
    for process in others:
        process.kill()
        process.wait()


def test_private_folder_removes_those_of_dead_launchers(temporary_folder):
    code = (
        "import os, sys, tempfile; tempfile.tempdir = sys.argv[1]\n"
        "from ftbench.runtimes.orphans import private_folder\n"
        "with private_folder('ftbench', sys.argv[2]) as folder:\n"
        "    (folder / 'file').touch(); print(folder.name, flush=True); os.kill(os.getpid(), 9)"
    )
    names = [
        subprocess.run(
            [sys.executable, "-c", code, temporary_folder, fingerprint],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        ).stdout.strip()
        for fingerprint in (FINGERPRINT, "cd" * 32)
    ]
    assert sorted(path.name for path in temporary_folder.iterdir()) == sorted(names)
    with private_folder("ftbench", FINGERPRINT) as own:
        # The other one's program may be at work in it.
        assert {path.name for path in temporary_folder.iterdir()} == {own.name, names[1]}
        assert own.stat().st_mode & 0o777 == 0o700
        with private_folder("ftbench", FINGERPRINT) as second:
            assert own.is_dir() and second != own
    assert [path.name for path in temporary_folder.iterdir()] == names[1:]


def test_private_folder_leaves_room_for_a_socket(temporary_folder, monkeypatch):
    long = temporary_folder / ("x" * 80)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with private_folder("ftbench", FINGERPRINT, room=36) as folder:
        path = folder / "pymp-abcdefgh" / "listener-abcdefgh"
        path.parent.mkdir()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    assert not folder.exists()
