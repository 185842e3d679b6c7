"""The growing result and how datasets are put together from subsets."""

from __future__ import annotations

from pathlib import Path

import pytest
from ftbench_eval.progress import Progress

from ftbench.schema import (
    FAILED,
    OK,
    PARTIAL,
    PENDING,
    DatasetResult,
    Reason,
    Result,
    RunFiles,
    SubsetResult,
    read_result,
)

REASON = Reason("inference", "RuntimeError: no")


@pytest.fixture
def progress(tmp_path: Path) -> Progress:
    started = Progress(RunFiles(tmp_path), Result(fingerprint="abc"))
    subsets = (SubsetResult("a", "a", expected=4), SubsetResult("b", "b", expected=4))
    started.update(stage="running", datasets=[DatasetResult("d", subsets=subsets)])
    return started


def test_progress_settles_and_writes(progress: Progress, tmp_path: Path) -> None:
    dataset = progress.settle("a", status=OK, score=50.0, metric="accuracy")
    assert (dataset.status, dataset.score) == (PENDING, 50.0)
    written = read_result(RunFiles(tmp_path).progress)
    assert written.stage == "running"
    assert written.datasets[0].subsets[0].score == 50.0


def test_progress_counts_and_writes_at_most_twice_a_second(
    progress: Progress, tmp_path: Path
) -> None:
    for completed in range(1, 5):
        progress.count("a", completed)
    assert progress.subset("a").completed == 4
    assert read_result(RunFiles(tmp_path).progress).datasets[0].subsets[0].completed == 0


def test_progress_finish_writes_the_result(progress: Progress, tmp_path: Path) -> None:
    assert not RunFiles(tmp_path).result.exists()
    progress.settle("a", status=OK, score=50.0, metric="accuracy")
    progress.fail_pending(REASON)
    progress.finish(failure=REASON)
    result = read_result(RunFiles(tmp_path).result)
    assert (result.stage, result.failure) == ("done", REASON)
    assert [s.status for s in result.datasets[0].subsets] == [OK, FAILED]
    assert result.datasets[0].status == PARTIAL
    assert result.finished_at > 0
