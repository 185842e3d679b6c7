"""Fixtures for every test; see also the conftest of each folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ftbench.image import image_name

REAL = ("opencompass", "container", "mlflow_server", "browser", "slurm", "slow")
"""Markers of the tests that ``scripts/test --fast`` leaves out."""

ONE_A_MACHINE = ("container", "slurm")
"""Markers, and groups, of tests that share names in the container engine, or Slurm's daemons."""

TOGETHER = {
    "test_bad_input": "container",
    "test_confinement": "container",
    "test_docker_runtime": "container",
    "test_gpu_keeper": "container",
    "test_image_build": "container",
    "test_interrupted_container": "container",
    "test_main_job": "demo",
    "test_main_job_container": "container",
    "test_mlflow_page": "demo",
    "test_slurm": "slurm",
    "test_wheel": "container",
}
"""Groups of modules that share something; any other module is a group, for it shares its fixtures.
One test of the demo writes into its database, whose pages others open."""

FIRST = ("demo", "test_truth", "test_catalogue_regenerated", "container", "slurm")
"""Groups that begin first, the longest at the front: what begins last should be short, or a worker
idles. The first one makes the demo; the next two keep the other worker busy meanwhile, for those
after them begin with it (it took 515 s, of which ``container`` had waited 225)."""


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


def pytest_configure() -> None:
    """Lets Ctrl-C be tested where a shell started the tests in the background and so ignores it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Prepares the tests that run real things; those of logic alone stay as they are."""
    real = [item for item in items if any(item.get_closest_marker(name) for name in REAL)]
    _skip_without_engine(real)
    for item in real:
        _check_group(item)
    rank = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(group_of(item.nodeid), len(rank)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``--dist loadscope`` a worker runs a group of tests, one after another.

    By the module's name, not by pytest-xdist's own mark: its 3.8.0 cannot tell the marks to its
    scheduler any more (pytest 9.2.0).
    """
    if config.getvalue("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    # In the order of the tests, not by the number of tests in a group.
    config.option.loadscopereorder = False
    return Groups(config, log)


def group_of(nodeid: str) -> str:
    """The group of a test."""
    module = Path(nodeid.partition("::")[0]).stem
    return TOGETHER.get(module, module)


def _check_group(item: pytest.Item) -> None:
    """What there is one of must not be used by two workers."""
    for name in ONE_A_MACHINE:
        if item.get_closest_marker(name) and group_of(item.nodeid) != name:
            raise pytest.UsageError(f"{item.nodeid}: TOGETHER must name its module: {name}")


def _skip_without_engine(items: list[pytest.Item]) -> None:
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
