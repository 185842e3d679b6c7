"""The command of ``training.command``: how it is split, what it may not hold, how it is shown.

It is started as it is, without a shell: what only a shell would understand is refused, for the
program would receive it as text.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from ftbench.errors import Problem

KEY = "training.command"

IN_A_SHELL = 'training.command=[bash,-c,"..."]'

_OVERRIDE = re.compile(r"(\+{0,2}training\.command=)(.*)", re.DOTALL)

_QUOTED = r"""(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')"""

_OWN_WORDS = re.compile(rf"\s*(\[.*|null|{_QUOTED}(\s*,\s*{_QUOTED})*)\s*", re.DOTALL)
"""Values in Hydra's own words: a list, quoted texts (several are a sweep), or none."""

_EVERYWHERE = r"`|\$(?:\(|\{|\w+)"
"""What a shell acts on outside of single quotes."""

_UNQUOTED = r"&&|\|\||>>|[|&;<>]|(?:(?<=\s)|\A)~"
"""What it acts on outside of all quotes."""

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")

_SECRET_WORDS = "(?:token|key|apikey|password|passwd|secret)"

_SECRET_NAME = re.compile(rf"(?:-{{1,2}}(?:[\w-]*[_-])?|(?:\w*_)?){_SECRET_WORDS}", re.IGNORECASE)
"""``--hub_token``, ``--api-key`` and ``WANDB_API_KEY``; not ``--tokenizer`` or ``--max_tokens``."""

_LEAST_SECRET = 4
"""A shorter secret would blot out every letter of a text."""


def in_hydras_words(override: str) -> str:
    """``training.command=...`` as one text, whatever it holds; other overrides stay as they are.

    Hydra's grammar takes no ``=`` in a value without quotes, and reads commas as a sweep. A value
    that is quoted or a list already stays: ``training.command="a","b"`` is a sweep over two.
    """
    found = _OVERRIDE.fullmatch(override)
    if found is None or not found[2].strip() or _OWN_WORDS.fullmatch(found[2]):
        return override
    # Unlike in any other text, "${model.adapter}" stays an interpolation.
    escaped = re.sub(r'(\\*)("|\Z)', lambda m: m[1] * 2 + ('\\"' if m[2] else ""), found[2])
    return f'{found[1]}"{escaped}"'


def arguments_of(command: Any) -> tuple[str, ...]:
    """The arguments of a command that has no problem; a text is split as a shell would.

    Args:
        command: A text, or a list.
    """
    if isinstance(command, str):
        return tuple(shlex.split(command.replace("\\\n", " ")))
    return tuple(map(str, command))


def command_problem(command: Any) -> Problem | None:
    """What is wrong with a command; its value is not repeated, for it may hold a secret.

    Args:
        command: As configured; None: nothing is trained.
    """
    if command is None:
        return None
    example = "training.command='python train.py --output_dir out'"
    if isinstance(command, str):
        return _text_problem(command, example)
    if not isinstance(command, Sequence):
        return Problem(KEY, "is neither a text nor a list", example)
    for index, argument in enumerate(command):
        # What Hydra made of "true" cannot be told from what it made of "True".
        if isinstance(argument, bool) or not isinstance(argument, str | int | float):
            happened = f"argument {index} is {argument!r}, no text"
            return Problem(KEY, happened, f"quote it: training.command=[...,'\"{argument}\"']")
    if not command or not str(command[0]).strip():
        return Problem(KEY, "is empty", example)
    return None


def _text_problem(command: str, example: str) -> Problem | None:
    if not command.strip():
        return Problem(KEY, "is empty", example)
    if found := shell_syntax(command):
        happened = f"{found} is for a shell, and the command is started without one"
        cure = IN_A_SHELL
        if re.match(r"\s*cd\s", command):
            cure += ", or training.cwd=DIR in place of cd"
        return Problem(KEY, happened, cure)
    try:
        words = shlex.split(command)
    except ValueError as exc:
        return Problem(KEY, f"cannot be split: {str(exc).lower()}", "close the quotes")
    if _ASSIGNMENT.match(words[0]):
        happened = f"{words[0].partition('=')[0]}=... before a program is for a shell"
        return Problem(KEY, happened, "put env before it: training.command='env NAME=VALUE ...'")
    return None


def shell_syntax(text: str) -> str:
    """The first thing in a text that only a shell would act on; empty where there is none.

    Patterns such as ``*.jsonl`` are none: many programs take them as they are.
    """
    quote, index = "", 0
    while index < len(text):
        mark = text[index]
        if mark == "\\" and quote != "'":
            index += 2
            continue
        if mark == quote:
            quote = ""
        elif mark in "\"'" and not quote:
            quote = mark
        elif quote != "'":
            patterns = _EVERYWHERE if quote else f"{_EVERYWHERE}|{_UNQUOTED}"
            if found := re.compile(patterns).match(text, index):
                return found[0]
        index += 1
    return ""


def blot_out(text: str, secrets: Iterable[str]) -> str:
    """A text with every secret replaced by ``***``."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _LEAST_SECRET:
            text = text.replace(secret, "***")
    return text


def shown_command(arguments: Sequence[str], secrets: Iterable[str] = ()) -> str:
    """A command as one line for people: without secrets, known ones and those of its own.

    Args:
        arguments: One argument each.
        secrets: Values that must not be shown; what follows ``--token``, ``--api-key`` and the
            like is not shown either.
    """
    shown: list[str] = []
    hides_next = False
    for argument in arguments:
        name, sign, _ = argument.partition("=")
        is_secret = (sign or name.startswith("-")) and _SECRET_NAME.fullmatch(name)
        if hides_next and not argument.startswith("-"):
            shown.append("***")
        elif is_secret and sign:
            shown.append(f"{name}=***")
        else:
            shown.append(shlex.quote(blot_out(argument, secrets)))
        hides_next = bool(is_secret) and not sign
    return " ".join(shown)


def without_training(command: Sequence[str]) -> tuple[str, ...]:
    """ftbench's own command line that evaluates what is there and trains nothing."""
    return tuple(argument for argument in command if not _is_training(argument))


def without_secrets(command: Sequence[str], secrets: Iterable[str]) -> tuple[str, ...]:
    """ftbench's own command line, in which the training's command shows no secret."""
    return tuple(_shown_override(argument, tuple(secrets)) for argument in command)


def _is_training(argument: str) -> bool:
    return argument.lstrip("+~").startswith("training.")


def _shown_override(argument: str, secrets: Sequence[str]) -> str:
    found = _OVERRIDE.fullmatch(argument)
    if found is None:
        return argument
    value = blot_out(found[2], secrets)
    # In a list an argument ends at a comma, in a text at a space.
    named = rf"(?<![\w-])((?:-{{1,2}}(?:[\w-]*[_-])?{_SECRET_WORDS}(?:\s+|=|,))"
    named += rf"|(?:(?:\w*_)?{_SECRET_WORDS}=))[^\s,\]\"']+"
    return found[1] + re.sub(named, r"\1***", value, flags=re.IGNORECASE)
