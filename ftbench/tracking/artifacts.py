"""The files of a run folder as they go into MLflow."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from ftbench.plan import Plan
from ftbench.schema import Result
from ftbench.tracking.archive import write_archive
from ftbench.tracking.environment import redact
from ftbench.tracking.names import MAX_TAG, file_stems, run_name
from ftbench.tracking.samples import write_samples
from ftbench.tracking.samples_page import PageRow, samples_page

SAMPLES_PAGE = "samples.html"
MAX_LOG_BYTES = 20_000_000
"""Of a longer log the end is taken, where the cause of a failure stands."""


@dataclass(frozen=True)
class Staged:
    """Artifacts ready to upload.

    Attributes:
        tables: Paths of the tables that MLflow's pages shall show, relative to the artifact root.
        notes: What is not complete, one sentence each.
        archives: sha256 of the archive of each finished dataset, by name.
    """

    tables: tuple[str, ...]
    notes: tuple[str, ...]
    archives: dict[str, str] = field(default_factory=dict)

    @property
    def tables_tag(self) -> str:
        """Value of the ``mlflow.loggedArtifacts`` tag; tables beyond its limit are not listed."""
        entries: list[dict[str, str]] = []
        for path in self.tables:
            candidate = [*entries, {"path": path, "type": "table"}]
            if len(json.dumps(candidate)) > MAX_TAG:
                break
            entries = candidate
        return json.dumps(entries)


def stage(plan: Plan, result: Result, folder: Path) -> Staged:
    """Copies and converts everything that is to be an artifact.

    Args:
        plan: Names the run folder.
        result: Names datasets and subsets.
        folder: An empty folder; its content becomes the artifact root.
    """
    files = plan.files
    for source in (files.summary, files.report):
        if source.is_file():
            shutil.copyfile(source, folder / source.name)
    for source in (files.plan, files.launch):
        if source.is_file():
            text = redact(source.read_text(encoding="utf-8"))
            (folder / source.name).write_text(text, encoding="utf-8")
    notes = []
    for name in ("configs", "logs"):
        notes += _copy_tree(files.root / name, folder / name)
    tables, sample_notes = _stage_samples(plan, result, folder)
    return Staged(tuple(tables), (*notes, *sample_notes), _stage_archives(plan, result, folder))


def _stage_archives(plan: Plan, result: Result, folder: Path) -> dict[str, str]:
    made = {
        dataset.name: write_archive(plan.files, plan.model_abbr, dataset, folder)
        for dataset in result.datasets
    }
    return {name: digest for name, digest in made.items() if digest is not None}


def _copy_tree(source: Path, target: Path) -> list[str]:
    notes = []
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        size = path.stat().st_size
        if size <= MAX_LOG_BYTES:
            shutil.copyfile(path, copy)
            continue
        with path.open("rb") as whole, copy.open("wb") as part:
            whole.seek(size - MAX_LOG_BYTES)
            shutil.copyfileobj(whole, part)
        notes += [f"Only the last {MAX_LOG_BYTES // 10**6} MB of {path.name} went into MLflow."]
    return notes


def _stage_samples(plan: Plan, result: Result, folder: Path) -> tuple[list[str], list[str]]:
    tables, notes = [], []
    page_rows: list[tuple[PageRow, ...]] = []
    total = 0
    stems = file_stems(dataset.name for dataset in result.datasets)
    for dataset in result.datasets:
        stem = stems[dataset.name]
        parquet = folder / "predictions" / f"{stem}.parquet"
        table = folder / "samples" / f"{stem}.json"
        parquet.parent.mkdir(exist_ok=True)
        table.parent.mkdir(exist_ok=True)
        written = write_samples(plan.files, plan.model_abbr, dataset, parquet, table)
        page_rows += [written.page_rows]
        total += written.rows
        if written.table_rows:
            tables += [f"samples/{table.name}"]
        if written.broken_lines:
            notes += [
                f"{dataset.name}: {written.broken_lines} sample lines could not be read; "
                "the other samples were recorded."
            ]
    if total:
        page = samples_page(f"Samples of {run_name(plan)}", page_rows, total)
        (folder / SAMPLES_PAGE).write_text(page, encoding="utf-8")
    return tables, notes
