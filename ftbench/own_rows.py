"""Reads a user's own questions: a JSONL or CSV file of multiple-choice or open questions.

Multiple choice (mcq): columns ``question``, ``A``, ``B`` and so on, and ``answer``, a letter.
Open (qa): ``question`` and ``answer``. Standard library only: the host checks the rows and the
evaluation program asks them, so both read them here.
"""

from __future__ import annotations

import csv
import json
import re
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROW_SUFFIXES = (".jsonl", ".csv")

QUESTION = "question"
ANSWER = "answer"

_SHOWN_FAULTS = 10


@dataclass(frozen=True)
class OwnRows:
    """The rows of a file.

    Attributes:
        columns: Names of the first row's columns.
        options: Letters of the options; empty: open questions.
        rows: Line number (from 1) and values by column.
        faults: What is wrong, a line each with its line number; such a file cannot be asked.
    """

    columns: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    rows: tuple[tuple[int, dict[str, Any]], ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def schema(self) -> str:
        """``mcq`` or ``qa``."""
        return "mcq" if self.options else "qa"


def own_name(path: Path) -> str:
    """The name of a dataset that a file holds: its stem, fit for a file name and a list."""
    return re.sub(r"[^\w.+-]+", "_", path.stem).strip("_.") or "dataset"


def read_rows(path: Path) -> OwnRows:
    """Reads a file and says everything that is wrong with it.

    Raises:
        OSError: It cannot be read.
    """
    faults: list[str] = []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        return OwnRows(faults=(f"it is no UTF-8 text: byte {exc.start}",))
    read = _read_csv if path.suffix.lower() == ".csv" else _read_jsonl
    rows = tuple(read(text, faults.append))
    if not rows:
        return OwnRows(faults=(*faults, "it holds no rows"))
    columns = tuple(rows[0][1])
    letters = string.ascii_uppercase
    count = next((i for i, letter in enumerate(letters) if letter not in columns), len(letters))
    options = tuple(letters[:count])
    faults += _column_faults(columns, options, rows[0][0])
    faults += _row_faults(rows, columns, options)
    shown = faults[:_SHOWN_FAULTS]
    if len(faults) > _SHOWN_FAULTS:
        shown.append(f"and {len(faults) - _SHOWN_FAULTS} more")
    return OwnRows(columns, options, rows, tuple(shown))


def _read_jsonl(text: str, fault: Callable[[str], None]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        try:
            row = json.loads(line)
        except ValueError:
            fault(f"line {number}: {'is empty' if not line.strip() else 'is no JSON'}")
            continue
        if isinstance(row, dict):
            yield number, row
        else:
            fault(f"line {number}: is no JSON object")


def _read_csv(text: str, fault: Callable[[str], None]) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    try:
        header = next(reader, [])
        if len(set(header)) < len(header):
            fault("line 1: names a column twice")
            return
        before = reader.line_num
        for cells in reader:
            number, before = before + 1, reader.line_num
            if len(cells) != len(header):
                fault(f"line {number}: has {len(cells)} cells, the header {len(header)}")
            else:
                yield number, dict(zip(header, cells, strict=True))
    except csv.Error as exc:
        fault(f"line {reader.line_num}: is no CSV: {exc}")


def _column_faults(columns: tuple[str, ...], options: tuple[str, ...], line: int) -> Iterator[str]:
    for name in (QUESTION, ANSWER):
        if name not in columns:
            yield f"line {line}: has no column '{name}'"
    if len(options) == 1:
        yield f"line {line}: has one option only, A"
    stray = [name for name in columns if re.fullmatch("[A-Z]", name) and name not in options]
    if stray:
        yield f"line {line}: has an option {stray[0]} but no option {chr(ord('A') + len(options))}"


def _row_faults(
    rows: tuple[tuple[int, dict[str, Any]], ...],
    columns: tuple[str, ...],
    options: tuple[str, ...],
) -> Iterator[str]:
    asked = [name for name in (QUESTION, *options) if name in columns]
    seen: dict[tuple[str, ...], int] = {}
    first_line, first = rows[0]
    for number, row in rows:
        if row.keys() != first.keys():
            different = sorted(row.keys() ^ first.keys())[0]
            has = "has" if different in row else "has no"
            yield f"line {number}: {has} column '{different}', unlike line {first_line}"
            continue
        for name in columns:
            if name in (*asked, ANSWER) and not isinstance(row[name], str | int | float):
                yield f"line {number}: {name} is neither text nor a number"
            elif type(row[name]) is not type(first[name]):
                yield f"line {number}: {name} is not of the kind that it is in line {first_line}"
            elif name in (*asked, ANSWER) and not str(row[name]).strip():
                yield f"line {number}: {name} is empty"
        answer = str(row.get(ANSWER, "")) or " "
        if options and answer.strip() and answer not in options:
            yield f"line {number}: the answer '{answer}' is none of {', '.join(options)}"
        # It is compared with one line, without the spaces around it.
        elif answer.strip() and (answer != answer.strip() or "\n" in answer):
            yield f"line {number}: the answer is more than one line, or has spaces around it"
        key = tuple(str(row[name]) for name in asked)
        if key in seen:
            yield f"line {number}: asks the same as line {seen[key]}"
        seen.setdefault(key, number)
