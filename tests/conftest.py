"""Fixtures for every test; see also the conftest of each folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ftbench.image import image_name

REAL = ("opencompass", "container", "mlflow_server", "browser", "slurm", "slow")
"""Markers of the tests that ``scripts/test --fast`` leaves out."""

ONE_A_MACHINE = ("container", "slurm")
"""Markers of tests that share names in the container engine, or Slurm's daemons: one group each."""

TOGETHER = {"test_main_job": "demo", "test_mlflow_page": "demo", "test_wheel": "container"}
"""Groups of other tests by their module; else a module, which shares its fixtures, is a group. One
test of the demo writes into its database, whose pages others open."""

FIRST = ("demo", "test_truth", "container", "slurm", "test_catalogue_regenerated")
"""Groups that begin first, the longest at the front: what begins last should be short, or a worker
idles. The first one makes the demo, which others wait for."""


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


# Before pytest-xdist looks at the groups.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Prepares the tests that run real things; those of logic alone stay as they are."""
    real = [item for item in items if any(item.get_closest_marker(name) for name in REAL)]
    _skip_without_engine(real)
    _group(real)
    rank = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(_group_of(item), len(rank)))


def _skip_without_engine(items: list[pytest.Item]) -> None:
    """Leaves container tests out where no engine answers; with CI=true they run and then fail."""
    wanted = [item for item in items if item.get_closest_marker("container")]
    if not wanted or os.environ.get("CI") == "true":
        return
    reason = _why_no_engine()
    if reason:
        for item in wanted:
            item.add_marker(pytest.mark.skip(reason=f"no container engine answers: {reason}"))


def _group(items: list[pytest.Item]) -> None:
    """Says which tests one worker runs, one after another (``--dist loadgroup``)."""
    for item in items:
        module = item.path.stem
        groups = [name for name in ONE_A_MACHINE if item.get_closest_marker(name)]
        groups += [TOGETHER.get(module, module)]
        item.add_marker(pytest.mark.xdist_group(groups[0]))


def _group_of(item: pytest.Item) -> str:
    mark = item.get_closest_marker("xdist_group")
    return str(mark.args[0]) if mark else ""


def _why_no_engine() -> str:
    docker = shutil.which("docker")
    if docker is None:
        return "there is no docker command"
    answer = subprocess.run([docker, "info"], capture_output=True, text=True, check=False)
    if answer.returncode == 0:
        return ""
    return (answer.stderr.strip().splitlines() or ["docker info failed"])[-1]
