"""A disk that becomes full while an evaluation runs, or cannot be written: a real small one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkpoint.folders import make_adapter, make_base
from tests.stand_in import ROOT, make_stand_in

FILL = """
if once("filled"):
    with (plan.workspace / "filler").open("wb") as file:
        try:
            free = os.statvfs(plan.workspace)
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
        except OSError as exc:
            print(exc)
    sys.exit(1)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with hardly more room than preflight asks for."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1100m", "tmpfs", folder]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def run(folder: Path, workspace: Path, body: str) -> tuple[int, str]:
    if not (folder / "base").exists():
        base = make_base(folder / "base")
        make_adapter(folder / "adapter", base_model_name_or_path=str(base))
        (folder / "data" / "gsm8k").mkdir(parents=True)
        (folder / "data" / "gsm8k" / "test.jsonl").write_text("{}")
        make_stand_in(folder / "environment", body, seconds=0)
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "ftbench.run", "model.adapter=adapter", "datasets=[gsm8k]"),
            *("runtime=local", "runtime.num_gpus=0", "tracking=none", f"workspace={workspace}"),
            "runtime.environment=environment",
        ],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "FTBENCH_CACHE": str(folder / "cache"),
            "COMPASS_DATA_CACHE": str(folder),
            "PYTHONPATH": str(ROOT),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout


@pytest.mark.slow
def test_a_full_disk_is_an_error_with_its_cure_and_the_same_command_goes_on(
    tmp_path: Path, small_disk: Path
) -> None:
    exit_code, printed = run(tmp_path, small_disk, FILL)
    assert "Traceback" not in printed
    assert exit_code == 5, printed
    assert "No space left on device" in printed
    assert "free some space" in printed
    assert "the same command goes on" in printed

    (small_disk / "filler").unlink()
    exit_code, printed = run(tmp_path, small_disk, FILL)
    assert exit_code == 0, printed
    assert len(list((small_disk / "benchmark_results").iterdir())) == 1


@pytest.mark.slow
def test_a_read_only_workspace_is_an_error_before_anything_starts(
    tmp_path: Path, small_disk: Path
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    exit_code, printed = run(tmp_path, small_disk, "")
    assert "Traceback" not in printed
    assert exit_code == 3, printed
    assert "choose another folder with workspace=DIR" in printed
    assert not (tmp_path / "environment" / "notes").exists()
