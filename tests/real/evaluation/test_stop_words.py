"""Stop words are found where OpenCompass finds them, with less decoding."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.opencompass


def test_the_criterion_says_what_it_said(eval_python: Path, tmp_path: Path) -> None:
    script = Path(__file__).with_name("stop_words.py")
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(map(str, [ROOT, ROOT / "docker" / "opencompass"])),
    }
    done = subprocess.run([eval_python, script], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    own, remembered = json.loads(done.stdout.splitlines()[-1])
    assert len(own) == 3
    for upstream, ours in zip(own, remembered, strict=True):
        assert ours["said"] == upstream["said"]
        ends = [step[0] for step in upstream["said"]]
        assert not ends[0] and ends[-1]
        assert ours["decoded"] < upstream["decoded"] / 2
