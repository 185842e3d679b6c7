"""Progress while an evaluation runs: the program's lines for a pipe, bars for a terminal."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from ftbench import live
from ftbench.live import live_progress
from ftbench.plan import Plan
from ftbench.schema import (
    FAILED,
    PENDING,
    DatasetResult,
    Reason,
    Result,
    SubsetResult,
    write_result,
)
from tests.builders import FINGERPRINT, make_plan, scored, scored_result


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr(live, "_POLL_S", 0.01)
    return make_plan(tmp_path)


def running() -> Result:
    """One of two mmlu subsets is scored, 3 of 8 samples of the other are done, gsm8k waits."""
    subsets = (scored("a", "a", 62.5), SubsetResult("b", "b", expected=8, completed=3))
    mmlu = DatasetResult("mmlu", PENDING, subsets=subsets)
    gsm8k = DatasetResult("gsm8k", PENDING, subsets=(SubsetResult("g", "g", expected=16),))
    return Result(fingerprint=FINGERPRINT, stage="running", datasets=(mmlu, gsm8k))


def terminal() -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=True, width=120), file


def last_bars(file: io.StringIO) -> list[str]:
    """The lines of the last picture of two bars, without their colours and times."""
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", file.getvalue()).replace("\r", "\n")
    lines = [line for line in text.splitlines() if line.startswith(("mmlu", "gsm8k"))]
    return [re.sub(r"\s+", " ", re.sub(r"[━╸╺]+|-?\d*:[\d:-]+", "", x)).strip() for x in lines[-2:]]


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "it did not happen within ten seconds"
        time.sleep(0.01)


def test_live_progress_prints_the_programs_lines_alone_for_a_pipe(plan: Plan) -> None:
    file = io.StringIO()
    with live_progress(plan, Console(file=file, width=20)) as on_line:
        on_line("mmlu [2/57]: 62.5 (a line longer than the console is wide)")
        write_result(plan.files.progress, running())
    assert file.getvalue() == "mmlu [2/57]: 62.5 (a line longer than the console is wide)\n"


def test_live_progress_shows_lines_above_the_bars_in_a_terminal(plan: Plan) -> None:
    console, file = terminal()
    with live_progress(plan, console) as on_line:
        on_line("loading [bold]the model[/bold]")
    assert "loading [bold]the model[/bold]\n" in file.getvalue()


def test_live_progress_shows_a_bar_for_each_planned_dataset(plan: Plan) -> None:
    console, file = terminal()
    with live_progress(plan, console):
        pass
    assert last_bars(file) == ["mmlu 0/? samples", "gsm8k 0/? samples"]


def test_live_progress_follows_the_progress_file_while_the_program_runs(plan: Plan) -> None:
    console, file = terminal()
    with live_progress(plan, console):
        write_result(plan.files.progress, running())
        wait_until(lambda: "11/16" in file.getvalue())
    assert last_bars(file) == ["mmlu 11/16 samples", "gsm8k 0/16 samples"]


def test_live_progress_ends_with_the_scores(plan: Plan) -> None:
    console, file = terminal()
    with live_progress(plan, console):
        write_result(plan.files.progress, scored_result())
    assert last_bars(file) == ["mmlu 16/16 samples 56.2", "gsm8k 16/16 samples 45.7"]


def test_live_progress_marks_a_score_that_is_flagged(plan: Plan) -> None:
    mmlu, gsm8k = scored_result().datasets
    cut = replace(gsm8k, subsets=(replace(gsm8k.subsets[0], truncated=1),))
    console, file = terminal()
    with live_progress(plan, console):
        write_result(plan.files.progress, replace(scored_result(), datasets=(mmlu, cut)))
    assert last_bars(file) == ["mmlu 16/16 samples 56.2", "gsm8k 16/16 samples 45.7 *"]


def test_live_progress_shows_why_a_dataset_has_no_score(plan: Plan) -> None:
    mmlu, _ = scored_result().datasets
    lost = DatasetResult("gsm8k", FAILED, Reason("data_missing", "no data/gsm8k"))
    console, file = terminal()
    with live_progress(plan, console):
        write_result(plan.files.progress, replace(scored_result(), datasets=(mmlu, lost)))
    assert last_bars(file)[1] == "gsm8k 0/? samples failed: no data/gsm8k"


@pytest.mark.parametrize("text", ['{"schema_version": 1, "data', "[]", ""])
def test_live_progress_survives_a_progress_file_that_it_cannot_read(plan: Plan, text: str) -> None:
    plan.files.root.mkdir(parents=True)
    plan.files.progress.write_text(text)
    console, file = terminal()
    with live_progress(plan, console):
        pass
    assert last_bars(file) == ["mmlu 0/? samples", "gsm8k 0/? samples"]


def test_live_progress_ignores_the_progress_of_another_evaluation(plan: Plan) -> None:
    write_result(plan.files.progress, replace(scored_result(), fingerprint="9" * 64))
    console, file = terminal()
    with live_progress(plan, console):
        pass
    assert last_bars(file) == ["mmlu 0/? samples", "gsm8k 0/? samples"]


def test_live_progress_shows_the_last_state_and_frees_the_terminal_after_an_interrupt(
    plan: Plan,
) -> None:
    console, file = terminal()
    with pytest.raises(KeyboardInterrupt), live_progress(plan, console):
        write_result(plan.files.progress, scored_result())
        raise KeyboardInterrupt
    assert last_bars(file)[0] == "mmlu 16/16 samples 56.2"
    hidden, shown = "\x1b[?25l", "\x1b[?25h"
    assert file.getvalue().rindex(shown) > file.getvalue().rindex(hidden)
