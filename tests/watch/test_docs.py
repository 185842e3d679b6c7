"""The commands of docs/watch.md are commands that the watcher takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ftbench.host import read_host
from ftbench.watch.options import parse_options
from ftbench.watch.settings import check_settings

TEXT = (Path(__file__).parents[2] / "docs" / "watch.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"-m ftbench\.watch (.+?)(?:  +#.*)?$", TEXT, re.MULTILINE)
OPTIONS = re.findall(r"^\|.*\| (`.+`) \|$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("command", [c for c in COMMANDS if "=" in c])
def test_commands_are_understood(command: str) -> None:
    words = shlex.split(command.replace("$training", "1"))
    assert check_settings(parse_options(words), read_host({})).arguments


@pytest.mark.parametrize("span", [s for row in OPTIONS for s in re.findall(r"`([^`]+)`", row)])
def test_options_are_understood(span: str) -> None:
    words = span.replace("PID", "1").split()
    parse_options(["out", *words])


def test_docs_have_what_the_tests_above_look_for() -> None:
    assert len([c for c in COMMANDS if "=" in c]) == 4
    assert len(OPTIONS) == 8
