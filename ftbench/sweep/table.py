"""All jobs of a sweep as one table: what differs between them, their scores, best first."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ftbench.deltas import BASE, Deltas, read_deltas
from ftbench.schema import OK as DATASET_OK
from ftbench.schema import Result, RunFiles, read_result
from ftbench.sweep.jobs import FAILED, OK, Job

MODEL_KEY = "model.adapter"

_MODEL_KEYS = (MODEL_KEY, "model.base")

_HIDDEN = ("tracking.sweep_id",)


@dataclass(frozen=True)
class Row:
    """One job with its scores.

    Attributes:
        settings: Value of every setting that differs between jobs, by its key.
        scores: Percent by dataset; only of datasets that are ok.
        subsets: Percent by subset, for each dataset that has several.
        average: Mean over all its datasets, in percent; None when one of them is not ok.
        differences: Points above the base model in the same setting, by dataset.
        average_difference: The same for the average; None without a base to compare with.
        flagged: Datasets whose scores are flagged.
        is_job: Else it is the base model, evaluated for the jobs' sake; its number says nothing.
    """

    job: Job
    settings: Mapping[str, str]
    scores: Mapping[str, float] = field(default_factory=dict)
    subsets: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    average: float | None = None
    differences: Mapping[str, float] = field(default_factory=dict)
    average_difference: float | None = None
    flagged: frozenset[str] = frozenset()
    is_job: bool = True

    @property
    def label(self) -> str:
        """The job in a few words, such as ``lora · temperature=0.7``."""
        words = [value for key, value in self.settings.items() if key in _MODEL_KEYS]
        words = words or ([] if self.is_job else ["base"])
        others = [(k, v) for k, v in self.settings.items() if k not in _MODEL_KEYS]
        words += [f"{short_key(key, self.settings)}={value}" for key, value in others]
        return " · ".join(words) or self.job.model or f"#{self.job.number}"


@dataclass(frozen=True)
class Table:
    """Rows of all jobs, best first; those without an average come last, in their order.

    Attributes:
        keys: Settings that differ between jobs, in the order of the command line.
        datasets: Every dataset that has a score somewhere.
        best: Job numbers with the best score, by dataset; "" is the average.
        has_base: Some rows are compared with the base model.
        bases: Rows of base models that no job evaluates and that jobs are compared with: no job,
            and never the best.
    """

    rows: tuple[Row, ...]
    keys: tuple[str, ...]
    datasets: tuple[str, ...]
    best: Mapping[str, frozenset[int]]
    has_base: bool
    bases: tuple[Row, ...] = ()

    @property
    def shown(self) -> tuple[Row, ...]:
        """The rows and those of the bases, best first."""
        return tuple(sorted((*self.rows, *self.bases), key=_rank))

    @property
    def winner(self) -> Row | None:
        """The row with the best average; None when averages cannot be compared."""
        numbers = self.best.get("", frozenset())
        return next((row for row in self.rows if row.job.number in numbers), None)


def make_table(jobs: Sequence[Job]) -> Table:
    """Reads what every job scored from its run folder and puts it side by side.

    Args:
        jobs: All jobs of a sweep.
    """
    settings = _settings(jobs)
    rows = [_row(job, settings[job.number]) for job in jobs]
    bases: list[Row] = []
    if any(not row.job.is_base and row.job.adapter for row in rows):
        bases = _base_rows(rows)
        rows = [_compared(row, rows) for row in rows]
    rows.sort(key=_rank)
    names = dict.fromkeys(name for row in rows for name in row.scores)
    best = {name: _best({r.job.number: r.scores.get(name) for r in rows}) for name in names}
    if len({frozenset(row.scores) for row in rows if row.average is not None}) == 1:
        # Averages over different datasets are not comparable.
        best[""] = _best({row.job.number: row.average for row in rows})
    return Table(
        rows=tuple(rows),
        keys=tuple(dict.fromkeys(key for row in rows for key in row.settings)),
        datasets=tuple(names),
        best=best,
        has_base=any(row.average_difference is not None or row.differences for row in rows),
        bases=tuple(bases),
    )


def _rank(row: Row) -> tuple[bool, float, bool, int]:
    return (row.average is None, -(row.average or 0.0), row.is_job, row.job.number)


def short_key(key: str, keys: Iterable[str]) -> str:
    """A key's last part, where no other key has the same."""
    last = key.rpartition(".")[2]
    return last if [k.rpartition(".")[2] for k in keys].count(last) == 1 else key


def _row(job: Job, settings: Mapping[str, str]) -> Row:
    result = _result_of(job)
    if result is None:
        return Row(job, settings)
    ok = [d for d in result.datasets if d.status == DATASET_OK and d.score is not None]
    return Row(
        job=job,
        settings=settings,
        scores={d.name: d.score for d in ok if d.score is not None},
        subsets={
            d.name: {s.name: s.score for s in d.subsets if s.score is not None}
            for d in ok
            if len(d.subsets) > 1
        },
        average=result.average if result.is_complete and len(ok) == len(result.datasets) else None,
        flagged=frozenset(d.name for d in ok if d.flags),
    )


def _result_of(job: Job) -> Result | None:
    if not job.run_dir:
        return None
    try:
        return read_result(RunFiles(Path(job.run_dir)).summary)
    except (OSError, ValueError):
        return None


def _settings(jobs: Sequence[Job]) -> dict[int, dict[str, str]]:
    """Per job, the settings that differ between jobs; adapters by the shortest telling name."""
    all_settings = {job.number: _parsed(job.overrides) for job in jobs}
    keys = dict.fromkeys(key for own in all_settings.values() for key in own if key not in _HIDDEN)
    keep = [k for k in keys if len({own.get(k) for own in all_settings.values()}) > 1]
    keep = keep or [key for key in keys if key in _MODEL_KEYS][:1]
    named = {n: {k: own[k] for k in keep if k in own} for n, own in all_settings.items()}
    for key in (key for key in _MODEL_KEYS if key in keep):
        given = {number: own.get(key, "null") for number, own in named.items()}
        paths = dict.fromkeys(given.values(), "")
        for job in jobs:
            # A training run's adapter is told by its folder, once a job has found it.
            found = job.adapter if key == MODEL_KEY else ""
            paths[given[job.number]] = paths[given[job.number]] or found
        paths = {value: path or value for value, path in paths.items()} | {"null": "base"}
        short = _short_paths(set(paths.values()))
        for number, value in given.items():
            named[number][key] = short[paths[value]]
    return named


def _short_paths(paths: set[str]) -> dict[str, str]:
    """The fewest last parts of paths that tell them apart, and two where one says nothing."""
    vague = re.compile(r"(checkpoint|step)[-_]?\d*|adapter|final|last|best|model|out(put)?|lora")
    is_vague = any(vague.fullmatch(Path(path).name) for path in paths)
    for parts in range(2 if is_vague else 1, 12):
        short = {path: "/".join(Path(path).parts[-parts:]) or path for path in paths}
        if len(set(short.values())) == len(paths):
            return short
    return {path: path for path in paths}


def _parsed(overrides: Sequence[str]) -> dict[str, str]:
    pairs = (override.lstrip("+").partition("=") for override in overrides)
    return {key: _plain(value) for key, _, value in pairs}


def _plain(value: str) -> str:
    """A value without its quotes, for people to read."""
    if len(value) > 1 and value[0] in "'\"" and value[-1] == value[0]:
        return re.sub(r"\\([\\'\"$])", r"\1", value[1:-1])
    return value


def _compared(row: Row, rows: Sequence[Row]) -> Row:
    """The row with its distance from the base model that was asked in the same way."""
    if row.job.is_base:
        return row
    base = _base_job(row, rows)
    if base is None:
        return _compared_by_itself(row)
    is_whole = row.average is not None and base.average is not None
    is_comparable = is_whole and set(row.scores) == set(base.scores)
    return dataclasses.replace(
        row,
        differences={
            name: score - base.scores[name]
            for name, score in row.scores.items()
            if name in base.scores
        },
        average_difference=(
            (row.average or 0.0) - (base.average or 0.0) if is_comparable else None
        ),
    )


def _base_rows(rows: Sequence[Row]) -> list[Row]:
    """The base models that jobs were compared with and that are no jobs, each once."""
    own = {row.job.run_dir for row in rows}
    compared: dict[str, list[tuple[Row, Deltas]]] = {}
    for row in rows:
        deltas = _deltas_of(row.job)
        if deltas is None or _base_job(row, rows) is not None:
            continue
        if deltas.run_dir and deltas.run_dir not in own:
            compared.setdefault(deltas.run_dir, []).append((row, deltas))
    return [_base_row([row for row, _ in jobs], jobs[0][1]) for jobs in compared.values()]


def _base_row(rows: Sequence[Row], deltas: Deltas) -> Row:
    """The base model's row, with the settings that all jobs compared with it have alike."""
    first = rows[0]
    settings = {
        key: value
        for key, value in first.settings.items()
        if key not in _MODEL_KEYS and all(row.settings.get(key) == value for row in rows)
    }
    if MODEL_KEY in first.settings:
        settings = {MODEL_KEY: "base", **settings}
    job = Job(
        number=-1,
        model=deltas.name,
        is_base=True,
        run_dir=deltas.run_dir,
        run_url=deltas.run_url,
        run_id=deltas.run_id,
        # It is recorded where its adapters are.
        experiment_id=first.job.experiment_id if deltas.run_id else "",
    )
    row = _row(job, settings)
    status = OK if row.average is not None else FAILED
    return dataclasses.replace(row, job=dataclasses.replace(job, status=status), is_job=False)


def _base_job(row: Row, rows: Sequence[Row]) -> Row | None:
    """The job that evaluated the base model in the same way."""
    bases = [other for other in rows if other.job.is_base and other.scores]
    return next((b for b in bases if _other_settings(b) == _other_settings(row)), None)


def _compared_by_itself(row: Row) -> Row:
    """The row with the differences that its own evaluation found."""
    deltas = _deltas_of(row.job)
    if deltas is None:
        return row
    differences = {d.dataset: d.difference for d in deltas.datasets if d.difference is not None}
    is_whole = row.average is not None and deltas.is_over_all
    return dataclasses.replace(
        row,
        differences={name: value for name, value in differences.items() if name in row.scores},
        average_difference=deltas.difference if is_whole else None,
    )


def _deltas_of(job: Job) -> Deltas | None:
    """What a job found against its base model."""
    deltas = read_deltas(RunFiles(Path(job.run_dir))) if job.run_dir else None
    is_base = deltas is not None and deltas.kind == BASE and bool(deltas.datasets)
    return deltas if is_base else None


def _other_settings(row: Row) -> dict[str, str]:
    return {key: value for key, value in row.settings.items() if key not in _MODEL_KEYS}


def _best(scores: Mapping[int, float | None]) -> frozenset[int]:
    known = [score for score in scores.values() if score is not None]
    if len(known) < 2:
        return frozenset()
    return frozenset(number for number, score in scores.items() if score == max(known))
