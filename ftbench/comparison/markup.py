"""HTML as values: every text is escaped where it becomes HTML, and nowhere can it be forgotten."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

_VOID = ("meta",)


class Markup(str):
    """HTML that is safe as it is; any other text is escaped."""

    __slots__ = ()


def tag(element: str, /, *children: str, **attributes: str) -> Markup:
    """One element.

    Args:
        element: Its name.
        children: Its content; what is no ``Markup`` is escaped.
        attributes: With ``class_`` for class and ``_`` for a hyphen; empty ones are left out.
    """
    own = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"'
        for key, value in attributes.items()
        if value
    )
    if element in _VOID:
        return Markup(f"<{element}{own}>")
    return Markup(f"<{element}{own}>{join(*children)}</{element}>")


def join(*children: str) -> Markup:
    """Several pieces one after another."""
    return Markup("".join(c if isinstance(c, Markup) else html.escape(c) for c in children))


def breakable(text: str) -> Markup:
    """A name that a narrow column breaks between its words, not inside them."""
    pieces = re.split(r"(?<=[/_.-])", text)
    return join(*(part for piece in pieces for part in (piece, Markup("<wbr>"))))


def data_table(heads: Sequence[Markup], rows: Sequence[Markup]) -> Markup:
    """A table that scrolls sideways where the page is narrower."""
    table = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows))
    return tag("div", table, class_="wide")
