"""The table of a sweep: what differs, differences from the base, order, and its texts."""

from __future__ import annotations

import io
import itertools
import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from rich.console import Console

from ftbench.deltas import BASE, Delta, Deltas, write_deltas
from ftbench.schema import OK as DATASET_OK
from ftbench.schema import DatasetResult, Reason, Result, RunFiles, read_result, write_result
from ftbench.sweep import (
    FAILED,
    OK,
    Job,
    Sweep,
    make_table,
    markdown,
    print_summary,
    summary_json,
)
from ftbench.sweep.report import by_number
from tests.builders import scored


def job(folder: Path, number: int, adapter: str, overrides: str, **scores: float) -> Job:
    """A job that is ok, and the summary of its run."""
    datasets = tuple(
        DatasetResult(name, DATASET_OK, score=score, subsets=(scored(name, name, score),))
        for name, score in scores.items()
    )
    run_dir = folder / f"run{number}"
    write_result(RunFiles(run_dir).summary, Result(stage="done", datasets=datasets))
    return Job(
        number,
        OK,
        0,
        (f"model.adapter={adapter or 'null'}", *overrides.split()),
        model=adapter or "tiny",
        adapter=f"/runs/{adapter}" if adapter else "",
        is_base=not adapter,
        run_dir=str(run_dir),
        run_url=f"http://m/{number}",
    )


def test_rows_are_best_first_and_the_unscored_last(tmp_path: Path) -> None:
    table = make_table(
        [
            job(tmp_path, 0, "a", "", gsm8k=10.0),
            Job(1, FAILED, 2, ("model.adapter=b",)),
            job(tmp_path, 2, "c", "", gsm8k=30.0),
        ]
    )
    assert [row.job.number for row in table.rows] == [2, 0, 1]
    assert [row.label for row in table.rows] == ["c", "a", "b"]
    assert table.best == {"gsm8k": frozenset({2}), "": frozenset({2})}
    assert not table.has_base


def test_only_what_differs_is_shown(tmp_path: Path) -> None:
    fixed = "datasets=[gsm8k] tracking.sweep_id="
    table = make_table(
        [
            job(tmp_path, 0, "a", f"{fixed}x backend.temperature=0", gsm8k=1.0),
            job(tmp_path, 1, "a", f"{fixed}y backend.temperature=1", gsm8k=2.0),
        ]
    )
    assert table.keys == ("backend.temperature",)
    assert table.rows[0].label == "temperature=1"


def with_base(made: Job, base_dir: Path, base: dict[str, float]) -> Job:
    """The job after its own evaluation compared it with the base model."""
    summary = RunFiles(base_dir).summary
    datasets = tuple(
        DatasetResult(name, DATASET_OK, score=score, subsets=(scored(name, name, score),))
        for name, score in base.items()
    )
    write_result(summary, Result(stage="done", datasets=datasets))
    own = {d.name: d.score for d in read_result(RunFiles(Path(made.run_dir)).summary).datasets}
    deltas = Deltas(
        BASE,
        "tiny",
        datasets=tuple(
            Delta(name, difference=(score or 0.0) - base[name]) for name, score in own.items()
        ),
        average=fmean(score or 0.0 for score in own.values()),
        baseline_average=fmean(base.values()),
        averaged=tuple(own),
        run_dir=str(base_dir),
        run_id="ba5e",
        run_url="http://m/base",
    )
    write_deltas(RunFiles(Path(made.run_dir)), deltas)
    return replace(made, experiment_id="7")


def test_the_base_that_jobs_were_compared_with_has_a_row_and_is_no_job(tmp_path: Path) -> None:
    base = {"gsm8k": 20.0, "mmlu": 60.0}
    jobs = [
        with_base(job(tmp_path, 0, "a", "", gsm8k=30.0, mmlu=61.0), tmp_path / "base", base),
        with_base(job(tmp_path, 1, "b", "", gsm8k=10.0, mmlu=50.0), tmp_path / "base", base),
        Job(2, FAILED, 2, ("model.adapter=c",)),
    ]
    table = make_table(jobs)
    assert [row.job.number for row in table.rows] == [0, 1, 2]
    assert [row.average_difference for row in table.rows] == [5.5, -10.0, None]
    assert table.rows[1].differences == {"gsm8k": -10.0, "mmlu": -10.0}
    (row,) = table.bases
    assert (row.label, row.average, row.job.run_id, row.job.experiment_id) == (
        "base",
        40.0,
        "ba5e",
        "7",
    )
    assert [shown.label for shown in table.shown] == ["a", "base", "b", "c"]
    sweep = Sweep("s", tmp_path, 0.0)
    assert [line.split(" | ")[:3] for line in markdown(sweep, table).splitlines()[6:9]] == [
        ["| [#0](http://m/0)", "a", "**45.50**"],
        ["| [base](http://m/base)", "base", "40.00"],
        ["| [#1](http://m/1)", "b", "30.00"],
    ]
    assert "2 of 3 jobs are complete; best: a, 45.50 (+5.50 against the base)" in markdown(
        sweep, table
    )
    value = json.loads(summary_json(sweep, table))
    assert [own["job"] for own in value["jobs"]] == [0, 1, 2]
    assert [(own["job"], own["average"]) for own in value["bases"]] == [(None, 40.0)]


def test_a_base_that_is_best_is_not_called_so(tmp_path: Path) -> None:
    base = {"gsm8k": 90.0}
    jobs = [
        with_base(job(tmp_path, n, name, "", gsm8k=10.0 + n), tmp_path / "base", base)
        for n, name in enumerate("ab")
    ]
    table = make_table(jobs)
    assert table.winner is not None and table.winner.label == "b"
    assert table.best["gsm8k"] == frozenset({1})
    assert table.shown[0].label == "base"


def test_a_base_that_is_a_job_has_one_row(tmp_path: Path) -> None:
    null = job(tmp_path, 0, "", "", gsm8k=20.0)
    tuned = with_base(job(tmp_path, 1, "a", "", gsm8k=30.0), Path(null.run_dir), {"gsm8k": 20.0})
    table = make_table([null, tuned])
    assert table.bases == ()
    assert table.rows[0].differences == {"gsm8k": 10.0}
    # Nor has one that was evaluated a second time (reuse=never).
    elsewhere = with_base(tuned, tmp_path / "again", {"gsm8k": 20.0})
    assert make_table([null, elsewhere]).bases == ()


def test_every_setting_has_its_own_base(tmp_path: Path) -> None:
    jobs = [
        with_base(
            job(tmp_path, n, name, f"limit={limit}", gsm8k=30.0),
            tmp_path / f"base{limit}",
            {"gsm8k": 10.0 * limit},
        )
        for n, (name, limit) in enumerate(itertools.product("ab", (1, 2)))
    ]
    table = make_table(jobs)
    assert [row.label for row in table.bases] == ["base · limit=1", "base · limit=2"]
    assert [row.differences["gsm8k"] for row in by_number(table)] == [20.0, 10.0, 20.0, 10.0]


def test_the_base_is_compared_in_the_same_setting(tmp_path: Path) -> None:
    table = make_table(
        [
            job(tmp_path, 0, "", "limit=1", gsm8k=10.0, mmlu=50.0),
            job(tmp_path, 1, "", "limit=2", gsm8k=20.0, mmlu=40.0),
            job(tmp_path, 2, "a", "limit=1", gsm8k=15.0, mmlu=47.0),
            job(tmp_path, 3, "a", "limit=2", gsm8k=15.0, mmlu=47.0),
            job(tmp_path, 4, "a", "limit=3", gsm8k=15.0, mmlu=47.0),
        ]
    )
    rows = {row.job.number: row for row in table.rows}
    assert rows[2].differences == {"gsm8k": 5.0, "mmlu": -3.0}
    assert rows[3].differences == {"gsm8k": -5.0, "mmlu": 7.0}
    assert (rows[2].average_difference, rows[3].average_difference) == (1.0, 1.0)
    assert (rows[0].differences, rows[4].differences) == ({}, {})


def test_averages_over_different_datasets_have_no_best(tmp_path: Path) -> None:
    table = make_table(
        [
            job(tmp_path, 0, "a", "datasets=[gsm8k]", gsm8k=10.0),
            job(tmp_path, 1, "a", "datasets=[mmlu]", mmlu=50.0),
        ]
    )
    assert "" not in table.best
    assert table.winner is None


def test_a_partial_evaluation_has_no_average(tmp_path: Path) -> None:
    whole = job(tmp_path, 0, "a", "", gsm8k=10.0, mmlu=60.0)
    partly = replace(job(tmp_path, 1, "b", "", gsm8k=90.0), status=FAILED, exit_code=5)
    ok = DatasetResult("gsm8k", DATASET_OK, score=90.0, subsets=(scored("gsm8k", "gsm8k", 90.0),))
    bad = DatasetResult("mmlu", "failed", Reason("inference", "too long"))
    summary = Result(stage="done", datasets=(ok, bad))
    write_result(RunFiles(Path(partly.run_dir)).summary, summary)
    table = make_table([whole, partly])
    assert [(row.job.number, row.average) for row in table.rows] == [(0, 35.0), (1, None)]
    assert table.rows[1].scores == {"gsm8k": 90.0}
    assert table.best["gsm8k"] == frozenset({1})


def test_names_of_adapters_tell_them_apart(tmp_path: Path) -> None:
    adapters = ["r1/checkpoint-5", "r2/checkpoint-5", ""]
    jobs = [job(tmp_path, n, name, "", gsm8k=9.0 - n) for n, name in enumerate(adapters)]
    # It never came so far as to find its adapter, whose folder another job knows.
    jobs.append(Job(3, FAILED, 2, ("model.adapter=r1/checkpoint-5",)))
    assert [row.label for row in make_table(jobs).rows] == [
        "r1/checkpoint-5",
        "r2/checkpoint-5",
        "base",
        "r1/checkpoint-5",
    ]


def test_quoted_values_are_shown_without_their_quotes(tmp_path: Path) -> None:
    jobs = [
        job(tmp_path, 0, "a", r'backend.custom_prompt="say\,\"hi\""', gsm8k=1.0),
        job(tmp_path, 1, "a", "backend.custom_prompt=null", gsm8k=2.0),
    ]
    assert make_table(jobs).rows[1].settings == {"backend.custom_prompt": 'say\\,"hi"'}


def test_markdown_escapes_and_marks_the_best(tmp_path: Path) -> None:
    jobs = [job(tmp_path, 0, "a|b", "", gsm8k=1.0), job(tmp_path, 1, "a_c", "", gsm8k=2.0)]
    text = markdown(Sweep("s1", tmp_path, 0.0, ("python", "a b")), make_table(jobs))
    assert text == (
        "# Sweep s1\n\n"
        "2 of 2 jobs are complete; best: a_c, 2.00.\n\n"
        "| job | adapter | gsm8k | status |\n"
        "|---|---|---:|---|\n"
        "| [#1](http://m/1) | a\\_c | **2.00** | ok |\n"
        "| [#0](http://m/0) | a\\|b | 1.00 | ok |\n\n"
        "## Command\n\n"
        "```sh\npython 'a b'\n```\n"
    )


def test_a_narrow_terminal_gets_the_averages(tmp_path: Path) -> None:
    names = [f"dataset{n}" for n in range(12)]
    jobs = [job(tmp_path, n, f"a{n}", "", **dict.fromkeys(names, 5.0 + n)) for n in range(2)]
    out = io.StringIO()
    print_summary(Console(file=out, width=80), Sweep("s1", tmp_path, 0.0), make_table(jobs))
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert ["job", "adapter", "avg", "status"] in lines
    assert ["#1", "a1", "★", "6.00", "ok"] in lines
