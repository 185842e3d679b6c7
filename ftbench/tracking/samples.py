"""Every answer of a dataset as two artifacts: a parquet file with all of them, a table for the UI.

    predictions/<dataset>.parquet   one row per sample and repeat, complete
    samples/<dataset>.json          at most 2000 rows, which MLflow's pages show and compare
    samples.html                    those rows on one page that filters them (``samples_page``)

MLflow previews tables up to 50 MiB and grows slow far below that, so the table holds an even choice
of the samples, by position alone: two runs over the same data show the same samples, whatever was
answered. One subset at a time is in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftbench.schema import DatasetResult, RunFiles, SubsetResult
from ftbench.tracking.names import cut
from ftbench.tracking.samples_page import PageRow

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
    # pyarrow takes 0.3 s to import, and only recording needs it.
    import pyarrow as pa
    from pyarrow import parquet as pq

    chooser = _TableChooser(dataset)
    broken = count = 0
    writer = None
    try:
        for subset in dataset.subsets:
            rows, lost = _subset_rows(files, model_abbr, dataset.name, subset)
            broken += lost
            if not rows:
                continue
            writer = writer or pq.ParquetWriter(parquet, _arrow_schema(), compression="zstd")
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=_arrow_schema()))
            count += len(rows)
            chooser.take(subset, rows)
    finally:
        if writer is not None:
            writer.close()
    if chooser.rows:
        value = {"columns": list(TABLE_COLUMNS), "data": chooser.rows}
        table.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    page_rows = tuple(chooser.page_rows)
    return WrittenSamples(parquet, table, count, len(chooser.rows), broken, page_rows)


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

    def take(self, subset: SubsetResult, rows: list[dict[str, Any]]) -> None:
        prefix = self._dataset if self._is_single else f"{self._dataset}/{subset.name}"
        for row in rows:
            if row["repeat"] == 0 and self._is_chosen(self._offsets[subset.abbr] + row["index"]):
                sample_id = f"{prefix}/{row['index']}"
                self.rows.append(_table_row(sample_id, row))
                own = "" if self._is_single else subset.name
                self.page_rows.append(PageRow(sample_id, self._dataset, own, row))

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


def _subset_rows(
    files: RunFiles, model_abbr: str, dataset: str, subset: SubsetResult
) -> tuple[list[dict[str, Any]], int]:
    """The rows of one subset in dataset order, and how many lines were broken."""
    raw = _raw_predictions(files.predictions / model_abbr / f"{subset.abbr}.json")
    path = files.samples(subset.abbr)
    if not path.is_file():
        rows = [_row_of_raw(index, record) for index, record in sorted(raw.items())]
        broken = 0
    else:
        parsed = list(_json_lines(path))
        rows = [row for row in parsed if row is not None]
        broken = len(parsed) - len(rows)
    for row in rows:
        record = raw.get(row["index"])
        row.update(
            dataset=dataset,
            subset=subset.abbr,
            opencompass=None if record is None else json.dumps(record, ensure_ascii=False),
        )
    return [{name: _clean(value) for name, value in row.items()} for row in rows], broken


def _json_lines(path: Path) -> Iterator[dict[str, Any] | None]:
    # Not schema.read_samples: a killed process may leave half a line, and the rest still counts.
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if not line.strip():
                continue
            try:
                value = json.loads(line)
                yield {name: value.get(name) for name in _SAMPLE_FIELDS} | {
                    "index": int(value["index"]),
                    "repeat": int(value.get("repeat") or 0),
                }
            except (ValueError, TypeError, KeyError, AttributeError):
                yield None


def _raw_predictions(path: Path) -> dict[int, Any]:
    """OpenCompass's own records by index; empty when there are none, or they are half written."""
    try:
        value = json.loads(path.read_text(encoding="utf-8", errors="replace"))
        return {int(index): record for index, record in value.items()}
    except (OSError, ValueError, AttributeError):
        return {}


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
    if isinstance(value, str):
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
