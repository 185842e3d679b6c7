"""Every answer of a dataset as two artifacts: a parquet file with all of them, a table for the UI.

    predictions/<dataset>.parquet   one row per sample and repeat, complete
    samples/<dataset>.json          at most 2000 rows, which MLflow's pages show and compare
    samples.html                    those rows on one page that filters them (``samples_page``)

MLflow previews tables up to 50 MiB and grows slow far below that, so the table holds an even choice
of the samples, by position alone: two runs over the same data show the same samples, whatever was
answered. Samples pass one at a time; of a whole dataset only the table's rows are in memory.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from ftbench.json_files import members
from ftbench.schema import DatasetResult, RunFiles, SubsetResult
from ftbench.tracking.names import cut
from ftbench.tracking.samples_page import PageRow, page_row

MAX_TABLE_ROWS = 2000
MAX_CELL = 4000
"""Characters of one table cell; 2000 rows of four such cells stay below MLflow's preview limit."""

TABLE_COLUMNS = (
    "sample_id",
    "verdict",
    "prompt",
    "prediction",
    "extracted",
    "reference",
    "truncated",
    "output_tokens",
)
"""MLflow's comparison groups by the first column and compares the second one."""

_BATCH_ROWS = 1000
_BATCH_CHARACTERS = 8_000_000
"""Rows go into the parquet file when so many are together, or so long."""

_encode = json.JSONEncoder(ensure_ascii=False).encode

_TEXTS = ("prompt", "prediction", "extracted", "reference")


@dataclass(frozen=True)
class WrittenSamples:
    """What was written of one dataset.

    Attributes:
        parquet, table: The files; both absent when rows is 0.
        rows: Rows of the parquet file.
        table_rows: Rows of the table.
        broken_lines: Lines that could not be read, such as the last one of a killed process.
        page_rows: The table's samples, for the page that filters them.
    """

    parquet: Path
    table: Path
    rows: int
    table_rows: int
    broken_lines: int
    page_rows: tuple[PageRow, ...] = ()


def write_samples(
    files: RunFiles, model_abbr: str, dataset: DatasetResult, parquet: Path, table: Path
) -> WrittenSamples:
    """Writes both artifacts of one dataset.

    Args:
        files: The run folder, which has ``samples/<abbr>.jsonl`` and OpenCompass's ``predictions``.
        model_abbr: Folder name below ``predictions``.
        dataset: Its subsets give order and size.
        parquet, table: Where to write; the folders exist.
    """
    chooser = _TableChooser(dataset)
    lost = _Lost()
    with _ParquetFile(parquet) as file:
        for subset in dataset.subsets:
            for row in _subset_rows(files, model_abbr, dataset.name, subset, lost):
                file.write(row)
                chooser.take(subset, row)
    if chooser.rows:
        _write_table(table, chooser.rows)
    page_rows = tuple(chooser.page_rows)
    return WrittenSamples(parquet, table, file.count, len(chooser.rows), lost.lines, page_rows)


def _write_table(path: Path, rows: list[list[Any]]) -> None:
    with path.open("w", encoding="utf-8") as table:
        table.write(f'{{"columns": {json.dumps(TABLE_COLUMNS)}, "data": [')
        for position, row in enumerate(rows):
            table.write((", " if position else "") + _encode(row))
        table.write("]}")


class _TableChooser:
    """Picks the table's rows evenly over the whole dataset."""

    def __init__(self, dataset: DatasetResult) -> None:
        self.rows: list[list[Any]] = []
        self.page_rows: list[PageRow] = []
        self._total = sum(s.expected for s in dataset.subsets)
        self._is_single = len(dataset.subsets) == 1
        self._dataset = dataset.name
        self._offsets: dict[str, int] = {}
        offset = 0
        for subset in dataset.subsets:
            self._offsets[subset.abbr] = offset
            offset += subset.expected

    def take(self, subset: SubsetResult, row: dict[str, Any]) -> None:
        if row["repeat"] or not self._is_chosen(self._offsets[subset.abbr] + row["index"]):
            return
        prefix = self._dataset if self._is_single else f"{self._dataset}/{subset.name}"
        sample_id = f"{prefix}/{row['index']}"
        self.rows.append(_table_row(sample_id, row))
        own = "" if self._is_single else subset.name
        self.page_rows.append(page_row(sample_id, self._dataset, own, row))

    def _is_chosen(self, position: int) -> bool:
        if len(self.rows) >= MAX_TABLE_ROWS:
            return False
        if self._total <= MAX_TABLE_ROWS:
            return True
        share = MAX_TABLE_ROWS * position // self._total
        return share > MAX_TABLE_ROWS * (position - 1) // self._total


def verdict(row: dict[str, Any]) -> str:
    """A sample's outcome at a glance: ``✓ A``, ``✗ D (reference A)``, or ``? D`` when unknown."""
    answer = cut(" ".join((row["extracted"] or row["prediction"] or "").split()), 60)
    if row["correct"] is None:
        return f"? {answer}".strip()
    if row["correct"]:
        return f"✓ {answer}".strip()
    reference = cut(" ".join((row["reference"] or "").split()), 60)
    return f"✗ {answer} (reference {reference})" if reference else f"✗ {answer}".strip()


def _table_row(sample_id: str, row: dict[str, Any]) -> list[Any]:
    texts = [cut(row[name] or "", MAX_CELL) for name in _TEXTS]
    truncated = "" if row["truncated"] is None else str(row["truncated"]).lower()
    tokens = "" if row["output_tokens"] is None else row["output_tokens"]
    return [sample_id, verdict(row), *texts, truncated, tokens]


@dataclass
class _Lost:
    """Lines that could not be read."""

    lines: int = 0


def _subset_rows(
    files: RunFiles, model_abbr: str, dataset: str, subset: SubsetResult, lost: _Lost
) -> Iterator[dict[str, Any]]:
    """The rows of one subset in dataset order, one at a time."""
    records = _Records(files.predictions / model_abbr / f"{subset.abbr}.json")
    path = files.samples(subset.abbr)
    if path.is_file():
        rows = _sample_rows(path, records, lost)
    else:
        ordered = sorted(records.all(), key=lambda record: record[0])
        rows = ((_row_of_raw(index, record), record) for index, record in ordered)
    for row, record in rows:
        row.update(
            dataset=dataset,
            subset=subset.abbr,
            opencompass=None if record is None else _encode(record),
        )
        yield {name: _clean(value) for name, value in row.items()}


def _sample_rows(
    path: Path, records: _Records, lost: _Lost
) -> Iterator[tuple[dict[str, Any], Any]]:
    # Not schema.read_samples: a killed process may leave half a line, and the rest still counts.
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if not line.strip():
                continue
            try:
                value = json.loads(line)
                row = {name: value.get(name) for name in _SAMPLE_FIELDS}
                row["index"] = int(value["index"])
                row["repeat"] = int(value.get("repeat") or 0)
            except (ValueError, TypeError, KeyError, AttributeError):
                lost.lines += 1
            else:
                yield row, records.get(row["index"])


class _Records:
    """OpenCompass's own records of a subset, read as far as they are asked for.

    Samples come in the same order, so that few are in memory at a time. Those of a second repeat
    begin again, and so does the reading. A file that is half written gives those before the tear.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unread = self.all()
        self._ahead: dict[int, Any] = {}
        self._given: set[int] = set()
        self._last: tuple[int, Any] = (-1, None)

    def all(self) -> Iterator[tuple[int, Any]]:
        """Every record with its index, in the file's order."""
        with contextlib.suppress(OSError, ValueError):
            for index, record in members(self._path):
                yield int(index), record

    def get(self, index: int) -> Any:
        """The record of a sample, or None."""
        if index != self._last[0]:
            if index in self._given:
                self._unread, self._ahead, self._given = self.all(), {}, set()
            self._last = (index, self._find(index))
            self._given.add(index)
        return self._last[1]

    def _find(self, wanted: int) -> Any:
        if wanted in self._ahead:
            return self._ahead.pop(wanted)
        for index, record in self._unread:
            if index == wanted:
                return record
            self._ahead[index] = record
        return None


def _row_of_raw(index: int, record: Any) -> dict[str, Any]:
    """A row where scoring never came to write samples: what was asked and answered is known."""
    record = record if isinstance(record, dict) else {"prediction": record}
    row: dict[str, Any] = dict.fromkeys(_SAMPLE_FIELDS)
    row.update(index=index, repeat=0, prompt=_text(record.get("origin_prompt")))
    row.update(prediction=_text(record.get("prediction")), reference=_text(record.get("gold")))
    return row


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(v, dict) and "prompt" in v for v in value):
        return "\n\n".join(str(v["prompt"]) for v in value)
    return json.dumps(value, ensure_ascii=False)


def _clean(value: Any) -> Any:
    # A model can emit half of a surrogate pair, which neither parquet nor UTF-8 can hold.
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "replace").decode()
    return value


_SAMPLE_FIELDS = (
    "subset",
    "index",
    "repeat",
    "prompt",
    "prediction",
    "extracted",
    "reference",
    "correct",
    "truncated",
    "output_tokens",
    "unknown_why",
    "judge_reply",
)


class _ParquetFile:
    """A parquet file that is written row by row; without rows there is none.

    Attributes:
        count: Rows so far.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None
        self._rows: list[dict[str, Any]] = []
        self._characters = 0
        self.count = 0

    def __enter__(self) -> _ParquetFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def write(self, row: dict[str, Any]) -> None:
        self.count += 1
        self._rows.append(row)
        self._characters += sum(len(row[name] or "") for name in _LONG_COLUMNS)
        if len(self._rows) >= _BATCH_ROWS or self._characters >= _BATCH_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        # pyarrow takes 0.3 s to import, and only recording needs it.
        import pyarrow as pa
        from pyarrow import parquet as pq

        if self._writer is None:
            # Texts that are all different make a dictionary that is thrown away.
            short = [name for name in _arrow_schema().names if name not in _LONG_COLUMNS]
            self._writer = pq.ParquetWriter(
                self._path, _arrow_schema(), compression="zstd", use_dictionary=short
            )
        self._writer.write_batch(pa.RecordBatch.from_pylist(self._rows, schema=_arrow_schema()))
        self._rows, self._characters = [], 0


_LONG_COLUMNS = ("prompt", "prediction", "judge_reply", "opencompass")


def _arrow_schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            ("dataset", pa.string()),
            ("subset", pa.string()),
            ("index", pa.int64()),
            ("repeat", pa.int64()),
            ("prompt", pa.string()),
            ("prediction", pa.string()),
            ("extracted", pa.string()),
            ("reference", pa.string()),
            ("correct", pa.bool_()),
            ("truncated", pa.bool_()),
            ("output_tokens", pa.int64()),
            ("unknown_why", pa.string()),
            ("judge_reply", pa.string()),
            ("opencompass", pa.string()),
        ]
    )
