"""Leases on GPUs, with real processes: who waits, who gets what, and what a kill leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ftbench import gpu_pool
from ftbench.errors import LaunchError
from ftbench.gpu_pool import leased

HOLD = """
import subprocess, sys, time
from pathlib import Path
from ftbench.gpu_pool import leased
gpus, count, folder, *heir = sys.argv[1:]
say = lambda line: print(line, flush=True)
with leased(gpus.split(","), int(count), Path(folder), say) as lease:
    if heir:
        child = subprocess.Popen(["sleep", "600"], pass_fds=lease.handles)
        print(child.pid, flush=True)
    print(",".join(lease.gpus), flush=True)
    sys.stdin.read()
"""
"""Holds GPUs until its input ends."""


@pytest.fixture
def folder(weird_tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(gpu_pool, "_PAUSE_S", 0.02)
    return weird_tmp_path / "locks"


Hold = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def hold(folder: Path) -> Iterator[Hold]:
    """Starts a process that holds GPUs."""
    with ExitStack() as stack:

        def start(gpus: str, count: int, *heir: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", HOLD, gpus, str(count), str(folder), *heir],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield start


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def is_free(gpu: str, folder: Path) -> bool:
    """Whether a lease is had at once."""
    handle = gpu_pool._lock(folder / f"{gpu}.lock")
    if handle is not None:
        os.close(handle)
    return handle is not None


def wait_until_free(gpu: str, folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not is_free(gpu, folder):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_leases_are_the_first_free_gpus(folder: Path) -> None:
    lines: list[str] = []
    with (
        leased(["a", "b", "c"], 1, folder, lines.append) as first,
        leased(["a", "b", "c"], 2, folder, lines.append) as second,
    ):
        assert (first.gpus, second.gpus) == (("a",), ("b", "c"))
    assert lines == []
    with leased(["a", "b"], 2, folder, lines.append) as again:
        assert again.gpus == ("a", "b")


def test_no_gpu_needs_no_lock(folder: Path) -> None:
    with leased([], 0, folder, print) as lease:
        assert lease.gpus == ()
    assert not folder.exists()


def test_too_few_gpus_are_an_error_at_once(folder: Path) -> None:
    with pytest.raises(LaunchError) as caught, leased(["a"], 2, folder, print):
        pass
    assert "taking GPUs: 2 are needed, and there are 1: a" in str(caught.value)


def test_a_job_waits_with_a_message_until_a_gpu_is_free(folder: Path, hold: Hold) -> None:
    holder = hold("a,b", 2)
    assert said(holder) == "a,b"
    waiting = hold("a,b", 1)
    assert said(waiting) == "waiting for 1 of the GPUs a, b: other evaluations run"
    assert holder.stdin is not None
    holder.stdin.close()
    assert said(waiting) == "a"


def test_a_job_that_waits_for_two_holds_none(folder: Path, hold: Hold) -> None:
    assert said(hold("b", 1)) == "b"
    assert said(hold("a,b", 2)).startswith("waiting for 2 ")
    wait_until_free("a", folder)
    assert said(hold("a", 1)) == "a"


def test_two_jobs_that_need_all_gpus_take_turns(folder: Path) -> None:
    """In opposite orders, where locks taken one by one would end in a deadlock."""
    inside, most = [0], [0]

    def work(gpus: list[str]) -> None:
        for _ in range(20):
            with leased(gpus, 2, folder, lambda line: None):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work, args=(gpus,)) for gpus in (["a", "b"], ["b", "a"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert most == [1]


def test_a_killed_job_frees_its_gpus(folder: Path, hold: Hold) -> None:
    holder = hold("a", 1)
    assert said(holder) == "a"
    assert not is_free("a", folder)
    holder.kill()
    holder.wait()
    assert is_free("a", folder)


def test_the_program_of_a_killed_job_keeps_its_gpus(folder: Path, hold: Hold) -> None:
    holder = hold("a", 1, "heir")
    program = int(said(holder))
    try:
        assert said(holder) == "a"
        holder.kill()
        holder.wait()
        assert not is_free("a", folder)
    finally:
        os.kill(program, signal.SIGKILL)
    wait_until_free("a", folder)


def test_a_lock_file_that_was_tidied_away_keeps_nobody_out(folder: Path) -> None:
    with leased(["a"], 1, folder, print):
        (folder / "a.lock").unlink()
        with leased(["a"], 1, folder, print) as new:
            assert new.gpus == ("a",)
            assert not is_free("a", folder)


def test_the_folder_is_everyones_and_its_files_are_their_makers(folder: Path) -> None:
    with leased(["a"], 1, folder, print):
        assert folder.stat().st_mode & 0o7777 == 0o1777
        assert (folder / "a.lock").stat().st_mode & 0o7777 == 0o644


def test_a_lock_file_of_another_user_serves_too(folder: Path) -> None:
    with leased(["a"], 1, folder, print):
        pass
    for name in ("a.lock", "door.lock"):
        (folder / name).chmod(0o444)
    with leased(["a"], 1, folder, print) as lease:
        assert lease.gpus == ("a",)


def test_a_link_in_place_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LaunchError) as caught, leased(["a"], 1, folder, print):
        pass
    assert "it is a link or a file, and no folder" in str(caught.value)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_in_place_of_a_lock_is_not_followed(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (folder / "a.lock").symlink_to(tmp_path / "target")
    with pytest.raises(LaunchError), leased(["a"], 1, folder, print):
        pass
    assert not (tmp_path / "target").exists()


def test_names_become_plain_file_names(folder: Path) -> None:
    with leased(["../../a"], 1, folder, print):
        assert sorted(p.name for p in folder.iterdir()) == ["______a.lock", "door.lock"]
