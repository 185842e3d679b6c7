"""The runs of an experiment, as the tracker gives them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ftbench import tracking
from ftbench.errors import ConfigError, LaunchError, Problem, TrackingError
from ftbench.tracking import TrainedRun
from ftbench.watch.experiment import ExperimentSource
from ftbench.watch.readiness import Readiness
from tests.checkpoint.folders import cut, make_adapter, make_base


class Tracker:
    """Stands for the tracker: gives runs, or an error."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs: list[TrainedRun] = []
        self.error: TrackingError | None = None
        self.said: list[str] = []
        self.now = 1000.0
        self.takes_s = 0.0
        self.asked = 0
        self._cache = folder / "hashes.json"
        monkeypatch.setattr(tracking, "find_trained", self._find)

    def _find(self, uri: str, experiment: str, where: str) -> list[TrainedRun]:
        assert (uri, experiment, where) == ("http://m:5000", "mine", "metrics.loss < 1")
        self.asked += 1
        self.now += self.takes_s
        if self.error:
            raise self.error
        return self.runs

    def source(self, since: float = 0, may_be_away: bool = True) -> ExperimentSource:
        where = ("http://m:5000", "mine", "metrics.loss < 1", since)
        readiness = Readiness(0)
        return ExperimentSource(
            *where, readiness, self._cache, may_be_away, self.said.append, lambda: self.now
        )


@pytest.fixture
def tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    return Tracker(tmp_path, monkeypatch)


def run(name: str, folder: Path | None = None, **other: object) -> TrainedRun:
    made = TrainedRun(f"{name}-0123456789", name, "1", "FINISHED", 5000, folder=folder)
    return replace(made, **other)  # type: ignore[arg-type]


def test_runs_are_given_by_their_id_in_the_trackers_order(tracker: Tracker, tmp_path: Path) -> None:
    tracker.runs = [
        run("b", make_adapter(tmp_path / "b")),
        run("a", make_base(tmp_path / "a")),
        run("c", artifact="runs:/c/model"),
    ]
    scan = tracker.source().scan(False)
    assert scan is not None
    assert [(c.name, c.overrides[0]) for c in scan.ready] == [
        ("b (b-012345)", 'model.adapter="runs:/b-0123456789"'),
        ("a (a-012345)", 'model.base="runs:/a-0123456789"'),
        ("c (c-012345)", 'model.adapter="runs:/c-0123456789"'),
    ]


def test_runs_of_equal_weights_are_candidates_of_their_own(
    tracker: Tracker, tmp_path: Path
) -> None:
    tracker.runs = [run(n, make_adapter(tmp_path / n)) for n in ("a", "b")]
    scan = tracker.source().scan(False)
    assert scan is not None and len({c.key for c in scan.ready}) == 2


def test_run_that_was_taken_up_again_is_another_candidate(tracker: Tracker) -> None:
    tracker.runs = [run("a", artifact="runs:/a/model")]
    source = tracker.source()
    before = source.scan(False)
    tracker.runs = [replace(tracker.runs[0], ended_ms=6000)]
    after = source.scan(False)
    assert before and after and before.ready[0].key != after.ready[0].key


def test_run_without_an_adapter_is_told_once(tracker: Tracker) -> None:
    tracker.runs = [run("a", why_not="it names no output folder")]
    source = tracker.source()
    for _ in range(2):
        scan = source.scan(False)
        assert scan is not None and not scan.ready
    assert tracker.said == ["a (a-012345): not evaluated: it names no output folder"]


def test_half_an_adapter_is_broken(tracker: Tracker, tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "a")
    cut(adapter / "adapter_model.safetensors", 3)
    tracker.runs = [run("a", adapter)]
    scan = tracker.source().scan(False)
    assert scan is not None and scan.broken[0][0] == "a (a-012345)"


def test_since_leaves_earlier_runs_out(tracker: Tracker) -> None:
    tracker.runs = [run("a", artifact="x"), run("b", artifact="x", ended_ms=9000)]
    scan = tracker.source(since=9.0).scan(False)
    assert scan is not None and [c.name for c in scan.ready] == ["b (b-012345)"]


def test_tracker_that_is_away_is_told_once_and_asked_again(tracker: Tracker) -> None:
    tracker.error = TrackingError(Problem("mine", "http://m:5000 does not answer"))
    source = tracker.source()
    assert [source.scan(False), source.scan(False)] == [None, None]
    tracker.error = None
    assert source.scan(False) is not None
    assert tracker.said == [
        "the tracker cannot be asked, and is asked again: http://m:5000 does not answer",
        "the tracker answers again",
    ]


def test_tracker_that_is_away_is_an_error_for_who_shall_end(tracker: Tracker) -> None:
    tracker.error = TrackingError(Problem("mine", "http://m:5000 does not answer"))
    with pytest.raises(LaunchError):
        tracker.source(may_be_away=False).scan(False)


def test_filter_that_cannot_be_read_is_a_wrong_setting(tracker: Tracker) -> None:
    class Refused(Exception):
        error_code = "INVALID_PARAMETER_VALUE"

    tracker.error = TrackingError(Problem("mine", "Invalid clause"))
    tracker.error.__cause__ = Refused()
    with pytest.raises(ConfigError):
        tracker.source().scan(False)


def test_large_experiment_is_asked_a_tenth_of_the_time(tracker: Tracker) -> None:
    tracker.runs = [run("a", artifact="x")]
    tracker.takes_s = 2.0
    source = tracker.source()
    first = source.scan(False)
    tracker.now += 17.9
    assert (source.scan(False), tracker.asked) == (first, 1)
    tracker.now += 0.1
    assert (source.scan(False), tracker.asked) == (first, 2)
