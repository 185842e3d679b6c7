"""The report: the mission's feedback block to the letter, and what else people read."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from ftbench.feedback import feedback_json
from ftbench.plan import Plan
from ftbench.report import Pointers, feedback, markdown, print_report, write_reports
from ftbench.schema import FAILED, TIMEOUT, DatasetResult, Reason, Result, Uncertainty
from ftbench.validity import flagged
from tests.builders import make_plan, scored_result
from tests.tracking_fixtures import cut_off_gsm8k, grouped_mmlu, result_of


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


def with_bars(mmlu: Uncertainty, gsm8k: Uncertainty) -> Result:
    first, second = scored_result().datasets
    bars = (replace(first, uncertainty=mmlu), replace(second, uncertainty=gsm8k))
    return replace(scored_result(), datasets=bars)


def test_the_average_has_an_interval_wherever_datasets_have_theirs(tmp_path: Path) -> None:
    # Halves of 6 and 8 down, of 6 and 8 up: 5 each way, sqrt(9 + 16) in standard errors of 6 and 8.
    result = with_bars(Uncertainty(6.0, 50.25, 62.25, "m"), Uncertainty(8.0, 37.7, 53.7, "m"))
    found = json.loads(feedback_json(result))["average_uncertainty"]
    assert (found["low"], found["high"]) == pytest.approx((45.975, 55.975))
    assert found["standard_error"] == pytest.approx(5.0)
    assert found["method"] == "intervals of 2 datasets, combined by MOVER"
    assert found["why_not"] == ""
    row = "| avg | 50.98 | ± 5.00 |  | mean of 2 datasets | 32/32 |  |  |  |  |  | ok |"
    assert row in markdown(make_plan(tmp_path), result, Pointers()).splitlines()


def test_an_average_that_lacks_one_interval_says_which(tmp_path: Path) -> None:
    result = with_bars(Uncertainty(6.0, 50.25, 62.25, "m"), Uncertainty(why_not="BLEU"))
    found = json.loads(feedback_json(result))["average_uncertainty"]
    assert (found["low"], found["why_not"]) == (None, "gsm8k: BLEU")
    text = markdown(make_plan(tmp_path), result, Pointers())
    assert "- avg has no interval: gsm8k: BLEU" in text


def test_feedback_json_is_unrounded() -> None:
    value = json.loads(feedback_json(scored_result()))
    assert value["average"] == 50.975
    assert value["decision"] is True
    assert value["flags"] == []
    assert value["datasets"]["mmlu"] == {
        "status": "ok",
        "reason": None,
        "score": 56.25,
        "uncertainty": None,
        "weighted_score": 56.25,
        "metric": "accuracy",
        "label": "",
        "aggregation": "mean of 2 subsets",
        "completed": 16,
        "expected": 16,
        "truncated_share": None,
        "empty_share": None,
        "unextracted_share": None,
        "mean_output_tokens": None,
        "flags": [],
        "subsets_done": 2,
        "subsets": 2,
        "reused_from": None,
        "groups": {},
        "wrong": None,
        "error_samples_withheld": None,
    }


def test_markdown_has_table_feedback_and_subsets(tmp_path: Path) -> None:
    text = markdown(make_plan(tmp_path), scored_result(), Pointers(run_url="http://m/#/r"))
    row = "| mmlu | 56.25 | 56.25 | accuracy, mean of 2 subsets | 16/16 |  |  |  |  | 4 | ok |"
    assert row in text.splitlines()
    assert "| anatomy | 62.50 | accuracy | 8/8 |  |  |  |  | 2 | ok |" in text
    assert "- MLflow: http://m/#/r" in text
    assert "Final Decision: True" in text


def test_reports_are_written_and_printed(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    console = Console(record=True, width=120, file=io.StringIO())
    write_reports(plan, scored_result())
    print_report(console, plan, scored_result(), Pointers())
    text = console.export_text()
    assert "Average Score: 51.0%" in text
    assert f"Report: {plan.files.report}" in text.replace("\n", "")
    assert json.loads(plan.files.feedback.read_text())["average"] == 50.975


def judged_result() -> Result:
    """Groups with means, one flagged dataset, one that does not know what is correct."""
    return flagged(result_of(grouped_mmlu(), cut_off_gsm8k()), 0.05)


def shown(result: Result, width: int, plan: Plan) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    print_report(console, plan, result, Pointers())
    lines = console.export_text().split("Report: ")[0].splitlines()
    return "\n".join(line.rstrip() for line in lines)


FLAGGED_FEEDBACK = """\
Execution: Benchmark completed: 2/2 datasets
Return Checking:
  Benchmark Results:
    mmlu: 45.0
    gsm8k: 25.0
Code: Average Score: 35.0%
Final Decision: True
Flags:
  gsm8k: 7 of 16 answers (44 %) reached the generation limit
  gsm8k: its score is rule-only: what the rules do not accept counts as wrong
gsm8k: whether 16 of 16 samples are correct is not known"""


WIDE = f"""\
tiny-ft-f0f0f0f0
dataset           score  what it is                          samples  truncated  empty  unextracted  tokens  status
────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
mmlu              45.00  accuracy, mean of 3 subsets           40/40        0 %                              ok
                  57.00  weighted by samples
  mmlu-all        36.25  mean of 2 groups                      40/40        0 %                              ok
    mmlu-stem     62.50  mean of 2 subsets                     32/32        0 %                              ok
    mmlu-other    10.00  single subset                           8/8        0 %                              ok
gsm8k           25.00 *  accuracy, rule-only, single subset    16/16       44 %    0 %                  140  ok
avg             35.00 *  mean of 2 datasets                    56/56                                         ok

{FLAGGED_FEEDBACK}"""  # noqa: E501

NARROW = f"""\
tiny-ft-f0f0f0f0
dataset           score  what it is                          samples  status
─────────────────────────────────────────────────────────────────────────────
mmlu              45.00  accuracy, mean of 3 subsets           40/40  ok
                  57.00  weighted by samples
  mmlu-all        36.25  mean of 2 groups                      40/40  ok
    mmlu-stem     62.50  mean of 2 subsets                     32/32  ok
    mmlu-other    10.00  single subset                           8/8  ok
gsm8k           25.00 *  accuracy, rule-only, single subset    16/16  ok
avg             35.00 *  mean of 2 datasets                    56/56  ok

answers         truncated  empty  unextracted  tokens
──────────────────────────────────────────────────────
mmlu                  0 %
  mmlu-all            0 %
    mmlu-stem         0 %
    mmlu-other        0 %
gsm8k                44 %    0 %                  140

{FLAGGED_FEEDBACK}"""


def test_terminal_shows_scores_and_answers_side_by_side(tmp_path: Path) -> None:
    assert shown(judged_result(), 130, make_plan(tmp_path)) == WIDE


def test_terminal_that_is_narrow_shows_answers_below(tmp_path: Path) -> None:
    assert shown(judged_result(), 80, make_plan(tmp_path)) == NARROW


def test_flags_stand_behind_the_missions_block() -> None:
    assert feedback(judged_result()) == FLAGGED_FEEDBACK.rpartition("\n")[0]


def test_feedback_json_has_groups_and_flags() -> None:
    value = json.loads(feedback_json(judged_result()))
    assert value["flags"] == [
        "gsm8k: 7 of 16 answers (44 %) reached the generation limit",
        "gsm8k: its score is rule-only: what the rules do not accept counts as wrong",
    ]
    assert value["datasets"]["gsm8k"]["truncated_share"] == 0.4375
    assert value["datasets"]["gsm8k"]["label"] == "rule-only"
    groups = value["datasets"]["mmlu"]["groups"]
    assert {name: (g["score"], g["weighted_score"]) for name, g in groups.items()} == {
        "mmlu-all": (36.25, 57.0),
        "mmlu-stem": (62.5, 68.75),
        "mmlu-other": (10.0, 10.0),
    }


def test_markdown_says_what_is_not_known_and_marks_what_is_flagged(tmp_path: Path) -> None:
    lines = markdown(make_plan(tmp_path), judged_result(), Pointers()).splitlines()
    assert "- gsm8k: whether 16 of 16 samples are correct is not known" in lines
    assert (
        "| gsm8k | 25.00 * |  | accuracy, rule-only, single subset | 16/16 "
        "| 44 % | 0 % |  | 140 | 0 | ok |"
    ) in lines
    assert "| \u2003\u2003mmlu-stem | 62.50 | 68.75 | mean of 2 subsets | 32/32 " in "".join(lines)


def test_a_time_limit_says_how_to_go_on(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, command=("python", "-m", "ftbench.run", "datasets=[mmlu,gsm8k]"))
    mmlu, gsm8k = scored_result().datasets
    late = replace(gsm8k, status=TIMEOUT, score=None, reason=Reason(TIMEOUT, "stopped"))
    result = replace(scored_result(), datasets=(mmlu, late))
    line = "To go on where it stopped: python -m ftbench.run 'datasets=[mmlu,gsm8k]'"
    console = Console(file=io.StringIO(), width=200)
    print_report(console, plan, result, Pointers())
    assert console.file.getvalue().endswith(f"{line}\n")  # type: ignore[attr-defined]
    assert f"- {line}\n" in markdown(plan, result, Pointers())
    assert "To go on" not in markdown(plan, scored_result(), Pointers())
