"""The logic of the measuring scripts, and of the kills."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ancestor_settings import for_all
from filelock import FileLock
from killing import Evaluation, differing_files, leftovers, rows_asked_again
from measuring import ROOT, count_differing, print_bar, scores_of, with_rows


def test_with_rows_repeats_questions_that_differ() -> None:
    text = "q1,a,B\nq2,c,D\n"
    assert with_rows(text, 2) == text
    assert with_rows(text, 1) == "q1,a,B\n"
    assert with_rows(text, 5) == (
        "q1,a,B\nq2,c,D\nq1 (Version 2.),a,B\nq2 (Version 2.),c,D\nq1 (Version 3.),a,B\n"
    )


def test_for_all_goes_along_the_line_of_two_samples() -> None:
    assert for_all({2: 40.0, 4: 60.0}, 57) == 60.0 + 53 * 10.0
    assert for_all({57: 500.0}, 57) == 500.0


def test_count_differing_compares_texts_alone() -> None:
    ours = {"a": {"0": {"prediction": "x", "gold": 1}, "1": {"prediction": "y"}}}
    theirs = {"a": {"0": {"prediction": "x"}, "1": {"prediction": "z"}}}
    assert count_differing(ours, theirs) == (1, 2)
    assert count_differing(ours, {"a": {}}) == (2, 2)


def test_scores_of_are_the_numbers() -> None:
    results = {"a": {"accuracy": 12.345678901, "details": [], "type": "GEN"}}
    assert scores_of(results) == {"a": {"accuracy": 12.345678901}}


@pytest.mark.parametrize(
    ("values", "at_least", "verdict"),
    [
        ([1.4, 9.0, 1.5], False, "x: 1.50 (bar: at most 1.5): met"),
        ([1.51], False, "x: 1.51 (bar: at most 1.5): MISSED"),
        ([1.51], True, "x: 1.51 (bar: at least 1.5): met"),
        ([1.4], True, "x: 1.40 (bar: at least 1.5): MISSED"),
    ],
)
def test_print_bar(
    values: list[float], at_least: bool, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_bar("x", values, 1.5, at_least)
    assert capsys.readouterr().out == verdict + "\n"


def test_rows_asked_again_counts_rows_and_not_batches() -> None:
    once = [["a", "b"], ["a", "c"]]
    assert rows_asked_again(once, once) == 0
    assert rows_asked_again([["a", "b"], ["a"], ["b", "c"], ["c"]], once) == 2
    with pytest.raises(AssertionError, match="1 rows were never asked"):
        rows_asked_again([["a", "b"], ["c"]], once)
    with pytest.raises(AssertionError, match="did not ask the same rows"):
        rows_asked_again([["a", "b", "c"], ["a", "d"]], once)


def test_differing_files_are_found_by_their_bytes(tmp_path: Path) -> None:
    for run in ("one", "two"):
        for kind in ("predictions/m", "results/m", "samples"):
            (tmp_path / run / kind).mkdir(parents=True)
            (tmp_path / run / kind / "a.json").write_text("{}")
    assert differing_files(tmp_path / "one", tmp_path / "two") == []
    (tmp_path / "one" / "samples" / "a.json").write_text("{ }")
    (tmp_path / "two" / "results" / "m" / "b.json").write_text("{}")
    assert differing_files(tmp_path / "one", tmp_path / "two") == [
        "results/m/b.json",
        "samples/a.json",
    ]


def test_leftovers_are_found(tmp_path: Path) -> None:
    evaluation = Evaluation((), tmp_path)
    run = evaluation.workspace / "benchmark_results" / "20261124_120000"
    (run / "predictions").mkdir(parents=True)
    (run / ".lock").touch()
    assert leftovers(evaluation) == []
    temporary = evaluation.temporary / "ftbench-1"
    temporary.mkdir(parents=True)
    (evaluation.temporary / "ftbench-0-abc.lock").touch()
    (run / ".progress.json.7.tmp").touch()
    (run / "predictions" / "tmp_gsm8k.jsonl").touch()
    environment = {"OUTPUT_PATH": str(run), "PATH": os.environ["PATH"]}
    with (
        FileLock(run / ".lock"),
        subprocess.Popen(
            [sys.executable, "-c", "print(flush=True); input()"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process,
    ):
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        found = leftovers(evaluation)
        process.stdin.write(b"\n")
    shutil.rmtree(evaluation.temporary)
    place = "benchmark_results/20261124_120000"
    assert found == [
        f"process {process.pid}",
        str(temporary),
        f"{place}/.lock is held",
        f"{place}/.progress.json.7.tmp",
        f"{place}/predictions/tmp_gsm8k.jsonl",
    ]


SCRIPTS = ["generation_floor", "stock_command", "ancestor_settings", "kills", "whole_command"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_say_how_they_are_called(script: str) -> None:
    ran = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / f"{script}.py", "--help"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "--runtime" in ran.stdout or "--rows" in ran.stdout
