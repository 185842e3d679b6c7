"""Output tokens are counted as the tokenizer itself gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.evaluation.in_environment import run_in_environment

pytestmark = pytest.mark.opencompass


def test_counts_are_the_lengths_of_the_tokenizers_lists(eval_python: Path, tmp_path: Path) -> None:
    found = run_in_environment(eval_python, "token_counts.py", tmp_path)
    for counted, listed in found.values():
        assert counted == listed
        assert len(set(listed)) > 3
    # Longer than the five tokens to which its file would cut.
    assert found["fast"][0][4] == 900 * 3
