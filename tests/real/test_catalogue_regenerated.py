"""The shipped catalogue is what the OpenCompass of the lock file gives."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.opencompass, pytest.mark.slow]


def test_catalogue_is_what_opencompass_gives(eval_python: Path) -> None:
    checked = subprocess.run(
        [ROOT / "scripts" / "catalogue", "--check"],
        env={**os.environ, "FTBENCH_EVAL_PYTHON": str(eval_python)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.stderr.startswith("scanned in "), checked.stderr
    assert (checked.returncode, checked.stdout) == (0, "")
