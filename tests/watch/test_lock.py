"""Two watchers with the same settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ftbench.errors import LaunchError
from ftbench.watch.lock import held
from ftbench.watch.stopping import Stop

HOLDING = """
import sys
from pathlib import Path
from ftbench.watch.lock import held
from ftbench.watch.stopping import Stop

with held(Path(sys.argv[1]), sys.argv[2] == "end", False, Stop(), print):
    print("held", flush=True)
    sys.stdin.read()
"""


def start(state: Path, has_end: bool) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, state, "end" if has_end else ""],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_second_watcher_is_told_the_first_ones_process(tmp_path: Path) -> None:
    first = start(tmp_path, has_end=True)
    with (
        pytest.raises(LaunchError, match=f"process {first.pid} is a watcher"),
        held(tmp_path, True, False, Stop(), print),
    ):
        pass
    first.communicate("")


def test_lock_is_free_after_a_kill(tmp_path: Path) -> None:
    first = start(tmp_path, has_end=True)
    first.kill()
    first.communicate()
    with held(tmp_path, True, False, Stop(), print) as is_held:
        assert is_held
    assert f'"pid": {os.getpid()}' in (tmp_path / "watcher.json").read_text()


def test_watcher_that_ends_by_itself_is_waited_for_where_that_is_asked(tmp_path: Path) -> None:
    first = start(tmp_path, has_end=True)
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        assert first.stdin is not None
        first.stdin.close()

    with held(tmp_path, True, True, Stop(), say) as is_held:
        assert is_held
    first.wait()
    assert said == [f"waiting for the watcher of process {first.pid}, with the same settings"]


def test_watcher_without_an_end_is_not_waited_for(tmp_path: Path) -> None:
    first = start(tmp_path, has_end=False)
    with pytest.raises(LaunchError), held(tmp_path, True, True, Stop(), print):
        pass
    first.communicate("")


def test_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(LaunchError, match="--state DIR"),
        held(tmp_path / "file" / "state", True, False, Stop(), print),
    ):
        pass
