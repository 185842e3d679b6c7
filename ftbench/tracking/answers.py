"""Reads single answers for a comparison: from a run folder, or out of a benchmark run's artifacts.

Of a recorded run one parquet file per dataset is brought, and only when a comparison asks for that
dataset; verdicts are read without the texts, and texts of the few answers that are shown.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ftbench.comparison.answers import (
    AnswerText,
    Place,
    SubsetAnswers,
    Unpaired,
    Verdict,
    answer_text,
    by_subset,
)
from ftbench.schema import DatasetResult, RunFiles
from ftbench.tracking.environment import redact
from ftbench.tracking.names import file_stems

_VERDICT_COLUMNS = ("subset", "index", "repeat", "reference", "correct", "unknown_why")
_TEXT_COLUMNS = ("subset", "index", "repeat", "prompt", "reference", "prediction", "extracted")


class FolderAnswers:
    """The answers of a run folder.

    Args:
        run_dir: With ``samples/<abbr>.jsonl``.
    """

    def __init__(self, run_dir: Path) -> None:
        self._files = RunFiles(run_dir)

    def verdicts(self, dataset: DatasetResult) -> Mapping[str, SubsetAnswers]:
        """Which answers are right; see ``ftbench.comparison.answers``."""
        return by_subset(dataset, map(_verdict, self._rows(s.abbr for s in dataset.subsets)))

    def texts(
        self, dataset: DatasetResult, places: Collection[Place]
    ) -> Mapping[Place, AnswerText]:
        """The texts of some answers; see ``ftbench.comparison.answers``."""
        abbrs = dict.fromkeys(place.subset for place in places)
        rows = ((_place(row), row) for row in self._rows(iter(abbrs)))
        return {place: _text(row) for place, row in rows if place in places}

    def _rows(self, abbrs: Iterator[str]) -> Iterator[dict[str, Any]]:
        for abbr in abbrs:
            path = self._files.samples(abbr)
            try:
                with path.open(encoding="utf-8") as lines:
                    yield from (json.loads(line) for line in lines if line.strip())
            except FileNotFoundError:
                continue  # a subset without answers says so itself
            except (OSError, ValueError) as exc:
                raise Unpaired(f"{path.name} cannot be read: {exc}") from exc


class RecordedAnswers:
    """The answers of a benchmark run in a tracker.

    Args:
        tracking_uri: Of the tracker, without credentials.
        artifact_uri: Root of the run's artifacts.
        datasets: Names of all its datasets, in the result's order.
    """

    def __init__(self, tracking_uri: str, artifact_uri: str, datasets: Collection[str]) -> None:
        self._tracking_uri = tracking_uri
        self._artifact_uri = artifact_uri.rstrip("/")
        self._stems = file_stems(datasets)
        self._folder: Path | None = None

    def verdicts(self, dataset: DatasetResult) -> Mapping[str, SubsetAnswers]:
        """Which answers are right; see ``ftbench.comparison.answers``.

        Side effects: keeps the file in a temporary folder as long as this object lives.
        """
        rows = self._table(dataset.name, _VERDICT_COLUMNS).to_pylist()
        return by_subset(dataset, map(_verdict, rows))

    def texts(
        self, dataset: DatasetResult, places: Collection[Place]
    ) -> Mapping[Place, AnswerText]:
        """The texts of some answers; see ``ftbench.comparison.answers``."""
        from pyarrow import compute

        found: dict[Place, AnswerText] = {}
        wanted = [compute.field("index").isin(sorted({place.position for place in places}))]
        wanted += [compute.field("subset").isin(sorted({place.subset for place in places}))]
        table = self._table(dataset.name, _TEXT_COLUMNS, wanted[0] & wanted[1])
        for row in table.to_pylist():
            if (place := _place(row)) in places:
                found[place] = _text(row)
        return found

    def _table(self, dataset: str, columns: Collection[str], where: Any = None) -> Any:
        # pyarrow takes 0.3 s to import.
        import pyarrow as pa
        from pyarrow import parquet as pq

        try:
            return pq.read_table(self._file(dataset), columns=list(columns), filters=where)
        except (OSError, pa.ArrowException) as exc:
            raise Unpaired(f"its answers cannot be read: {redact(str(exc))}") from exc

    def _file(self, dataset: str) -> Path:
        import mlflow

        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="ftbench-answers-"))
            weakref.finalize(self, partial(shutil.rmtree, self._folder, ignore_errors=True))
        name = f"{self._stems[dataset]}.parquet"
        path = self._folder / name
        if not path.is_file():
            try:
                mlflow.artifacts.download_artifacts(
                    artifact_uri=f"{self._artifact_uri}/predictions/{name}",
                    dst_path=str(self._folder),
                    tracking_uri=self._tracking_uri,
                )
            except (mlflow.exceptions.MlflowException, OSError) as exc:
                raise Unpaired(f"predictions/{name} cannot be had: {redact(str(exc))}") from exc
        return path


def _place(row: Mapping[str, Any]) -> Place:
    return Place(str(row.get("subset")), int(row.get("index") or 0), int(row.get("repeat") or 0))


def _verdict(row: Mapping[str, Any]) -> Verdict:
    correct = row.get("correct")
    right = correct if isinstance(correct, bool) else None
    return Verdict(_place(row), right, row.get("reference"), row.get("unknown_why") or "")


def _text(row: Mapping[str, Any]) -> AnswerText:
    return answer_text(
        row.get("prompt"), row.get("reference"), row.get("prediction"), row.get("extracted")
    )
