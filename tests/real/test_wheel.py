"""The built wheel, as another user would have it: an empty environment, an unrelated folder.

Where the tests run as root, that user is someone else: whatever then belongs to root was written by
something that did not run as the caller.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ftbench.pip_settings import read_pip_settings, uv_environment
from ftbench.schema import RunFiles, read_result
from ftbench.workspace import run_dirs
from tests.real.conftest import Demo

pytestmark = [pytest.mark.opencompass, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
USER = 1234 if os.getuid() == 0 else os.getuid()
SOCKET = Path("/var/run/docker.sock")


@dataclass(frozen=True)
class Installed:
    """A wheel installed for a user of its own.

    Attributes:
        home: Belongs to the user; nothing outside of it is writable to them.
    """

    home: Path
    python: Path

    def run(self, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs the environment's Python as that user, in ``home/elsewhere``."""
        passed = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("PIP_", "UV_", "SSL_", "REQUESTS_", "CURL_", "HTTP", "http"))
        }
        environ = {
            **passed,
            "PATH": os.defpath,
            "HOME": str(self.home),
            "FTBENCH_CACHE": str(self.home / "cache"),
            "UV_CACHE_DIR": str(self.home / "uv"),
            **variables,
        }
        switched: dict[str, object] = {}
        if os.getuid() == 0:
            groups = [SOCKET.stat().st_gid] if SOCKET.exists() else []
            switched = {"user": USER, "group": USER, "extra_groups": groups}
        return subprocess.run(
            [self.python, *arguments],
            env=environ,
            cwd=self.home / "elsewhere",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=900,
            **switched,  # type: ignore[call-overload]
        )

    def files_of_others(self) -> list[Path]:
        """Everything in the home that does not belong to the user."""
        return [path for path in self.home.rglob("*") if path.lstat().st_uid != USER]


@pytest.fixture(scope="module")
def installed(demo: Demo) -> Iterator[Installed]:
    # Not pytest's folder, which is closed to other users.
    home = Path(tempfile.mkdtemp(prefix="ftbench-user-"))
    try:
        yield _install(home, demo)
    finally:
        shutil.rmtree(home)


def _install(home: Path, demo: Demo) -> Installed:
    python = _python_for_everyone()
    for command in (
        [sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", home, ROOT],
        [python, "-m", "venv", "--without-pip", home / "venv"],
    ):
        subprocess.run(command, check=True, capture_output=True)
    (wheel,) = home.glob("ftbench-*.whl")
    own = home / "venv" / "bin" / "python"
    # Copied, because the files change their owner below; pip takes a minute for the same.
    subprocess.run(
        [
            *(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--link-mode", "copy"),
            *("--python", own, wheel),
        ],
        env=uv_environment(read_pip_settings(os.environ), os.environ),
        check=True,
        capture_output=True,
    )
    for name in ("elsewhere", "cache"):
        (home / name).mkdir()
    shutil.copytree(demo.base.parent, home / "models")
    shutil.copytree(demo.folder / "data", home / "data")
    for path in (home, *home.rglob("*")):
        os.chown(path, USER, USER if os.getuid() == 0 else os.getgid(), follow_symlinks=False)
    return Installed(home, own)


def _python_for_everyone() -> str:
    """An interpreter that another user may start, of a version that ftbench takes."""
    candidates = [sys.executable, *(f"/usr/bin/python3.{minor}" for minor in (11, 12, 13))]
    for path in (Path(candidate).resolve() for candidate in candidates):
        folders = [folder.stat().st_mode for folder in path.parents if folder.exists()]
        if path.exists() and all(mode & 0o005 == 0o005 for mode in folders):
            return str(path)
    pytest.fail(f"none of {candidates} can be started by another user")


Evaluate = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def evaluate(installed: Installed, demo: Demo) -> Evaluate:
    """Evaluates the demo's adapter with overrides, from an unrelated folder."""
    models = installed.home / "models"

    def run(*overrides: str) -> subprocess.CompletedProcess[str]:
        return installed.run(
            *("-m", "ftbench.run", "baseline=none"),
            f"model.adapter={models / demo.adapter.name}",
            f"model.base={models / demo.base.name}",
            "datasets=[gsm8k]",
            "limit=4",
            f"data_dir={installed.home / 'data'}",
            *overrides,
        )

    return run


def test_wheel_shows_help(installed: Installed) -> None:
    shown = installed.run("-m", "ftbench.run", "--help")
    assert shown.returncode == 0, shown.stdout
    assert "  runtime=docker" in shown.stdout
    assert "  hydra/launcher=slurm" in shown.stdout


def test_wheel_prints_a_dry_run_and_writes_nothing(
    evaluate: Evaluate, installed: Installed
) -> None:
    printed = evaluate("runtime=local", "dry_run=true")
    assert printed.returncode == 0, printed.stdout
    assert printed.stdout.startswith("dry run: nothing is started\n")
    assert not list((installed.home / "elsewhere").iterdir())


def test_wheel_evaluates_locally_in_an_environment_that_it_builds(
    evaluate: Evaluate, installed: Installed
) -> None:
    done = evaluate("runtime=local", "workspace=local")
    assert done.returncode == 0, done.stdout
    _assert_complete(demo_run(installed, "local"), 4)
    assert installed.files_of_others() == []


@pytest.mark.container
@pytest.mark.usefixtures("eval_image")
def test_wheel_evaluates_in_a_container_as_its_caller(
    evaluate: Evaluate, installed: Installed
) -> None:
    done = evaluate("runtime.num_gpus=0", "workspace=container")
    assert done.returncode == 0, done.stdout
    _assert_complete(demo_run(installed, "container"), 4)
    assert installed.files_of_others() == []


def demo_run(installed: Installed, workspace: str) -> RunFiles:
    """The one run folder of a workspace."""
    (folder,) = run_dirs(installed.home / "elsewhere" / workspace)
    return RunFiles(folder)


def _assert_complete(files: RunFiles, rows: int) -> None:
    (gsm8k,) = read_result(files.summary).datasets
    assert (gsm8k.status, gsm8k.subsets[0].completed) == ("ok", rows)
