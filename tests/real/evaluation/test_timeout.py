"""The time limit in the middle of an evaluation: what is done is scored, and the rest goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from killing import Evaluation, make_counted_model, write_race

from ftbench.schema import OK, TIMEOUT, read_result
from tests.real.evaluation.conftest import ROOT

pytestmark = pytest.mark.slow

HURRIED = Path(__file__).parent / "hurried_command.py"

TIMEOUT_S = 3000
"""Long enough for two datasets of six batches to come to the ninth, on any machine."""


def answers(evaluation: Evaluation) -> int:
    """How many the model has given so far."""
    files = evaluation.files
    paths = files.predictions.glob("*/answers.jsonl") if files else ()
    return sum(path.read_text().count('"at"') for path in paths)


def test_timeout_keeps_what_is_done_and_says_how_to_go_on(
    checkpoints: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wait_for: Callable[[Callable[[], bool]], None],
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    model = make_counted_model(checkpoints / "base", tmp_path / "counted", 0, stop_after=8)
    write_race(tmp_path, 6)
    (tmp_path / "data" / "gsm8k").symlink_to(data / "data" / "gsm8k")
    over = tmp_path / "over"
    command = (
        *(sys.executable, str(HURRIED), str(over), "runtime=local", "runtime.num_gpus=0"),
        "baseline=none",
        *(f"model.base={model}", "model.trust_remote_code=true", f"data_dir={tmp_path}"),
        *("backend.batch_size=2", "backend.max_out_len=8", "datasets=[race,gsm8k]"),
    )
    evaluation = Evaluation((*command, f"timeout={TIMEOUT_S}"), tmp_path / "limited")
    process = evaluation.start()
    wait_for(lambda: answers(evaluation) == 8 * 2 or process.poll() is not None)
    over.touch()
    assert process.wait(300) == 5, evaluation.printed
    files = evaluation.files
    assert files is not None
    result = read_result(files.summary)
    # Whichever is asked first.
    done, late = sorted(result.datasets, key=lambda dataset: dataset.status)
    assert (done.status, late.status) == (OK, TIMEOUT)
    assert done.score is not None and late.score is None
    assert late.reason is not None
    assert late.reason.message == f"stopped after timeout={TIMEOUT_S} seconds"
    assert sum(subset.completed for subset in late.subsets) == 2 * 2
    assert "\nTo go on where it stopped: " in evaluation.printed

    (files.root / "go").touch()
    over.unlink()
    again = Evaluation((*command, "timeout=3600"), evaluation.folder)
    assert again.run() == 0, again.printed
    assert read_result(files.summary).is_complete
    # What was under way when the time was over is asked again, and nothing else.
    assert sum(map(len, evaluation.asked)) == 12 + 12
