"""The Markdown at the top of MLflow's pages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ftbench.plan import TrackingPlan
from ftbench.schema import FAILED, Reason
from ftbench.tracking.note import (
    BEGIN,
    END,
    RunRow,
    experiment_note,
    run_note,
    training_note,
    with_comparison,
)
from ftbench.validity import flagged
from tests.tracking_fixtures import (
    cut_off_gsm8k,
    dataset,
    grouped_mmlu,
    gsm8k,
    plan_of,
    result_of,
    subset,
)

VIEWS = "#/experiments/1/runs?viewStateShareKey="
LINKS = (
    f"[leaderboard]({VIEWS}ftbench&workflowType=machine_learning)"
    f" · [charts]({VIEWS}ftbench&workflowType=machine_learning&compareRunsMode=CHART)"
    f" · [loss and scores]({VIEWS}ftbench-training&workflowType=machine_learning"
    "&compareRunsMode=CHART)"
)
ROW = RunRow("a_b · greedy", "#/experiments/1/runs/r1", "ok", {"avg": 54.0, "mmlu": 62.3})


def test_run_note_says_scores_training_run_and_command(tmp_path: Path) -> None:
    result = result_of(gsm8k(25.0))
    plan = plan_of(tmp_path, TrackingPlan("none"), result, Path("/runs/sft"))
    plan = replace(plan, command=("python", "-m", "ftbench.run", "datasets=[gsm8k]"))

    assert run_note(plan, result, ("my_training", "#/experiments/1/runs/t1"), "1") == (
        "**avg 25.00, gsm8k 25.00** (ftbench: ok, 1 of 1 datasets)\n"
        "\n"
        "<!-- ftbench:base -->\n"
        "<!-- ftbench:/base -->\n"
        "\n"
        "Training run: [my\\_training](#/experiments/1/runs/t1)\n"
        "\n"
        f"All runs: {LINKS}\n"
        "\n"
        "| dataset | score | what it is | samples"
        " | truncated | empty | unextracted | tokens | status |\n"
        "|---|---:|---|---:|---:|---:|---:|---:|---|\n"
        "| gsm8k | 25.00 | accuracy, single subset | 16/16 | 0 % |  |  |  | ok |\n"
        "\n"
        "- Model: `sft`, base `tiny/base-model`\n"
        "- Setting: greedy, first 8\n"
        "- Answers: `samples.html` (what is wrong, by subset), `samples/` (tables), "
        "`predictions/` (all, parquet)\n"
        "- Pictures: `plots/`\n"
        "- Fingerprint: `f0f0f0f0f0f0f0f0`\n"
        "\n"
        "Reproduce:\n"
        "\n"
        "```sh\n"
        "python -m ftbench.run 'datasets=[gsm8k]'\n"
        "```"
    )


def test_run_note_says_why_there_is_no_score(tmp_path: Path) -> None:
    lost = dataset("gsm8k", (subset("gsm8k", "gsm8k", None, 16, status=FAILED),), status=FAILED)
    result = result_of(lost, failure=Reason("model", "no <weights>"))

    note = run_note(plan_of(tmp_path, TrackingPlan("none"), result), result, None, "1")

    assert note.startswith("**no score** (ftbench: failed, 0 of 1 datasets)\n")
    assert (
        "| gsm8k |  | accuracy, single subset | 0/16 |  |  |  | "
        r" | failed: ValueError: prompt \| too long |"
    ) in note.splitlines()
    assert r"Failed: no &lt;weights&gt;" in note.splitlines()


def test_run_note_shows_groups_flags_and_what_is_not_known(tmp_path: Path) -> None:
    result = result_of(grouped_mmlu(), cut_off_gsm8k())
    note = run_note(
        plan_of(tmp_path, TrackingPlan("none"), result), flagged(result, 0.05), None, "1"
    )

    assert note.startswith(
        "**avg 35.00&nbsp;\\*, mmlu 45.00, gsm8k 25.00&nbsp;\\*** (ftbench: ok, 2 of 2 datasets)\n"
        "\n"
        "<!-- ftbench:base -->\n"
        "<!-- ftbench:/base -->\n"
        "\n"
        "- \\* gsm8k: 7 of 16 answers (44 %) reached the generation limit\n"
        "- \\* gsm8k: its score is rule-only: what the rules do not accept counts as wrong\n"
        "\n"
        f"All runs: {LINKS}\n"
        "\n"
        "| dataset | score | weighted by samples | what it is | samples"
        " | truncated | empty | unextracted | tokens | status |\n"
        "|---|---:|---:|---|---:|---:|---:|---:|---:|---|\n"
        "| mmlu | 45.00 | 57.00 | accuracy, mean of 3 subsets | 40/40 | 0 % |  |  |  | ok |\n"
        "| &emsp;mmlu-all | 36.25 | 57.00 | mean of 2 groups | 40/40 | 0 % |  |  |  | ok |\n"
        "| &emsp;&emsp;mmlu-stem | 62.50 | 68.75 | mean of 2 subsets | 32/32"
        " | 0 % |  |  |  | ok |\n"
        "| &emsp;&emsp;mmlu-other | 10.00 | 10.00 | single subset | 8/8"
        " | 0 % |  |  |  | ok |\n"
        "| gsm8k | 25.00&nbsp;\\* |  | accuracy, rule-only, single subset | 16/16"
        " | 44 % | 0 % |  | 140 | ok |\n"
    )
    assert "- gsm8k: whether 16 of 16 samples are correct is not known\n" in note


def test_run_note_has_no_credentials_and_fits(tmp_path: Path) -> None:
    result = result_of(gsm8k())
    plan = plan_of(tmp_path, TrackingPlan("none"), result)
    plan = replace(plan, command=("x", "tracking.uri=http://me:pw@host", "y" * 9000))

    short = replace(plan, command=plan.command[:2])
    assert "tracking.uri=http://host" in run_note(short, result, None, "1")
    assert "Reproduce" not in run_note(plan, result, None, "1")
    assert len(run_note(plan, result, None, "1")) <= 8000


def test_comparison_stands_below_the_scores_and_is_replaced(tmp_path: Path) -> None:
    result = result_of(gsm8k(25.0))
    note = run_note(plan_of(tmp_path, TrackingPlan("none"), result), result, None, "1")

    once = with_comparison(note, "Against b: **+1.0**")
    assert once.splitlines()[1:5] == [
        "",
        "<!-- ftbench:base -->",
        "Against b: **+1.0**",
        "<!-- ftbench:/base -->",
    ]
    assert with_comparison(once, "Against c") == with_comparison(note, "Against c")
    assert with_comparison(once, "") == note
    assert with_comparison("Somebody's words.", "Against b") == "Somebody's words."


def test_experiment_note_leads_to_the_views() -> None:
    assert experiment_note("1") == (
        "Benchmark scores of fine-tuned models and their base, written by **ftbench**.\n"
        "\n"
        f"Which is best, where, and by how much: {LINKS}"
    )


def test_training_note_adds_one_section_and_replaces_it() -> None:
    once = training_note("My *own* words.", [ROW])
    assert once == (
        "My *own* words.\n"
        "\n"
        f"{BEGIN}\n"
        "**Benchmark: avg 54.00, mmlu 62.30** "
        "([a\\_b · greedy](#/experiments/1/runs/r1), ok)\n"
        "\n"
        "| benchmark run | avg | mmlu | status |\n"
        "|---|---:|---:|---|\n"
        "| [a\\_b · greedy](#/experiments/1/runs/r1) | 54.00 | 62.30 | ok |\n"
        f"{END}"
    )
    newer = replace(ROW, scores={"avg": 60.0, "gsm8k": 1.0})
    twice = training_note(once + "\n\nWritten after it.", [newer, ROW])
    assert twice is not None
    assert twice.startswith("My *own* words.\n\n" + BEGIN)
    assert twice.endswith(END + "\n\nWritten after it.")
    assert twice.count(BEGIN) == twice.count(END) == 1
    assert "| benchmark run | avg | gsm8k | mmlu | status |" in twice
    assert "| [a\\_b · greedy](#/experiments/1/runs/r1) | 60.00 | 1.00 |  | ok |" in twice


def test_training_note_marks_flagged_scores_and_what_is_averaged_from_them() -> None:
    flagged_row = replace(ROW, name="b", flagged=frozenset({"mmlu"}))
    note = training_note("", [flagged_row, replace(ROW, scores={"avg": 1.0, "gsm8k": 1.0})])
    assert note is not None
    assert "**Benchmark: avg 54.00&nbsp;\\*, mmlu 62.30&nbsp;\\*** ([b]" in note
    assert "| [b](#/experiments/1/runs/r1) | 54.00&nbsp;\\* | 62.30&nbsp;\\* |  | ok |\n" in note
    assert "| 1.00 |  | 1.00 | ok |\n\n\\* flagged: the benchmark run says why\n" in note


def test_training_note_drops_old_rows_before_it_cuts_the_owners_words() -> None:
    words = "w" * 7000

    note = training_note(words, [ROW] * 50)

    assert note is not None
    assert note.startswith(words)
    assert 8000 - 67 < len(note) <= 8000  # one more row of 67 characters does not fit
    assert note.count("| [a\\_b") == 12
    assert "… and 38 more" in note


def test_training_note_leaves_a_full_note_alone() -> None:
    assert training_note("w" * 7950, [ROW]) is None


@given(st.text(max_size=300), st.text(max_size=300))
def test_training_note_is_stable_and_keeps_the_owners_words(before: str, after: str) -> None:
    once = training_note(before, [ROW])
    assert once is not None
    note = training_note(f"{once}\n{after}", [ROW])

    assert note is not None
    assert before.strip() in note
    assert after.strip() in note
    assert training_note(note, [ROW]) == note
