"""How ftbench prints a text: paths, errors and answers of a model as they are."""

from __future__ import annotations

from rich.console import Console


def say(console: Console, text: str) -> None:
    """Prints a text as it is: no markup, no colours, no line breaks put in."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
