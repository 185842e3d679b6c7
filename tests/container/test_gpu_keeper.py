"""A container that outlives its launcher keeps its GPUs; the engine is real, the GPU is a name."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.test_gpu_pool import is_free, wait_until_free

pytestmark = pytest.mark.container

LAUNCHER = """
import os, sys, time
from pathlib import Path
import docker
from ftbench.gpu_pool import leased
from ftbench.runtimes.keeper import kept
image, folder = sys.argv[1:]
with leased(["a"], 1, Path(folder), print) as lease:
    program = {"STAND_IN": "import time; time.sleep(600)"}
    container = docker.from_env().containers.run(image, detach=True, environment=program)
    with kept(container.id, lease, os.environ):
        print(container.id, flush=True)
        sys.stdin.readline()
container.remove(force=True)
"""


def launch(image: str, folder: Path) -> tuple[subprocess.Popen[str], str]:
    """A process that holds GPU a for a container that it started, and the container's id."""
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, image, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert launcher.stdout is not None
    return launcher, launcher.stdout.readline().strip()


def test_the_container_of_a_killed_launcher_keeps_its_gpu(
    client: Any, stand_in: str, tmp_path: Path
) -> None:
    launcher, container = launch(stand_in, tmp_path / "locks")
    try:
        launcher.kill()
        launcher.wait()
        # Long enough for a keeper that looked wrongly to have ended.
        time.sleep(2)
        assert not is_free("a", tmp_path / "locks")
    finally:
        client.containers.get(container).remove(force=True)
    wait_until_free("a", tmp_path / "locks")


def test_a_launcher_that_ends_gives_its_gpu_back(stand_in: str, tmp_path: Path) -> None:
    launcher, _ = launch(stand_in, tmp_path / "locks")
    launcher.communicate("\n", timeout=60)
    assert launcher.returncode == 0
    assert is_free("a", tmp_path / "locks")
