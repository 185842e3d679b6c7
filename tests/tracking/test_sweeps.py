"""The run that stands for a sweep, and what ties it to its jobs' runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ftbench.errors import TrackingError
from ftbench.plan import TrackingPlan
from ftbench.schema import OK as DATASET_OK
from ftbench.schema import DatasetResult, Result, RunFiles, SubsetResult, write_result
from ftbench.sweep import FAILED, OK, Job, Sweep, make_table
from ftbench.tracking import open_sweep, record_sweep, sweeps
from ftbench.tracking.names import MAX_TAG
from ftbench.tracking.sweeps import keep_sweep_lines, sweep_tag
from tests.tracking.conftest import Store

SWEEP_ID = "20261126-013216-6b49"


def make_sweep(store: Store, jobs: int = 2) -> Sweep:
    planned = tuple((f"model.adapter=a{n}",) for n in range(jobs))
    command = ("python", "-m", "ftbench.run", "-m")
    return Sweep(SWEEP_ID, store.folder / "sweep", 1000.0, command, ("x",), planned, store.plan())


def make_jobs(store: Store, count: int = 2, **changes: object) -> list[Job]:
    """Jobs whose runs are there, the last one best; mmlu has two subsets."""
    experiment = store.client.get_experiment_by_name("ftbench")
    experiment_id = (
        experiment.experiment_id if experiment else store.client.create_experiment("ftbench")
    )
    jobs = []
    for n in range(count):
        tags = {"ftbench.kind": "eval", "mlflow.note.content": "**50**\n\nModel: a"}
        run_id = store.client.create_run(experiment_id, tags=tags).info.run_id
        store.client.log_metric(run_id, "bench/avg", 50.0 + n)
        subsets = tuple(
            SubsetResult(name, name, OK, metric="accuracy", score=50.0 + n + shift)
            for name, shift in (("anatomy", 1.0), ("virology", -1.0))
        )
        mmlu = DatasetResult("mmlu", DATASET_OK, score=50.0 + n, subsets=subsets)
        run_dir = store.folder / f"run{n}"
        write_result(RunFiles(run_dir).summary, Result(stage="done", datasets=(mmlu,)))
        job = Job(
            n,
            OK,
            0,
            (f"model.adapter=a{n}",),
            SWEEP_ID,
            adapter=f"/runs/a{n}",
            run_dir=str(run_dir),
            run_id=run_id,
            experiment_id=experiment_id,
            ended_at=2000.0 + n,
        )
        jobs.append(replace(job, **changes))  # type: ignore[arg-type]
    return jobs


def test_a_sweep_opens_once_and_runs(store: Store) -> None:
    sweep = make_sweep(store)
    first, second = open_sweep(sweep), open_sweep(sweep)
    assert first == second
    run = store.client.get_run(first.run_id)
    assert (run.info.status, run.info.start_time) == ("RUNNING", 1_000_000)
    assert run.info.run_name == f"sweep {SWEEP_ID}"
    assert run.data.tags["ftbench.kind"] == "sweep"
    assert run.data.tags["ftbench.sweep_id"] == SWEEP_ID
    assert first.experiment == "ftbench"
    assert run.data.tags["mlflow.note.content"].startswith("2 jobs are at work")


def test_a_sweep_is_recorded_where_its_training_run_is(store: Store) -> None:
    trained = store.training_run("sft")
    sweep = replace(make_sweep(store), tracking=store.plan(training_run_id=trained))
    assert open_sweep(sweep).experiment == "sft"


def test_the_end_is_that_of_the_last_job(store: Store) -> None:
    table = make_table(make_jobs(store))
    recorded = record_sweep(replace(make_sweep(store), exit_code=0), table)
    run = store.client.get_run(recorded.run_id)
    assert (run.info.status, run.info.end_time) == ("FINISHED", 2_001_000)
    history = store.client.get_metric_history(recorded.run_id, "best/avg")
    assert [(m.value, m.timestamp, m.step) for m in history] == [(51.0, 2_001_000, 0)]


def test_recording_after_opening_is_the_same_run_and_a_retry_repairs_it(store: Store) -> None:
    sweep = make_sweep(store)
    jobs = make_jobs(store)
    failed = [jobs[0], replace(jobs[1], status=FAILED, exit_code=5, ended_at=1500.0)]
    opened = open_sweep(sweep)
    record_sweep(replace(sweep, exit_code=101), make_table(failed))
    assert store.client.get_run(opened.run_id).info.status == "FAILED"
    assert open_sweep(sweep) == opened
    assert store.client.get_run(opened.run_id).info.status == "RUNNING"
    record_sweep(replace(sweep, exit_code=0), make_table(jobs))
    run = store.client.get_run(opened.run_id)
    assert (run.info.status, run.data.metrics["jobs/failed"]) == ("FINISHED", 0.0)


def test_plots_and_table_are_artifacts(store: Store, tmp_path: Path) -> None:
    recorded = record_sweep(make_sweep(store), make_table(make_jobs(store)))
    paths = {item.path for item in store.client.list_artifacts(recorded.run_id, "plots")}
    assert paths == {
        "plots/scores.svg",
        "plots/parallel_coordinates.svg",
        "plots/subsets_mmlu.svg",
    }
    table = store.client.download_artifacts(recorded.run_id, "sweep/jobs.json", str(tmp_path))
    assert json.loads(Path(table).read_text()) == {
        "columns": ["job", "adapter", "avg", "mmlu", "status", "error", "run"],
        "data": [[1, "a1", 51.0, 51.0, "ok", "", ""], [0, "a0", 50.0, 50.0, "ok", "", ""]],
    }


def test_a_note_of_many_jobs_keeps_to_mlflows_limit(store: Store) -> None:
    jobs = make_jobs(store, 1)
    many = [
        replace(jobs[0], number=n, overrides=(f"model.adapter={'x' * 80}{n}",), adapter="")
        for n in range(100)
    ]
    recorded = record_sweep(make_sweep(store, 100), make_table(many))
    note = store.client.get_run(recorded.run_id).data.tags["mlflow.note.content"]
    assert 5000 < len(note) <= MAX_TAG
    assert "more: `sweep/jobs.json`" in note
    assert note.endswith("```")


def test_a_job_whose_run_is_gone_is_said(store: Store) -> None:
    jobs = make_jobs(store)
    gone = replace(jobs[0], run_id="0" * 32)
    recorded = record_sweep(make_sweep(store), make_table([gone, jobs[1]]))
    assert recorded.notes == (f"The benchmark run {'0' * 32} of a job is not there any more.",)
    tags = store.client.get_run(jobs[1].run_id).data.tags
    assert tags["ftbench.sweep_id"] == SWEEP_ID


def test_only_the_newest_sweeps_keep_their_views(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps.views, "MAX_SWEEPS", 2)
    table = make_table(make_jobs(store))
    for day in (1, 2, 3):
        recorded = record_sweep(replace(make_sweep(store), sweep_id=f"2026110{day}-0-a"), table)
    tags = store.client.get_experiment(recorded.experiment_id).tags
    views = sorted(key.rpartition("ftbench-sweep-")[2] for key in tags if "ftbench-sweep-" in key)
    assert views == ["20261102-0-a", "20261103-0-a"]


def test_a_tracker_that_is_away_says_how_to_go_on(store: Store) -> None:
    tracking = TrackingPlan("mlflow", f"sqlite:///{store.folder}/run0/no/x.db")
    (store.folder / "run0").write_text("a file")
    sweep = replace(make_sweep(store), tracking=tracking)
    with pytest.raises(TrackingError) as caught:
        open_sweep(sweep)
    assert caught.value.problems[0].cure.endswith(f"python -m ftbench.record {sweep.folder}")


def test_the_tag_names_every_sweep_once() -> None:
    assert sweep_tag("", "a") == "a"
    assert sweep_tag("a", "a") == "a"
    assert sweep_tag("a b", "c") == "a b c"


def test_a_new_note_keeps_the_links_to_sweeps() -> None:
    old = "**1** (ok)\n\nSweep: [a](#/x)\n\nSweep: [b](#/y)\n\nold"
    new = keep_sweep_lines(old, "**2** (ok)\n\nnew")
    assert new == "**2** (ok)\n\nSweep: [b](#/y)\n\nSweep: [a](#/x)\n\nnew"
    assert keep_sweep_lines("owner's note", "new") == "new"
