"""How ``glob(...)``, ``query(...)`` and ``checkpoints(...)`` are written in a setting."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

FUNCTION = re.compile(r"(glob|query|checkpoints)\s*\((.*)\)", re.DOTALL)


@dataclass(frozen=True)
class Call:
    """A function as it was written.

    Attributes:
        text: All of it, for messages.
        values: Its arguments without a name.
        options: Its arguments of the form ``limit=3``.
    """

    name: str
    text: str
    values: tuple[str, ...]
    options: dict[str, str]


class Misread(Exception):
    """A function cannot be used as it is written; the text says why."""


def split(text: str) -> Iterator[str]:
    """Splits at commas that stand in no bracket and no quoted text; quotes stay where they are.

    A quote begins a text only at the start of a part or behind ``(``, ``,`` or ``=``: an apostrophe
    in a folder's name is one of its letters.
    """
    depth, quote, start, before = 0, "", 0, ","
    position = 0
    while position < len(text):
        char = text[position]
        if quote:
            if char == "\\" and position + 1 < len(text):
                position += 1
            elif char == quote:
                quote = ""
        elif char in "'\"" and before in "(,=[":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "," and depth == 0:
            yield text[start:position].strip()
            start = position + 1
        if not char.isspace():
            before = char
        position += 1
    yield text[start:].strip()


def read_call(match: re.Match[str]) -> Call:
    """The function that ``FUNCTION`` matched."""
    values: list[str] = []
    options: dict[str, str] = {}
    for part in split(match[2]):
        # A "=" in a folder's name is no option: those have the form of a name.
        named = re.fullmatch(r"(order_by|limit)\s*=\s*(.*)", part, re.DOTALL)
        if named and match[1] == "query":
            options[named[1]] = unquoted(named[2])
        elif part:
            values.append(unquoted(part))
    return Call(match[1], match[0], tuple(values), options)


def unquoted(text: str) -> str:
    """A value without the quotes around it, as ``compose.quoted`` or a user put them."""
    if len(text) < 2 or text[0] not in "'\"" or text[-1] != text[0]:
        return text
    return re.sub(r"\\([\\'\"]|\$(?=\{))", r"\1", text[1:-1])


def check_arguments(call: Call, values: range, options: Sequence[str] = ()) -> None:
    """Holds a function against how many values and which options it takes.

    Raises:
        Misread: It has others.
    """
    if len(call.values) not in values or "" in call.values:
        given = f"{len(call.values)} value{'' if len(call.values) == 1 else 's'}"
        raise Misread(f"{call.name}(...) cannot do with {given}")
    if unknown := sorted(set(call.options) - set(options)):
        raise Misread(f"{call.name}(...) has no {unknown[0]}")


def whole_number(text: str | None) -> int | None:
    """The number that ``limit=`` gives.

    Raises:
        Misread: It is no whole number above 0.
    """
    if text is None:
        return None
    if not re.fullmatch(r"[1-9]\d*", text):
        raise Misread(f"limit={text} is no whole number above 0")
    return int(text)


def usage(parts: Sequence[str]) -> str:
    """How the functions among a setting's values are to be written."""
    usages = {
        "glob": "glob(PATTERN), with quotes around a pattern that has a comma",
        "query": 'query(EXPERIMENT, "metrics.loss < 1", order_by="metrics.loss", limit=3)',
        "checkpoints": "checkpoints(FOLDER) or checkpoints(RUN_ID)",
    }
    names = {match[1] for match in map(FUNCTION.fullmatch, parts) if match}
    return "; ".join(usages[name] for name in sorted(names))
