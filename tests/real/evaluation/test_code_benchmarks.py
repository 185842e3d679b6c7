"""Every code benchmark behind the wall gives the verdicts that its rows are made for."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.real.evaluation import code_rows
from tests.real.evaluation.conftest import PROGRAM, ROOT


@pytest.fixture(scope="module")
def said(eval_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("rows")
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(PROGRAM.parent)]),
        "OMP_NUM_THREADS": "1",
    }
    (folder / "programs").mkdir()
    ran = subprocess.run(
        [eval_python, code_rows.__file__, folder / "programs"],
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=900,
    )
    return dict(json.loads(ran.stdout.splitlines()[-1]))


def test_livecodebench(said: dict[str, Any]) -> None:
    assert said["livecodebench"] == {
        "call right": [[True, True], None],
        "call wrong": [[True, False], -2],
        "call equal": [[False], -2],
        "call broken": [[-2], -1],
        "call raises": [[-1], -4],
        "call exits": [[-2], -1],
        "input right": [[True, True], None],
        "input main": [[True, True], None],
        "input wrong": [[True, False], -2],
        "input exits": [[True, True], None],
    }


@pytest.mark.parametrize("name", ["apps", "taco"])
def test_contests(said: dict[str, Any], name: str) -> None:
    assert said[name] == {
        "call right": [True, True],
        "call wrong": [True, False],
        "call exits": [-2],
        "input right": [True, True],
        "input wrong": [True, False],
    }


def test_expressions_are_compared_outside(said: dict[str, Any]) -> None:
    assert said["cruxeval"] == {
        "[1, 1]": True,
        "[1, 2]": False,
        "1 or True": False,
        "(lambda: [1, 1])()": True,
        "__import__('os')._exit(0)": False,
    }
    assert said["execution"] == {
        "(1, 'a')": True,
        "(1.0, 'a')": False,
        "(1, 'a')) or (True": False,
        "1, 'a'": False,
    }


def test_evalplus(said: dict[str, Any]) -> None:
    assert said["evalplus"] == {
        "right": ["pass", [True, True]],
        "near": ["pass", [True, True]],
        "half": ["fail", [True, False]],
        "slow": ["fail", [False, False]],
        "exits": ["fail", []],
    }


def test_lcbench(said: dict[str, Any]) -> None:
    assert said["lcbench"] == {"right": "pass", "wrong": "wrong_answer"}
    assert said["upstream"]["lcbench"] == said["lcbench"]


def test_answers_are_evaluated_as_upstream_does(said: dict[str, Any]) -> None:
    assert said["evaluated"] == said["upstream"]["evaluated"]
    assert said["evaluated"]["korbench"] == [True, False]
    assert said["evaluated"]["text"] == ["ab", "a b"]


def test_an_answer_that_exits_is_no_answer(said: dict[str, Any]) -> None:
    assert said["exits"]["test output"] == [True, False]
    assert said["exits"]["text"] == ["ab", "a b", "exit()"]
