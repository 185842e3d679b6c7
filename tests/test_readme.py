"""What README.md tells people to type is what ftbench takes."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from ftbench.compose import compose_config

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = [
    line.partition("  #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]
_TABLE = re.search(r"\| you want \| say \|\n\|---\|---\|\n((?:\|.*\n)+)", README)
assert _TABLE is not None
SPANS = [
    span
    for row in _TABLE.group(1).splitlines()
    for span in re.findall(r"`([^`]+)`", row.split("|")[2])
]
MODEL = ["model.adapter=out", "datasets=[mmlu]"]


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("scripts/")])
def test_readme_scripts_exist_and_can_be_started(line: str) -> None:
    script = ROOT / shlex.split(line)[0]
    assert script.is_file() and os.access(script, os.X_OK)


@pytest.mark.parametrize("line", [line for line in LINES if "ftbench.run" in line])
def test_readme_commands_compose(line: str) -> None:
    config = compose_config(shlex.split(line)[3:])
    assert config.datasets == ["mmlu", "gsm8k"]


@pytest.mark.parametrize("span", [s for s in SPANS if "=" in s and not s.startswith("-m ")])
def test_readme_options_compose(span: str) -> None:
    text = span.replace("=N", "=5").replace("=SECONDS", "=7200")
    compose_config([*MODEL, *shlex.split(text)])


def test_readme_has_what_the_tests_above_look_for() -> None:
    assert len(LINES) == 5
    assert len(SPANS) >= 14
    assert (ROOT / "docs" / "img" / "mlflow-leaderboard.png").is_file()
