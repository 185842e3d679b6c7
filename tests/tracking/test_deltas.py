"""Differences on a real MLflow store: what is there, what takes its place, and what goes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ftbench import tracking
from ftbench.deltas import BASE, RUN, Delta, Deltas
from ftbench.plan import Plan
from tests.tracking.conftest import Store
from tests.tracking_fixtures import gsm8k, make_adapter, make_run_folder, mmlu, result_of

pytestmark = pytest.mark.slow

GSM8K = Delta("gsm8k", "accuracy", 25.0, 20.0, 5.0, 1.0, 9.0, 0.02, 0.04, "better")
MMLU = Delta("mmlu", "accuracy", 54.0, 56.0, -2.0, -4.0, 0.5, 0.2, 0.2, "no evidence")
BOTH = Deltas(RUN, "champion", datasets=(GSM8K, MMLU), run_id="run1")
OTHER = Deltas(
    RUN,
    "challenger",
    datasets=(
        replace(GSM8K, baseline_score=28.0, difference=-3.0, low=-6.0, high=0.0),
        Delta("mmlu", verdict="not comparable", why_not="other prompt (a vs b)"),
    ),
    run_id="run2",
)


@dataclass
class Recorded:
    """An evaluation in a store, with a training run."""

    store: Store
    plan: Plan
    run_id: str
    training_run_id: str

    def compare(self, deltas: Deltas) -> None:
        tracking.record_deltas(self.plan, deltas, self.run_id)

    def metrics(self, run_id: str = "") -> dict[str, float]:
        found = self.store.client.get_run(run_id or self.run_id).data.metrics
        return {key: value for key, value in found.items() if key.startswith(("delta", "p_"))}

    def tags(self, run_id: str = "") -> dict[str, str]:
        found = self.store.client.get_run(run_id or self.run_id).data.tags
        return {key: value for key, value in found.items() if "delta" in key or "verdict" in key}

    def history(self, run_id: str = "") -> dict[str, list[Any]]:
        client, run_id = self.store.client, run_id or self.run_id
        return {
            key: [(m.value, m.timestamp) for m in client.get_metric_history(run_id, key)]
            for key in self.metrics(run_id)
        }


def recorded(store: Store, **changes: object) -> Recorded:
    trained = store.training_run()
    place = store.plan(training_run_id=trained, **changes)
    adapter = make_adapter(store.folder / "poems")
    folder = make_run_folder(store.folder / "w", place, result_of(mmlu(), gsm8k(25.0)), adapter)
    run_id = tracking.record(folder.plan, folder.result).run_id
    return Recorded(store, folder.plan, run_id, trained)


def test_differences_stand_on_both_runs_and_again_changes_nothing(store: Store) -> None:
    run = recorded(store)
    run.compare(replace(BOTH, kind=BASE))
    assert run.metrics() == {
        "delta_vs_base/gsm8k": 5.0,
        "delta_vs_base_low/gsm8k": 1.0,
        "delta_vs_base_high/gsm8k": 9.0,
        "p_value/gsm8k": 0.02,
        "p_adjusted/gsm8k": 0.04,
        "delta_vs_base/mmlu": -2.0,
        "delta_vs_base_low/mmlu": -4.0,
        "delta_vs_base_high/mmlu": 0.5,
        "p_value/mmlu": 0.2,
        "p_adjusted/mmlu": 0.2,
    }
    trained = run.training_run_id
    assert run.metrics(trained) == {"delta_vs_base/gsm8k": 5.0, "delta_vs_base/mmlu": -2.0}
    before = [run.history(), run.history(trained), run.tags()]
    run.compare(replace(BOTH, kind=BASE))
    assert [run.history(), run.history(trained), run.tags()] == before


def test_write_back_tags_leaves_differences_in_tags(store: Store) -> None:
    run = recorded(store, write_back="tags")
    run.compare(replace(BOTH, kind=BASE))
    trained = run.training_run_id
    assert run.metrics(trained) == {}
    assert run.tags(trained) == {
        "ftbench.delta_vs_base.gsm8k": "5.0",
        "ftbench.delta_vs_base.mmlu": "-2.0",
    }


def test_write_back_none_leaves_no_difference(store: Store) -> None:
    run = recorded(store, write_back="none")
    run.compare(BOTH)
    assert (run.metrics(run.training_run_id), run.tags(run.training_run_id)) == ({}, {})
    assert run.metrics()["delta_vs_baseline/gsm8k"] == 5.0


def test_another_baseline_takes_the_place_of_an_earlier_one(store: Store) -> None:
    """Of two values of one moment MLflow would keep the higher one."""
    run = recorded(store)
    for deltas in (BOTH, OTHER):
        run.compare(deltas)
    metrics = run.metrics()
    assert metrics["delta_vs_baseline/gsm8k"] == -3.0
    assert metrics["delta_vs_baseline_low/gsm8k"] == -6.0
    assert run.metrics(run.training_run_id)["delta_vs_baseline/gsm8k"] == -3.0
    run.compare(BOTH)
    assert run.metrics()["delta_vs_baseline/gsm8k"] == 5.0
    assert run.metrics(run.training_run_id)["delta_vs_baseline/gsm8k"] == 5.0


def test_a_difference_that_is_no_more_is_no_number_any_more(store: Store) -> None:
    run = recorded(store)
    for deltas in (BOTH, OTHER):
        run.compare(deltas)
    assert run.tags()["ftbench.verdict.vs_baseline.mmlu"] == "not comparable: other prompt (a vs b)"
    gone = {key: value for key, value in run.metrics().items() if key.endswith("/mmlu")}
    assert len(gone) == 5
    assert all(map(math.isnan, gone.values()))
    assert math.isnan(run.metrics(run.training_run_id)["delta_vs_baseline/mmlu"])
    before = [run.history(), run.history(run.training_run_id)]
    run.compare(OTHER)
    assert str([run.history(), run.history(run.training_run_id)]) == str(before)


def test_a_difference_of_an_earlier_end_is_no_number_either(store: Store) -> None:
    # A partial evaluation was compared, and completed later.
    run = recorded(store)
    run.compare(BOTH)
    later = store.client.get_run(run.run_id).info.end_time + 60_000
    store.client.set_terminated(run.run_id, end_time=later)
    run.compare(OTHER)
    assert math.isnan(run.metrics()["delta_vs_baseline/mmlu"])
    assert math.isnan(run.metrics(run.training_run_id)["delta_vs_baseline/mmlu"])
    before = run.history()
    run.compare(OTHER)
    assert str(run.history()) == str(before)


def test_a_difference_that_is_no_more_is_no_tag_any_more(store: Store) -> None:
    run = recorded(store, write_back="tags")
    for deltas in (BOTH, replace(OTHER, datasets=OTHER.datasets[:1])):
        run.compare(deltas)
    assert run.tags(run.training_run_id) == {"ftbench.delta_vs_baseline.gsm8k": "-3.0"}
    verdicts = [key for key in run.tags() if key.startswith("ftbench.verdict")]
    assert verdicts == ["ftbench.verdict.vs_baseline.gsm8k"]


def test_the_difference_from_the_base_stays_when_another_baseline_is_compared(store: Store) -> None:
    run = recorded(store)
    run.compare(replace(BOTH, kind=BASE))
    run.compare(replace(OTHER, datasets=()))
    assert run.metrics()["delta_vs_base/mmlu"] == -2.0
    assert run.tags()["ftbench.verdict.mmlu"] == "no evidence"


def test_pages_show_no_difference_that_is_no_number(store: Store) -> None:
    run = recorded(store)
    for deltas in (replace(BOTH, kind=BASE), replace(OTHER, kind=BASE)):
        run.compare(deltas)
    found = store.client.get_run(run.run_id).data.tags
    assert "nan" not in str({key: found[key] for key in found if "note" in key or "vs_base" in key})
