"""A stop keeps what is finished; the next run goes on from it."""

from __future__ import annotations

import json
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ftbench.schema import OK, PENDING, RunFiles, read_result
from tests.real.evaluation.conftest import ABBR, FINISHED_DATASETS, Finished, Program, kept_answers

PENSIVE = Path(__file__).parent / "pensive_program.py"

Wait = Callable[[Callable[[], bool]], None]


def pensive(program: Program, batches: int) -> Program:
    """The program with a model that thinks for an hour after so many batches.

    Without it a model of this size is done before a busy machine sends the signal.
    """
    return replace(program, command=(PENSIVE, str(batches)))


def some_predictions(output: Path) -> Callable[[], bool]:
    return lambda: len(kept_answers(output)) >= 4


def test_sigterm_leaves_progress(program: Program, tmp_path: Path, wait_for: Wait) -> None:
    process = pensive(program, batches=4).start(tmp_path, "gsm8k,race", BATCH_SIZE="1")
    wait_for(some_predictions(tmp_path))
    process.send_signal(signal.SIGTERM)
    # What a launcher's stop_grace gives it, and the model thinks for longer.
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 143
    assert printed.splitlines()[-1] == "ftbench: stopped by SIGTERM; what is finished is kept"
    assert not RunFiles(tmp_path).result.exists()
    progress = read_result(RunFiles(tmp_path).progress)
    gsm8k, race = progress.datasets
    assert (gsm8k.status, race.status) == (PENDING, PENDING)
    # Its answers are the shorter ones, so race comes first; both subsets are sorted by length.
    assert (gsm8k.subsets[0].completed, sum(s.completed for s in race.subsets)) == (0, 4)
    assert [s.expected for s in (*gsm8k.subsets, *race.subsets)] == [12, 8, 5]


def test_kill_and_resume_gives_the_same(
    program: Program, finished: Finished, tmp_path: Path, wait_for: Wait
) -> None:
    process = pensive(program, batches=1).start(tmp_path, "gsm8k,race")
    wait_for(some_predictions(tmp_path))
    process.kill()
    process.communicate()
    kept = kept_answers(tmp_path)
    folder = tmp_path / "predictions" / ABBR
    with (folder / "answers.jsonl").open("a") as file:
        file.write('{"abbr": "gsm8k", "at": 11, "torn')
    (folder / "race-high.json").write_text('{"0": {"predi')
    exit_code, printed, result = program.run(tmp_path, "gsm8k,race")
    assert exit_code == 0, printed
    assert [d.status for d in result.datasets] == [OK, OK]
    for abbr in ("gsm8k", "race-middle", "race-high"):
        again = json.loads((folder / f"{abbr}.json").read_text())
        once = json.loads((finished.output / "predictions" / ABBR / f"{abbr}.json").read_text())
        assert again == once
    whole = kept_answers(tmp_path)
    assert whole[: len(kept)] == kept
    asked = Counter((answer["abbr"], answer["at"]) for answer in whole)
    assert len(asked) == 12 + 8 + 5
    assert set(asked.values()) == {1}


def test_finished_predictions_are_not_asked_again(
    program: Program, finished: Finished, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    shutil.copytree(finished.output, output)
    (output / "results" / ABBR / "race-high.json").unlink()
    exit_code, printed, again = program.run(output, FINISHED_DATASETS)
    assert exit_code == 0, printed
    assert "model loaded" not in printed
    assert again.datasets == finished.result.datasets


def test_another_evaluation_is_refused(program: Program, finished: Finished) -> None:
    process = program.start(finished.output, "race", FINGERPRINT="f" * 64)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 2
    assert printed == (
        f"ftbench: {finished.output} belongs to another evaluation: its fingerprint is 0123abcd, "
        "this one's ffffffff\n"
    )
    assert RunFiles(finished.output).result.is_file()
