"""The commands of docs/after-training.md are commands that ftbench takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ftbench.compose import check_sweep, compose_config
from ftbench.training_command import arguments_of

TEXT = (Path(__file__).parents[2] / "docs" / "after-training.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(block.replace("\\\n", " "))[3:]
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
]
SETTINGS = re.findall(r"`'([\w.]+=[^`]+)'`", TEXT)


def test_the_first_command_trains_into_the_adapter() -> None:
    config = compose_config(COMMANDS[0])
    assert arguments_of(config.training.command) == ("python", "train.py", "--output_dir", "out")


def test_the_sweep_is_one() -> None:
    assert COMMANDS[1][0] == "-m"
    check_sweep(COMMANDS[1][1:])


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_are_understood(setting: str) -> None:
    check_sweep(["model.adapter=out", "datasets=[mmlu]", setting])


def test_docs_have_what_the_tests_above_look_for() -> None:
    assert (len(COMMANDS), len(SETTINGS)) == (2, 2)
