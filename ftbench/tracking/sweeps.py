"""The run that stands for a sweep: its table, plots and settings, linked with its jobs both ways.

It is no parent of the jobs' runs: MLflow would fold them away, and drop those in other experiments.
They find each other by the tag ``ftbench.sweep_id`` and by the links in their notes. Every step
finds what an earlier recording left, so that recording again changes nothing.
"""

from __future__ import annotations

import json
import re
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ftbench import plots
from ftbench.sweep import OK, Job, Row, Sweep, Table
from ftbench.sweep.report import by_number, headline, job_line, markdown, markdown_table
from ftbench.sweep.table import short_key
from ftbench.tracking import store, training, views
from ftbench.tracking.asking import asking
from ftbench.tracking.contents import SWEEP_TAG, run_link
from ftbench.tracking.environment import redact
from ftbench.tracking.names import MAX_PARAM, MAX_TAG, cut, metric_key
from ftbench.tracking.note import NOTE_TAG
from ftbench.tracking.shared_writes import set_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

KIND = "sweep"
TABLE = "sweep/jobs.json"

_SWEEP_LINE = "Sweep: ["
_KIND_TAG = "ftbench.kind"


@dataclass(frozen=True)
class RecordedSweep:
    """Where a sweep stands in MLflow.

    Attributes:
        experiment: Name of the experiment it is in.
        run_url: Its run's page. For a database, it answers while open_with runs.
        view_url: Its jobs' benchmark runs in one table, best first; empty before its end.
        open_with: Command that shows the pages of a database; empty for a server.
        notes: What a reader should know, one sentence each.
    """

    run_id: str
    experiment_id: str
    experiment: str
    run_url: str
    view_url: str = ""
    open_with: str = ""
    notes: tuple[str, ...] = ()


def open_sweep(sweep: Sweep) -> RecordedSweep:
    """Makes the sweep's run, or finds it, and sets it to RUNNING.

    Raises:
        TrackingError: The tracker did not take it.

    Side effects: writes to the tracker.
    """
    with _asking(sweep):
        client, run = _find_or_create(sweep)
        if run.info.status != "RUNNING":
            client.update_run(run.info.run_id, status="RUNNING")
        jobs = f"{len(sweep.jobs)} jobs" if sweep.jobs else "its jobs"
        if NOTE_TAG not in run.data.tags:
            note = "\n".join([f"{jobs} are at work; the table comes at the end.", *_command(sweep)])
            set_tags(client, run.info.run_id, {NOTE_TAG: cut(note, MAX_TAG)})
        return _recorded(client, sweep, run)


def record_sweep(sweep: Sweep, table: Table) -> RecordedSweep:
    """Records what became of a sweep, or completes what an earlier recording left.

    Args:
        sweep: With its exit code.
        table: Of all its jobs.

    Raises:
        TrackingError: The tracker did not take it; ``python -m ftbench.record SWEEP_DIR`` goes on.

    Side effects: writes to the tracker, also to the jobs' runs: their tag and a line of their note.
    """
    with _asking(sweep):
        client, run = _find_or_create(sweep)
        run_id, experiment_id = run.info.run_id, str(run.info.experiment_id)
        ended_ms = _ended_ms(sweep, table)
        view = views.save_sweep(client, experiment_id, sweep.sweep_id, ended_ms)
        _log_values(client, run, sweep, table, ended_ms, view)
        _log_files(client, run_id, sweep, table)
        missing = _link_jobs(client, run, sweep, table)
        status = "FAILED" if sweep.exit_code else "FINISHED"
        client.set_terminated(run_id, status, end_time=ended_ms)
        return _recorded(client, sweep, run, view, tuple(missing))


def sweep_tag(there: str, sweep_id: str) -> str:
    """The tag of a benchmark run that is a job of this sweep, and perhaps of earlier ones."""
    ids = dict.fromkeys([*there.split(), sweep_id])
    return " ".join(ids)


def keep_sweep_lines(old_note: str, new_note: str) -> str:
    """A job's new note with the links to its sweeps that the old one had."""
    lines = [line for line in old_note.splitlines() if line.startswith(_SWEEP_LINE)]
    for line in lines:
        new_note = _with_line(new_note, line)
    return new_note


def _find_or_create(sweep: Sweep) -> tuple[MlflowClient, Run]:
    plan = sweep.tracking
    client = store.open_store(plan.uri)
    trained = training.fetch(client, plan.training_run_id)
    experiment_id = store.experiment_id_for(client, plan, trained)
    with store.creation_lock(plan.uri):
        found = client.search_runs(
            [experiment_id],
            f"tags.`{SWEEP_TAG}` = '{sweep.sweep_id}' AND tags.`{_KIND_TAG}` = '{KIND}'",
            order_by=["attributes.start_time ASC"],
            max_results=1,
        )
        if found:
            return client, found[0]
        tags = {
            _KIND_TAG: KIND,
            SWEEP_TAG: sweep.sweep_id,
            "ftbench.sweep_dir": str(sweep.folder),
            "mlflow.source.name": "ftbench",
            "mlflow.source.type": "JOB",
        }
        run = client.create_run(
            experiment_id,
            start_time=int(sweep.started_at * 1000),
            run_name=f"sweep {sweep.sweep_id}",
            tags={key: cut(redact(value), MAX_TAG) for key, value in tags.items()},
        )
    return client, run


def _ended_ms(sweep: Sweep, table: Table) -> int:
    """The end of its last job: the same, however often the sweep is recorded."""
    return int(max([sweep.started_at, *(row.job.ended_at for row in table.rows)]) * 1000)


def _log_values(
    client: MlflowClient, run: Run, sweep: Sweep, table: Table, ended_ms: int, view: str
) -> None:
    from mlflow.entities import Metric, Param, RunTag

    failed = sum(row.job.status != OK for row in table.rows)
    values = {"jobs/total": float(len(table.rows)), "jobs/failed": float(failed)}
    averages = [row.average for row in table.rows if row.average is not None]
    if averages and (table.winner is not None or len(averages) == 1):
        values["best/avg"] = max(averages)
    for name in table.datasets:
        values[metric_key("best", name)] = max(
            row.scores[name] for row in table.rows if name in row.scores
        )
    tags = {
        NOTE_TAG: _note(run, sweep, table, view),
        "ftbench.status": OK if not failed else f"{failed} of {len(table.rows)} jobs failed",
        "ftbench.best_run_id": table.winner.job.run_id if table.winner else "",
    }
    params = {key: value for key, value in _params(table).items() if key not in run.data.params}
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(key, value, ended_ms, 0) for key, value in values.items()],
        params=[Param(key, value) for key, value in params.items()],
        tags=[RunTag(key, value) for key, value in tags.items() if value],
    )


def _params(table: Table) -> dict[str, str]:
    """What was swept: every value of each setting that differs between jobs."""
    params = {}
    for key in table.keys:
        values = dict.fromkeys(row.settings[key] for row in by_number(table) if key in row.settings)
        params[metric_key(f"sweep.{key}")] = cut(redact(", ".join(values)), MAX_PARAM)
    return params


def _note(run: Run, sweep: Sweep, table: Table, view: str) -> str:
    # MLflow folds a note away after four lines, so the outcome comes first.
    head = [f"**{_plain(headline(table))}**", "", f"[All jobs with their scores](#{view})", ""]
    failed = [row for row in by_number(table) if row.job.status != OK]
    tail = [""] * bool(failed) + [f"- {_plain(cut(job_line(row), 300))}" for row in failed[:20]]
    tail += _command(sweep)
    for count in range(len(table.shown), 0, -1):
        rows = markdown_table(table, _job_link, table.shown[:count])
        left_out = len(table.shown) - count
        more = ["", f"… and {left_out} more: `{TABLE}`"] if left_out else []
        text = "\n".join([*head, *rows, *more, *tail])
        if len(text) <= MAX_TAG:
            return text
    return cut("\n".join([*head, *tail]), MAX_TAG)


def _job_link(job: Job) -> str:
    return run_link(job.experiment_id, job.run_id) if job.run_id else ""


def _command(sweep: Sweep) -> list[str]:
    return ["", "```sh", redact(shlex.join(sweep.command)), "```"]


def _plain(text: str) -> str:
    return re.sub(r"([\\|\[\]*_`<>])", r"\\\1", redact(text))


def _log_files(client: MlflowClient, run_id: str, sweep: Sweep, table: Table) -> None:
    with tempfile.TemporaryDirectory(prefix="ftbench-sweep-") as temporary:
        folder = Path(temporary)
        (folder / "sweep").mkdir()
        (folder / "sweep.md").write_text(redact(markdown(sweep, table)), encoding="utf-8")
        text = json.dumps(_table_json(table), ensure_ascii=False)
        (folder / TABLE).write_text(redact(text), encoding="utf-8")
        for name, svg in _plots(table).items():
            (folder / "plots").mkdir(exist_ok=True)
            (folder / "plots" / name).write_text(svg, encoding="utf-8")
        client.log_artifacts(run_id, str(folder))
    tables = json.dumps([{"path": TABLE, "type": "table"}])
    set_tags(client, run_id, {"mlflow.loggedArtifacts": tables})


def _table_json(table: Table) -> dict[str, object]:
    """In the form that MLflow shows as a table; scores are not rounded."""
    settings = [short_key(key, table.keys) for key in table.keys]
    differences = [f"{name} against base" for name in table.datasets] if table.has_base else []
    columns = ["job", *settings, "avg", *table.datasets, *differences, "status", "error", "run"]
    data = [
        [
            row.job.number if row.is_job else "base",
            *(row.settings.get(key, "") for key in table.keys),
            row.average,
            *(row.scores.get(name) for name in table.datasets),
            *(row.differences.get(name) for name in table.datasets if table.has_base),
            row.job.status,
            row.job.error,
            row.job.run_url,
        ]
        for row in table.shown
    ]
    return {"columns": columns, "data": data}


def _plots(table: Table) -> dict[str, str]:
    """SVG texts by file name; none where nothing was scored."""
    rows = [row for row in table.shown if row.scores]
    if not rows:
        return {}
    models = [_scored(row, table.keys) for row in rows]
    drawn = {"scores.svg": plots.score_bars(models)}
    if len(models) > 1 and table.keys:
        drawn["parallel_coordinates.svg"] = plots.parallel_coordinates(models)
    for name in table.datasets:
        if any(name in row.subsets for row in rows):
            file = re.sub(r"[^A-Za-z0-9._-]", "_", name)
            drawn[f"subsets_{file}.svg"] = plots.subset_heatmap(models, name)
    return drawn


def _scored(row: Row, keys: Sequence[str]) -> plots.Scored:
    params: Mapping[str, str] = {short_key(key, keys): value for key, value in row.settings.items()}
    return plots.Scored(
        label=row.label,
        scores=row.scores,
        subsets=row.subsets,
        is_base=row.job.is_base,
        params=params,
    )


def _link_jobs(client: MlflowClient, run: Run, sweep: Sweep, table: Table) -> list[str]:
    """Puts tag and link on every job's run.

    Returns:
        What could not be linked, one sentence each.
    """
    from mlflow.exceptions import MlflowException

    link = run_link(str(run.info.experiment_id), run.info.run_id)
    line = f"{_SWEEP_LINE}{_plain(sweep.sweep_id)}]({link})"
    notes = []
    for run_id in dict.fromkeys(row.job.run_id for row in table.rows if row.job.run_id):
        try:
            tags = client.get_run(run_id).data.tags
            there = tags.get(NOTE_TAG, "")
            wanted = {
                SWEEP_TAG: sweep_tag(tags.get(SWEEP_TAG, ""), sweep.sweep_id),
                NOTE_TAG: _with_line(there, line),
            }
            changed = {key: text for key, text in wanted.items() if tags.get(key) != text}
            if changed:
                set_tags(client, run_id, changed)
        except MlflowException as exc:
            if exc.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            notes.append(f"The benchmark run {run_id} of a job is not there any more.")
    return notes


def _with_line(note: str, line: str) -> str:
    """A note with the sweep's line below its first; unchanged where it is, or has no room."""
    if line in note.splitlines():
        return note
    first, _, rest = note.partition("\n")
    text = f"{first}\n\n{line}\n{rest}" if first else line
    return text if len(text) <= MAX_TAG else note


def _recorded(
    client: MlflowClient, sweep: Sweep, run: Run, view: str = "", notes: tuple[str, ...] = ()
) -> RecordedSweep:
    uri, experiment_id = sweep.tracking.uri, str(run.info.experiment_id)
    root = store.ui_root(uri)
    return RecordedSweep(
        run_id=run.info.run_id,
        experiment_id=experiment_id,
        experiment=str(client.get_experiment(experiment_id).name),
        run_url=f"{root}/{run_link(experiment_id, run.info.run_id)}",
        view_url=f"{root}/#{view}" if view else "",
        open_with=store.ui_command(uri),
        notes=notes,
    )


def _asking(sweep: Sweep) -> AbstractContextManager[None]:
    uri = sweep.tracking.uri
    return asking(
        uri,
        f"recording the sweep into {redact(uri)}",
        request_timeout_s=sweep.tracking.request_timeout_s,
        cure=f"python -m ftbench.record {sweep.folder}",
    )
