"""Which rows of a subset are asked: OpenCompass's ``test_range``, put together from the options.

The written config keeps the range as text, so that the stock command asks the same rows.
"""

from __future__ import annotations

from typing import Any

from ftbench.options import MAX_SPLIT_ROWS, DatasetOptions
from ftbench_eval.reasons import Refused


def choose_rows(config: Any, options: DatasetOptions) -> None:
    """Narrows a dataset config to the rows that its options ask for.

    Raises:
        Refused: Its preset takes random rows, which nothing can narrow.

    Side effects: changes ``config``.
    """
    if options.limit is None and options.test_range is None and options.split is None:
        return
    reader = config["reader_cfg"]
    existing = reader.get("test_range")
    if existing is not None and not isinstance(existing, str):
        raise Refused("preset", f"its test_range {existing!r} cannot be narrowed")
    reader["test_range"] = row_range(existing, options)


def row_range(existing: str | None, options: DatasetOptions) -> str:
    """The text that OpenCompass evaluates behind ``index_list``, the list of all row numbers.

    The halves of a split share no row, whatever the number of rows: it is halved after the
    preset's own range, once, at the same place for both.

    Args:
        existing: A range that the preset has already; it is applied first.
        options: The range or split comes next, the limit last.
    """
    rows = existing or ""
    if options.test_range:
        rows += options.test_range
    if options.split:
        half = f"len(index_list{rows}) // 2"
        rows += f"[:{half}]" if options.split == "validation" else f"[{half}:]"
        rows += f"[:{MAX_SPLIT_ROWS}]"
    return rows if options.limit is None else f"{rows}[:{options.limit}]"
