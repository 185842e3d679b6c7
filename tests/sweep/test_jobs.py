"""The files of a sweep: what a reader makes of them, whoever wrote them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftbench.errors import ResultError
from ftbench.plan import TrackingPlan
from ftbench.sweep import (
    FAILED,
    KILLED,
    NOT_STARTED,
    OK,
    RUNNING,
    Job,
    Sweep,
    exit_code,
    held,
    is_base_of_others,
    read_job,
    read_jobs,
    read_sweep,
    write_job,
    write_sweep,
)


def test_a_sweep_reads_as_it_was_written_wherever_it_lies_now(tmp_path: Path) -> None:
    sweep = Sweep(
        sweep_id="s1",
        folder=tmp_path / "before",
        started_at=12.5,
        command=("python", "-m", "ftbench.run"),
        overrides=("model.adapter=a,b",),
        jobs=(("model.adapter=a",), ("model.adapter=b",)),
        tracking=TrackingPlan("mlflow", "http://m", experiment="sft"),
        exit_code=101,
    )
    write_sweep(sweep)
    (tmp_path / "before").rename(tmp_path / "after")
    found = read_sweep(tmp_path / "after")
    assert found.folder == tmp_path / "after"
    assert (found.jobs, found.tracking, found.exit_code) == (sweep.jobs, sweep.tracking, 101)


def test_a_folder_without_a_sweep_is_said(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"sweep\.json: FileNotFoundError"):
        read_sweep(tmp_path)


def test_a_job_is_a_file_of_its_number(tmp_path: Path) -> None:
    job = Job(3, OK, 0, ("a=1",), "s1", model="one", run_id="r", experiment_id="1")
    write_job(tmp_path, job)
    assert json.loads((tmp_path / "3" / "job.json").read_text())["status"] == "ok"
    assert read_job(tmp_path, 3) == job


def test_a_running_job_whose_process_is_gone_was_killed(tmp_path: Path) -> None:
    write_job(tmp_path, Job(0, RUNNING))
    with held(tmp_path / "0"):
        assert read_job(tmp_path, 0).status == RUNNING
    found = read_job(tmp_path, 0)
    assert (found.status, found.error) == (KILLED, "its process was killed")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"status": "ok"}'])
def test_a_job_that_cannot_be_read_was_not_started(tmp_path: Path, text: str) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "job.json").write_text(text)
    assert read_job(tmp_path, 0) == Job(0, NOT_STARTED)


def test_jobs_of_a_sweep_are_the_planned_and_the_found(tmp_path: Path) -> None:
    sweep = Sweep("s1", tmp_path, 0.0, jobs=(("a=1",), ("a=2",)))
    write_job(tmp_path, Job(0, OK, 0, ("a=1",), "s1"))
    write_job(tmp_path, Job(1, OK, 0, ("a=2",), "another"))
    write_job(tmp_path, Job(2, FAILED, 5, ("a=3",), "s1"))
    write_job(tmp_path, Job(10, OK, 0, ("a=4",), "another"))
    jobs = read_jobs(sweep)
    assert [(job.number, job.status, job.overrides) for job in jobs] == [
        (0, OK, ("a=1",)),
        (1, NOT_STARTED, ("a=2",)),
        (2, FAILED, ("a=3",)),
    ]
    assert jobs[1].error == "it was never started"


@pytest.mark.parametrize(
    ("ok", "failed", "code"), [(3, 0, 0), (2, 1, 101), (0, 25, 125), (0, 90, 125), (0, 0, 100)]
)
def test_exit_code_counts_what_is_not_ok(ok: int, failed: int, code: int) -> None:
    jobs = [Job(n, OK if n < ok else FAILED) for n in range(ok + failed)]
    assert exit_code(jobs) == code


@pytest.mark.parametrize(
    ("jobs", "bases"),
    [
        (("model.adapter=null", "model.adapter=a"), [0]),
        (("+model.adapter=null limit=1", "+model.adapter=a limit=1"), [0]),
        (("model.adapter=null limit=1", "model.adapter=a limit=2"), []),
        (
            (
                "model.adapter=null limit=1",
                "model.adapter=null limit=2",
                "model.adapter=a limit=1",
                "model.adapter=a limit=2",
            ),
            [0, 1],
        ),
        # Full models, of which none is known to come from another.
        (("model.base=a", "model.base=b"), []),
        (("model.base=a model.adapter=null", "model.base=b model.adapter=null"), []),
        (("model.adapter=null",), []),
        ((), []),
    ],
)
def test_base_of_others_has_their_settings_and_no_adapter(
    tmp_path: Path, jobs: tuple[str, ...], bases: list[int]
) -> None:
    sweep = Sweep("s1", tmp_path, 0.0, jobs=tuple(tuple(job.split()) for job in jobs))
    assert [n for n in range(len(jobs) + 1) if is_base_of_others(sweep, n)] == bases
