"""The page on which answers are looked through: ``samples.html``, one file that loads nothing.

It filters by verdict, dataset and words, which MLflow's own table does not. Answers are hostile
input: they travel as JSON in which nothing can end the element that holds it, are shown as text
only, and the page's policy lets no script run but its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftbench.tracking.names import cut

MAX_SAMPLES = 2000
MAX_CHARACTERS = 6_000_000
"""Of all texts together; of longer ones each is cut further."""
_CELL_LIMITS = (4000, 2000, 1000, 500, 250)

_COLUMNS = (
    "id",
    "dataset",
    "subset",
    "verdict",
    "truncated",
    "tokens",
    "prompt",
    "answer",
    "extracted",
    "reference",
    "why",
)
_TEXTS = {
    "prompt": "prompt",
    "answer": "prediction",
    "extracted": "extracted",
    "reference": "reference",
    "why": "unknown_why",
}
"""Columns of the page and where a row of samples has them."""


@dataclass(frozen=True)
class PageRow:
    """One sample on the page.

    Attributes:
        sample_id: Such as ``mmlu/anatomy/7``.
        subset: Its subset's name; empty where the dataset has but one.
        row: As ``samples`` reads it, or as much of it as ``page_row`` keeps.
    """

    sample_id: str
    dataset: str
    subset: str
    row: dict[str, Any]


def page_row(sample_id: str, dataset: str, subset: str, row: dict[str, Any]) -> PageRow:
    """A sample with what the page can show of it: a text may be long, and samples many."""
    kept = {name: row[name] for name in ("correct", "truncated", "output_tokens")}
    kept |= {source: cut(row[source] or "", _CELL_LIMITS[0]) for source in _TEXTS.values()}
    return PageRow(sample_id, dataset, subset, kept)


def samples_page(title: str, datasets: Sequence[Sequence[PageRow]], total: int) -> str:
    """The page of an evaluation.

    Args:
        title: Its heading.
        datasets: Samples of each dataset, in order.
        total: All samples of the evaluation, also those that are not given here.

    Returns:
        HTML. At most 2000 samples are shown, an even choice by position; the page says so.
    """
    shares = _shares([len(rows) for rows in datasets], MAX_SAMPLES)
    chosen = [_evenly(rows, share) for rows, share in zip(datasets, shares, strict=True)]
    shown = [row for rows in chosen for row in rows]
    note = f"{total} samples."
    if len(shown) < total:
        note = f"{len(shown)} of {total} samples, an even choice; predictions/ has all of them."
    value = {
        "title": title,
        "note": note + " Click one for its whole prompt and answer.",
        "columns": _COLUMNS,
        "places": [_place(rows) for rows in chosen if rows],
        "samples": _cells(shown),
    }
    folder = Path(__file__)
    style, script = (
        folder.with_suffix(suffix).read_text(encoding="utf-8") for suffix in (".css", ".js")
    )
    page = folder.with_suffix(".html").read_text(encoding="utf-8")
    parts = {
        "@STYLE_HASH@": _hash(style),
        "@SCRIPT_HASH@": _hash(script),
        "@STYLE@": style,
        "@SCRIPT@": script,
    }
    for mark, text in parts.items():
        page = page.replace(mark, text)
    # Last: a model may have written one of the marks.
    return page.replace("@DATA@", _json(value), 1)


def _json(value: Any) -> str:
    """JSON that cannot leave a script element, nor be read as a comment's start."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _shares(sizes: Sequence[int], most: int) -> list[int]:
    """How many of each to take: small ones whole, the rest alike."""
    shares = [0] * len(sizes)
    left = most
    order = sorted(range(len(sizes)), key=lambda index: sizes[index])
    for position, index in enumerate(order):
        shares[index] = min(sizes[index], left // (len(order) - position))
        left -= shares[index]
    return shares


def _evenly(rows: Sequence[PageRow], share: int) -> list[PageRow]:
    return [rows[index * len(rows) // share] for index in range(share)]


def _place(rows: Sequence[PageRow]) -> tuple[str, list[str]]:
    return rows[0].dataset, list(dict.fromkeys(row.subset for row in rows if row.subset))


def _cells(shown: Sequence[PageRow]) -> list[list[Any]]:
    for limit in _CELL_LIMITS:
        cells = [_row(sample, limit) for sample in shown]
        if sum(len(cell) for row in cells for cell in row if isinstance(cell, str)) < (
            MAX_CHARACTERS
        ):
            break
    return cells


def _row(sample: PageRow, limit: int) -> list[Any]:
    row = sample.row
    values = {
        "id": sample.sample_id,
        "dataset": sample.dataset,
        "subset": sample.subset,
        "verdict": {True: "right", False: "wrong", None: "unknown"}[row["correct"]],
        "truncated": row["truncated"],
        "tokens": row["output_tokens"],
        **{name: cut(row[source] or "", limit) for name, source in _TEXTS.items()},
    }
    return [values[name] for name in _COLUMNS]
