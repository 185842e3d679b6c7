"""A Python that trains: torch for CPU, transformers, peft, accelerate, TRL, and what ftbench needs.

The development environment has no torch, and the evaluation environment has OpenCompass's old
transformers. Built once, into ftbench's cache; ftbench itself comes from this checkout.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from ftbench.environment import CPU_INDEX, find_uv
from ftbench.pip_settings import read_pip_settings, uv_environment

TORCH = "torch==2.13.0"
PACKAGES = ("transformers==5.24.0", "peft==0.21.2", "accelerate==1.15.0", "trl==1.16.0")
PROJECT = Path(__file__).resolve().parents[1]


def ensure_training_python(cache_dir: Path) -> Path:
    """Gives the interpreter, building its environment (1.5 GB) when it is not there."""
    asked = (TORCH, *PACKAGES, sys.version, (PROJECT / "pyproject.toml").read_text())
    key = hashlib.sha256("\n".join(asked).encode()).hexdigest()[:12]
    folder = cache_dir / "environments" / f"tests-training-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not (folder / "complete").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            _build(folder)
            (folder / "complete").touch()
    return folder / "bin" / "python"


def training_variables() -> dict[str, str]:
    """The environment of a training: ftbench from this checkout, nothing of another training."""
    # The packages come without bytecode: who may not write it compiles them all, at every start.
    others = ("MLFLOW_", "RANK", "PYTHONDONTWRITEBYTECODE")
    own = {k: v for k, v in os.environ.items() if not k.startswith(others)}
    return {
        **own,
        "PYTHONPATH": str(PROJECT),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def _build(folder: Path) -> None:
    env = uv_environment(read_pip_settings(os.environ), os.environ)
    uv = str(find_uv(os.environ))
    install = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python")]
    others = [*install, *PACKAGES, "-r", str(PROJECT / "pyproject.toml")]
    _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], env)
    # pip's own settings may know a CPU build; a bare PyPI has CUDA's, four times as large.
    if _run([*install, f"{TORCH}+cpu"], env, may_fail=True):
        _run([*install, f"{TORCH}+cpu", "--index", CPU_INDEX], env)
    _run(others, env)


def _run(argv: list[str], env: dict[str, str], may_fail: bool = False) -> int:
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or may_fail, done.stderr
    return done.returncode
