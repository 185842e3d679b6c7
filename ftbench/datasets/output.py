"""Prints lines, JSON and errors."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from ftbench.catalogue import UnknownDataset
from ftbench.errors import EXIT_CONFIG, EXIT_OK

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""Where a command adds itself; argparse has no public name for it."""


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Adds ``--json``."""
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def print_lines(lines: Iterable[str]) -> int:
    """Prints lines; returns the exit status of a success."""
    for line in lines:
        print(line)
    return EXIT_OK


def print_json(value: Any) -> int:
    """Prints a value as indented JSON; returns the exit status of a success."""
    return print_lines([json.dumps(value, indent=2, ensure_ascii=False)])


def fail(happened: str, suggestions: Sequence[str] = ()) -> int:
    """Says on stderr what is wrong and what would be right; returns the exit status."""
    print(happened, file=sys.stderr)
    if suggestions:
        print(f"  try: {', '.join(suggestions)}", file=sys.stderr)
    return EXIT_CONFIG


def fail_unknown(error: UnknownDataset) -> int:
    """Says why a name stands for nothing; returns the exit status."""
    return fail(f"{error.name}: {error}", error.suggestions)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines whose columns begin below each other; the last column is as long as it is."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines
