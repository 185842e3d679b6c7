"""Fixtures for every test; see also the conftest of each folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ftbench.image import image_name


@pytest.fixture
def weird_tmp_path(tmp_path: Path) -> Path:
    """A folder whose name breaks careless quoting."""
    path = tmp_path / "we ird; 'quoted' \"folder\""
    path.mkdir()
    return path


@pytest.fixture(scope="session")
def eval_image() -> str:
    """Name of the evaluation image, CPU variant, built when it is not up to date.

    FTBENCH_BASE_IMAGE names what it stands on, where no registry answers.
    """
    command = [sys.executable, "-m", "ftbench.image", "build", "--variant", "cpu"]
    base = os.environ.get("FTBENCH_BASE_IMAGE")
    built = subprocess.run(
        [*command, *(["--base-image", base] if base else [])],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout
    return image_name("cpu")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves container tests out where no engine answers; with CI=true they run and then fail."""
    wanted = [item for item in items if item.get_closest_marker("container")]
    if not wanted or os.environ.get("CI") == "true":
        return
    reason = _why_no_engine()
    if reason:
        for item in wanted:
            item.add_marker(pytest.mark.skip(reason=f"no container engine answers: {reason}"))


def _why_no_engine() -> str:
    docker = shutil.which("docker")
    if docker is None:
        return "there is no docker command"
    answer = subprocess.run([docker, "info"], capture_output=True, text=True, check=False)
    if answer.returncode == 0:
        return ""
    return (answer.stderr.strip().splitlines() or ["docker info failed"])[-1]
