"""What is trained, and everything that is wrong with it before a second is trained."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from ftbench.config import ModelConf
from ftbench.training.job import Training, expected_model, find_problems, plan_training
from tests.checkpoint.folders import make_base
from tests.surroundings import make_config, make_host

ENVIRON = {"PATH": os.environ["PATH"]}


def training_of(root: Path, command: Any = "true", **other: Any) -> Training:
    config = make_config(training__command=command, **other)
    return plan_training(config, make_host(root, secrets={"HF_TOKEN": "hf_planted"}))


def messages(training: Training) -> list[str]:
    return [str(problem) for problem in find_problems(training, ENVIRON)]


def test_plan_training_decides_every_folder(tmp_path: Path) -> None:
    training = training_of(tmp_path, "python t.py --token hf_planted", training__cwd="sub")
    assert training.arguments == ("python", "t.py", "--token", "hf_planted")
    assert training.shown == "python t.py --token ***"
    assert training.cwd == tmp_path / "sub"
    assert training.output == tmp_path / "out"
    assert training.folder.parent == tmp_path / "ftbench_workspace" / "training"
    assert training.log == training.folder / "training.log"
    assert (training.key, training.timeout_s, training.grace_s) == ("model.adapter", 0, 30)
    assert "hf_planted" not in repr(training)


def test_a_full_model_is_written_into_the_base(tmp_path: Path) -> None:
    training = training_of(tmp_path, model__adapter=None, model__base="full")
    assert (training.output, training.key) == (tmp_path / "full", "model.base")
    found = expected_model(training, ModelConf(base="full"), make_host(tmp_path))
    assert (found.base, found.adapter, found.problems) == ("", None, ())
    assert not found.must_be_downloaded


def test_a_training_has_a_folder_of_its_own(tmp_path: Path) -> None:
    folders = []
    for _ in range(3):
        folders.append(training_of(tmp_path, workspace="ws").folder)
        folders[-1].mkdir(parents=True)
    assert len(set(folders)) == 3
    assert {folder.parent for folder in folders} == {tmp_path / "ws" / "training"}


def test_a_good_training_has_no_problem(tmp_path: Path) -> None:
    assert messages(training_of(tmp_path)) == []
    assert messages(training_of(tmp_path, [sys.executable, "t.py"])) == []


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (
            "no-such-program x",
            "training.command: no-such-program: there is no such program\n"
            "  try: its path, or mend PATH",
        ),
        (
            "./train.sh",
            "training.command: {root}/train.sh: cannot be executed\n"
            "  try: the program's path, first in the command",
        ),
        (
            "./absent.sh",
            "training.command: {root}/absent.sh: there is no such file\n"
            "  try: the program's path, first in the command",
        ),
    ],
)
def test_a_program_that_cannot_be_started(tmp_path: Path, command: str, problem: str) -> None:
    (tmp_path / "train.sh").write_text("true\n")
    assert messages(training_of(tmp_path, command)) == [problem.format(root=tmp_path)]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert messages(training_of(tmp_path, training__cwd="sub")) == [
        f"training.cwd={tmp_path}/sub: there is no such folder\n  try: training.cwd=DIR"
    ]


def test_an_output_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    assert messages(training_of(tmp_path)) == [
        f"model.adapter=out: the training cannot write there: {tmp_path}/out is a file\n"
        "  try: model.adapter=DIR"
    ]


@pytest.mark.parametrize("command", ["true --out out", "true --out=out", ["true", "out"]])
def test_a_relative_output_means_the_commands_own_folder(tmp_path: Path, command: Any) -> None:
    (tmp_path / "sub").mkdir()
    assert messages(training_of(tmp_path, command, training__cwd="sub")) == [
        f"model.adapter=out: the command runs in {tmp_path}/sub, so out in it is "
        f"{tmp_path}/sub/out\n  try: model.adapter={tmp_path}/sub/out"
    ]
    elsewhere = training_of(
        tmp_path, command, training__cwd="sub", model__adapter=f"{tmp_path}/sub/out"
    )
    assert messages(elsewhere) == []


def test_spaces_in_the_output_must_not_split_it(tmp_path: Path) -> None:
    name = "my out"
    assert messages(training_of(tmp_path, f"true --out {name}", model__adapter=name)) == [
        "training.command: the spaces in model.adapter split it into several arguments\n"
        '  try: quotes around it: --output_dir "${model.adapter}"'
    ]
    assert messages(training_of(tmp_path, f'true --out "{name}"', model__adapter=name)) == []


def test_expected_model_checks_the_base_that_is_named(tmp_path: Path) -> None:
    training = training_of(tmp_path)
    host = make_host(tmp_path, hub_offline=True)
    conf = ModelConf(adapter="out", base="base", type="chat")
    (missing,) = expected_model(training, conf, host).problems
    assert missing.tried == "model.base: base"
    make_base(tmp_path / "base")
    found = expected_model(training, conf, host)
    assert (found.problems, found.base_folder) == ((), tmp_path / "base")
    assert found.adapter == tmp_path / "out"


def test_expected_model_knows_nothing_of_a_base_that_is_not_named(tmp_path: Path) -> None:
    found = expected_model(training_of(tmp_path), ModelConf(adapter="out"), make_host(tmp_path))
    assert (found.base, found.adapter, found.problems) == ("", tmp_path / "out", ())
