"""Output tokens are counted as the tokenizer itself gives them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.opencompass


def test_counts_are_the_lengths_of_the_tokenizers_lists(eval_python: Path, tmp_path: Path) -> None:
    script = Path(__file__).with_name("token_counts.py")
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(map(str, [ROOT, ROOT / "docker" / "opencompass"])),
    }
    done = subprocess.run([eval_python, script], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for counted, listed in found.values():
        assert counted == listed
        assert len(set(listed)) > 3
    # Longer than the five tokens to which its file would cut.
    assert found["fast"][0][4] == 900 * 3
