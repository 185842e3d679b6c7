"""Both locks still resolve: ``scripts/lock`` finds nothing to change."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from uv import find_uv_bin

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.opencompass, pytest.mark.slow]


def test_locks_resolve_to_what_is_committed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copytree(ROOT / "docker", tmp_path / "docker")
    path = os.pathsep.join([str(Path(find_uv_bin()).parent), os.environ["PATH"]])
    locked = subprocess.run(
        [tmp_path / "scripts" / "lock"],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert locked.returncode == 0, locked.stderr
    for name in ("requirements-cpu.lock", "requirements-cuda.lock"):
        committed = ROOT / "docker" / "opencompass" / name
        assert (tmp_path / "docker" / "opencompass" / name).read_text() == committed.read_text()
