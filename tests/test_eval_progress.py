"""The growing result and how datasets are put together from subsets."""

from __future__ import annotations

from pathlib import Path

import pytest
from ftbench_eval.progress import Progress, aggregate

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


def ok(abbr: str, score: float, metric: str = "accuracy") -> SubsetResult:
    return SubsetResult(abbr, abbr, status=OK, score=score, metric=metric, seconds=1.5)


def failed(abbr: str) -> SubsetResult:
    return SubsetResult(abbr, abbr, status=FAILED, reason=REASON)


def test_aggregate_mean_of_all() -> None:
    dataset = aggregate(DatasetResult("d", subsets=(ok("a", 10.0), ok("b", 20.5))))
    assert (dataset.status, dataset.score, dataset.metric) == (OK, 15.25, "accuracy")
    assert (dataset.aggregation, dataset.subsets_done) == ("mean of 2 subsets", 2)
    assert dataset.seconds == 3.0
    assert dataset.reason is None


def test_aggregate_single_subset() -> None:
    dataset = aggregate(DatasetResult("d", subsets=(ok("d", 10.0),)))
    assert (dataset.score, dataset.aggregation) == (10.0, "single subset")


def test_aggregate_says_its_coverage() -> None:
    dataset = aggregate(DatasetResult("d", subsets=(ok("a", 10.0), failed("b"), ok("c", 20.0))))
    assert (dataset.status, dataset.score) == (PARTIAL, 15.0)
    assert (dataset.aggregation, dataset.subsets_done) == ("mean of 2 of 3 subsets", 2)
    assert dataset.reason == REASON


def test_aggregate_failed_and_pending() -> None:
    nothing = aggregate(DatasetResult("d", subsets=(failed("a"), failed("b"))))
    assert (nothing.status, nothing.score) == (FAILED, None)
    going = aggregate(DatasetResult("d", subsets=(failed("a"), SubsetResult("b", "b"))))
    assert going.status == PENDING


def test_aggregate_names_no_metric_when_they_differ() -> None:
    dataset = aggregate(DatasetResult("d", subsets=(ok("a", 1.0, "f1"), ok("b", 2.0))))
    assert dataset.metric == "mixed"


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
