"""The report: the mission's feedback block to the letter, and what else people read."""

import io
import json
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from ftbench.report import Pointers, feedback, feedback_json, markdown, print_report, write_reports
from ftbench.schema import FAILED, TIMEOUT, DatasetResult, Reason, Result
from tests.builders import make_plan, scored_result


def mission_result() -> Result:
    mmlu, gsm8k = scored_result().datasets
    return replace(scored_result(), datasets=(replace(mmlu, score=62.3), gsm8k))


def test_feedback_is_the_missions_block() -> None:
    assert feedback(mission_result()) == (
        "Execution: Benchmark completed: 2/2 datasets\n"
        "Return Checking:\n"
        "  Benchmark Results:\n"
        "    mmlu: 62.3\n"
        "    gsm8k: 45.7\n"
        "Code: Average Score: 54.0%\n"
        "Final Decision: True"
    )


def test_feedback_of_no_datasets_is_a_success() -> None:
    assert feedback(Result()) == (
        "Execution: Benchmark skipped: no datasets\n"
        "Return Checking:\n"
        "  Benchmark Results: none\n"
        "Code: Average Score: none\n"
        "Final Decision: True"
    )


def test_feedback_names_what_failed_and_averages_only_what_counts() -> None:
    mmlu, gsm8k = mission_result().datasets
    stopped = replace(
        mmlu,
        status=TIMEOUT,
        score=60.0,
        aggregation="mean of 1 of 2 subsets",
        reason=Reason("timeout", "stopped after 60 s"),
    )
    assert feedback(replace(mission_result(), datasets=(stopped, gsm8k))) == (
        "Execution: Benchmark completed: 1/2 datasets\n"
        "Return Checking:\n"
        "  Benchmark Results:\n"
        "    mmlu: timeout: stopped after 60 s (mean of 1 of 2 subsets: 60.0)\n"
        "    gsm8k: 45.7\n"
        "Code: Average Score: 45.7% (1/2 datasets)\n"
        "Final Decision: False"
    )


def test_feedback_never_shows_a_dash() -> None:
    failed = DatasetResult("mmlu", FAILED, Reason("data_missing", "no data/mmlu"))
    text = feedback(replace(mission_result(), datasets=(failed,)))
    assert "    mmlu: failed: no data/mmlu\nCode: Average Score: none (0/1 datasets)" in text
    assert "Final Decision: False" in text


def test_feedback_json_is_unrounded() -> None:
    value = json.loads(feedback_json(scored_result()))
    assert value["decision"] is True
    assert value["datasets"]["mmlu"] == {
        "status": "ok",
        "score": 56.25,
        "metric": "accuracy",
        "aggregation": "mean of 2 subsets",
        "reason": None,
        "completed": 16,
        "expected": 16,
    }


def test_markdown_has_table_feedback_and_subsets(tmp_path: Path) -> None:
    text = markdown(make_plan(tmp_path), scored_result(), Pointers(run_url="http://m/#/r"))
    assert "| mmlu | 56.25 | accuracy | mean of 2 subsets | 16/16 | 4 | ok |" in text
    assert "| anatomy | 62.50 | 8/8 | ok |" in text
    assert "- MLflow: http://m/#/r" in text
    assert "Final Decision: True" in text


def test_reports_are_written_and_printed(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    console = Console(record=True, width=120, file=io.StringIO())
    write_reports(plan, scored_result(), Pointers())
    print_report(console, plan, scored_result(), Pointers())
    text = console.export_text()
    assert "Average Score: 51.0%" in text
    assert f"Report: {plan.files.report}" in text.replace("\n", "")
    assert json.loads(plan.files.feedback.read_text())["average"] == 50.975
