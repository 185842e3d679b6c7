"""The stop watch, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "docker" / "opencompass"

# The main thread swallows whatever a signal handler raises, and is in C code for seconds, where no
# handler runs. A child must not outlive the process.
BUSY = """
import hashlib, subprocess, time
from ftbench_eval.stop import watch_for_stop
child = subprocess.Popen(["sleep", "60"])
watch_for_stop({timeout}, lambda reason: print("stopped by", reason, child.pid, flush=True))
print("ready", flush=True)
while True:
    try:
        {busy}
    except BaseException:
        pass
"""


def start(timeout: str, busy: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUSY.format(timeout=timeout, busy=busy)],
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        stdout=subprocess.PIPE,
        text=True,
    )


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A killed child that nobody has waited for yet is a zombie.
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize(
    ("number", "name", "exit_code"),
    [(signal.SIGTERM, "SIGTERM", 143), (signal.SIGINT, "SIGINT", 130)],
)
def test_watch_for_stop_ends_a_busy_process(
    number: signal.Signals, name: str, exit_code: int
) -> None:
    process = start("None", "hashlib.pbkdf2_hmac('sha256', b'x', b'y', 50_000_000)")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    sent = time.monotonic()
    process.send_signal(number)
    printed, _ = process.communicate(timeout=30)
    assert time.monotonic() - sent < 1
    assert process.returncode == exit_code
    *words, child = printed.split()
    assert words == ["stopped", "by", name]
    # Killed, but on a busy machine not yet gone.
    while is_alive(int(child)):
        assert time.monotonic() - sent < 30
        time.sleep(0.01)


def test_watch_for_stop_at_the_time_limit() -> None:
    process = start("0.2", "time.sleep(60)")
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 124
    assert "stopped by its time limit of 0 s" in printed


def test_watch_for_stop_lets_other_signals_pass() -> None:
    source = """
import signal, time
from ftbench_eval.stop import watch_for_stop
watch_for_stop(None, lambda reason: None)
seen = []
signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.01)
time.sleep(0.3)
print(len(seen))
"""
    ran = subprocess.run(
        [sys.executable, "-c", source],
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert ran.stdout == "1\n"


BEFORE_THREADS = """
import threading, time
from ftbench_eval.stop import end_on_signals
end_on_signals(lambda reason: print("stopped by", reason, threading.active_count(), flush=True))
print("ready", flush=True)
while True:
    try:
        time.sleep(0.01)
    except BaseException:
        pass
"""


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_end_on_signals_needs_no_thread(number: signal.Signals, exit_code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BEFORE_THREADS],
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    printed, _ = process.communicate(timeout=30)
    assert (process.returncode, printed) == (exit_code, f"stopped by {number.name} 1\n")
