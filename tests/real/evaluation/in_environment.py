"""Runs a script of the tests with the evaluation environment's Python."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


def run_in_environment(python: Path, name: str, home: Path) -> Any:
    """What a script beside this file prints last, one JSON value.

    Args:
        python: Of the evaluation environment.
        name: Of the script.
        home: A folder of its own.
    """
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join(map(str, [ROOT, ROOT / "docker" / "opencompass"])),
    }
    script = Path(__file__).with_name(name)
    done = subprocess.run([python, script], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
