"""Reads JSON files of any size in pieces: OpenCompass writes all of a subset as one object.

Read whole, such a file takes several times its size in memory; and Python's parser holds the
interpreter until it is done, while every other thread waits. Standard library only: host and
evaluation program share this module.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

CHUNK = 1 << 20
"""Characters that are read at a time; a value that is longer is read whole all the same."""

_SPACE = re.compile(r"[ \t\n\r]*")
_AFTER = tuple(" \t\n\r,:]}")
_DECODER = json.JSONDecoder()


def members(path: Path) -> Iterator[tuple[str, Any]]:
    """The members of the object that a file holds, each parsed when its turn comes.

    Args:
        path: Of a UTF-8 file; bytes that are not UTF-8 become replacement characters.

    Raises:
        OSError: It cannot be read.
        ValueError: It holds no object, or a torn one; the members before the tear were given.
    """
    with path.open(encoding="utf-8", errors="replace") as file:
        reader = _Reader(file)
        for name in reader.names():
            yield name, reader.value()
        reader.end()


def read_object(path: Path, large: str, each: Callable[[Any], Any]) -> dict[str, Any]:
    """The object that a file holds, with one large member reduced while it is read.

    Args:
        path: Of a UTF-8 file.
        large: Name of the member; its items are parsed one at a time.
        each: Makes of an item what is kept in its place.

    Raises:
        OSError: It cannot be read.
        ValueError: It holds no object, or a torn one.
    """
    found: dict[str, Any] = {}
    with path.open(encoding="utf-8") as file:
        reader = _Reader(file)
        for name in reader.names():
            if name == large and reader.peek() == "{":
                found[name] = {own: each(reader.value()) for own in reader.names()}
            elif name == large and reader.peek() == "[":
                found[name] = [each(item) for item in reader.items()]
            else:
                found[name] = reader.value()
        reader.end()
    return found


class _Reader:
    """A place in a file of which some characters are in memory."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text = ""
        self._at = 0

    def names(self) -> Iterator[str]:
        """The names in the object that begins here; whoever gets one reads its value."""
        for _ in self._until("{", "}"):
            if self.peek() != '"':
                raise self._error("a name")
            name = self.value()
            if self.peek() != ":":
                raise self._error("':'")
            self._at += 1
            yield name

    def items(self) -> Iterator[Any]:
        """The items of the list that begins here."""
        for _ in self._until("[", "]"):
            yield self.value()

    def value(self) -> Any:
        """The value that begins here."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except ValueError:
                if not self._read_on():
                    raise self._error("a value") from None
                continue
            # A number at the end of what has been read may go on: 1.5 and then e3.
            if self._text[end : end + 1] in _AFTER or not self._read_on():
                self._at = end
                return value

    def peek(self) -> str:
        """The next character that is no space, which stays the next."""
        self._skip_space()
        if self._at == len(self._text):
            raise self._error("more")
        return self._text[self._at]

    def end(self) -> None:
        """Makes sure that nothing follows."""
        self._skip_space()
        if self._at < len(self._text):
            raise self._error("its end")

    def _until(self, first: str, last: str) -> Iterator[None]:
        """One turn for each member or item, which whoever gets the turn reads."""
        if self.peek() != first:
            raise self._error(repr(first))
        self._at += 1
        is_over = self.peek() == last
        while not is_over:
            yield
            sign = self.peek()
            if sign not in (",", last):
                raise self._error(f"',' or {last!r}")
            is_over = sign == last
            self._at += not is_over
        self._at += 1

    def _skip_space(self) -> None:
        while True:
            if self._text[self._at : self._at + 1].isspace():
                match = _SPACE.match(self._text, self._at)
                self._at = match.end() if match else self._at
            if self._at < len(self._text) or not self._read_on():
                return

    def _read_on(self) -> bool:
        """Reads further and forgets what lies behind; says whether there was more."""
        # As much again as a value that did not fit, so that it is not parsed again and again.
        more = self._file.read(max(CHUNK, len(self._text) - self._at))
        if more:
            self._text = self._text[self._at :] + more
            self._at = 0
        return bool(more)

    def _error(self, expected: str) -> ValueError:
        found = self._text[self._at : self._at + 20]
        return ValueError(f"not a whole JSON object: {expected} expected, found {found!r}")
