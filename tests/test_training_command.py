"""The training's command: from the command line to its arguments, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ftbench.compose import compose_config, override
from ftbench.dataset_options import in_hydras_words
from ftbench.errors import ConfigError
from ftbench.training_command import (
    arguments_of,
    command_problem,
    shell_syntax,
    shown_command,
    without_secrets,
    without_training,
)

ENOUGH = ["model.adapter=out", "datasets=[mmlu]"]


@pytest.mark.parametrize(
    ("typed", "arguments"),
    [
        ("python train.py", ("python", "train.py")),
        ("python t.py --lr=1e-4 --layers 1,2", ("python", "t.py", "--lr=1e-4", "--layers", "1,2")),
        ("python t.py --out ${model.adapter}", ("python", "t.py", "--out", "out")),
        ('"python t.py --lr=1"', ("python", "t.py", "--lr=1")),
        ("[python,t.py,--epochs,3]", ("python", "t.py", "--epochs", "3")),
        ("[bash,-c,'a && b > c']", ("bash", "-c", "a && b > c")),
        ('python t.py --name "two words"', ("python", "t.py", "--name", "two words")),
        ("python t.py 'a{b}[c]=(d)'", ("python", "t.py", "a{b}[c]=(d)")),
        ("python t.py a\\ b", ("python", "t.py", "a b")),
        ("accelerate launch \\\n t.py", ("accelerate", "launch", "t.py")),
    ],
)
def test_a_command_as_typed_becomes_its_arguments(typed: str, arguments: tuple[str, ...]) -> None:
    config = compose_config([*ENOUGH, f"training.command={typed}"])
    assert arguments_of(config.training.command) == arguments


def test_no_command_is_the_default() -> None:
    assert compose_config(ENOUGH).training.command is None
    assert compose_config([*ENOUGH, "training.command=null"]).training.command is None


@pytest.mark.parametrize(
    "override",
    ['training.command="a","b"', "training.command=[a],[b]", "training.command=null", "limit=3"],
)
def test_in_hydras_words_leaves_what_is_in_them(override: str) -> None:
    assert in_hydras_words(override) == override


def test_in_hydras_words_changes_nothing_twice() -> None:
    once = in_hydras_words('training.command=a --b="c d" e\\')
    assert once == 'training.command="a --b=\\"c d\\" e\\\\"'
    assert in_hydras_words(once) == once


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a && b", "&&"),
        ("a || b", "||"),
        ("a | b", "|"),
        ("a; b", ";"),
        ("a > b", ">"),
        ("a >> b", ">>"),
        ("a 2>&1", ">"),
        ("a < b", "<"),
        ("a &", "&"),
        ("a `b`", "`"),
        ("a $(b)", "$("),
        ("a $HOME", "$HOME"),
        ('a "$HOME"', "$HOME"),
        ('a "`b`"', "`"),
        ("a ~/b", "~"),
        ("~/a", "~"),
        ("a '&& $HOME > `b` ~'", ""),
        ('a "b && c; d > e ~"', ""),
        ("a \\& b\\;", ""),
        ('a "\\$HOME"', ""),
        ("a --x=b~c *.jsonl 5$", ""),
        ("""a "it's" & b""", "&"),
    ],
)
def test_shell_syntax_is_what_only_a_shell_would_act_on(text: str, found: str) -> None:
    assert shell_syntax(text) == found


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (
            "a && b",
            "training.command: && is for a shell, and the command is started without one\n"
            '  try: training.command=[bash,-c,"..."]',
        ),
        (
            "cd x; python t.py",
            "training.command: ; is for a shell, and the command is started without one\n"
            '  try: training.command=[bash,-c,"..."], or training.cwd=DIR in place of cd',
        ),
        (
            "CUDA_VISIBLE_DEVICES=0 python t.py",
            "training.command: CUDA_VISIBLE_DEVICES=... before a program is for a shell\n"
            "  try: put env before it: training.command='env NAME=VALUE ...'",
        ),
        (
            "python 'x",
            "training.command: cannot be split: no closing quotation\n  try: close the quotes",
        ),
        (
            " ",
            "training.command: is empty\n"
            "  try: training.command='python train.py --output_dir out'",
        ),
        (
            [],
            "training.command: is empty\n"
            "  try: training.command='python train.py --output_dir out'",
        ),
        (
            ["python", True],
            "training.command: argument 1 is True, no text\n"
            "  try: quote it: training.command=[...,'\"True\"']",
        ),
        (
            5,
            "training.command: is neither a text nor a list\n"
            "  try: training.command='python train.py --output_dir out'",
        ),
    ],
)
def test_command_problem_says_what_to_type_instead(command: Any, problem: str) -> None:
    assert str(command_problem(command)) == problem


def problems_of(*overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        compose_config([*overrides])
    return [str(problem) for problem in caught.value.problems]


def test_a_command_needs_to_say_where_it_writes() -> None:
    assert problems_of("training.command=python t.py", "datasets=[mmlu]") == [
        "model: neither model.adapter nor model.base is set, so nothing says where "
        "training.command writes\n"
        "  try: model.adapter=DIR for a LoRA adapter, model.base=DIR for a full model"
    ]


def test_a_command_does_not_write_into_another_run() -> None:
    assert problems_of(
        "training.command=python t.py", "model.adapter='runs:/ab12'", "datasets=[mmlu]"
    ) == [
        "model.adapter=runs:/ab12: training.command writes into a folder, and this is what another "
        "training wrote\n  try: model.adapter=DIR"
    ]


def test_a_refused_command_is_not_repeated() -> None:
    (problem,) = problems_of(*ENOUGH, "training.command=python t.py --token hf_secret && b")
    assert "hf_secret" not in problem


def test_shown_command_hides_what_is_secret() -> None:
    arguments = [
        *("python", "t.py", "--hub_token", "abc1", "--api-key=abc2", "WANDB_API_KEY=abc3"),
        *("--tokenizer", "x", "--max_tokens=5", "--note", "see planted99"),
    ]
    assert shown_command(arguments, ["planted99"]) == (
        "python t.py --hub_token *** --api-key=*** WANDB_API_KEY=*** "
        "--tokenizer x --max_tokens=5 --note 'see ***'"
    )


def test_without_secrets_keeps_the_rest_of_the_command_line() -> None:
    command = (
        *("python", "-m", "ftbench.run", "model.adapter=out", "backend.seed=1"),
        "training.command=python t.py --hub_token abc1 --lr 1 planted99",
    )
    assert without_secrets(command, ["planted99"]) == (
        *command[:-1],
        "training.command=python t.py --hub_token *** --lr 1 ***",
    )
    listed = ("training.command=[python,--api-key,abc1,--key=abc2,x]",)
    assert without_secrets(listed, []) == ("training.command=[python,--api-key,***,--key=***,x]",)


def test_without_training_leaves_a_command_that_only_evaluates() -> None:
    command = (
        *("python", "-m", "ftbench.run", "-m", "model.adapter=a,b", "+training.timeout=5"),
        *("training.command=python t.py", "tracking.training_run_id=r"),
    )
    assert without_training(command) == (
        *("python", "-m", "ftbench.run", "-m", "model.adapter=a,b"),
        "tracking.training_run_id=r",
    )


def test_a_quoted_interpolation_keeps_a_folder_with_spaces_whole(weird_tmp_path: Path) -> None:
    folder = weird_tmp_path.with_name("we ird, folder") / "step=5"
    config = compose_config(
        [
            override("model.adapter", folder),
            "datasets=[mmlu]",
            'training.command=python t.py --out "${model.adapter}"',
        ]
    )
    assert arguments_of(config.training.command) == ("python", "t.py", "--out", str(folder))
