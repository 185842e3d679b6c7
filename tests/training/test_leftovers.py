"""Processes that a training left outside of its own session."""

from __future__ import annotations

import os
import subprocess
import sys

from ftbench.training.leftovers import MARK, end_leftovers

SLEEP = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"]


def start(mark: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        SLEEP,
        env={**os.environ, MARK: mark},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def test_end_leftovers_ends_those_of_one_training_only() -> None:
    with start("mine-1") as mine, start("mine-12") as other:
        try:
            assert end_leftovers("mine-1") == 1
            assert mine.wait() == -9
            assert other.poll() is None
        finally:
            other.kill()
    assert end_leftovers("mine-1") == 0
