"""Stop words are found where OpenCompass finds them, with less decoding."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.evaluation.in_environment import run_in_environment

pytestmark = pytest.mark.opencompass


def test_the_criterion_says_what_it_said(eval_python: Path, tmp_path: Path) -> None:
    own, remembered = run_in_environment(eval_python, "stop_words.py", tmp_path)
    assert len(own) == 3
    for upstream, ours in zip(own, remembered, strict=True):
        assert ours["said"] == upstream["said"]
        ends = [step[0] for step in upstream["said"]]
        assert not ends[0] and ends[-1]
        assert ours["decoded"] < upstream["decoded"] / 2
