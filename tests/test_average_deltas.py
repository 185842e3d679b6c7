"""The difference of the averages from the baseline's, wherever those of datasets stand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ftbench.against import deltas_from
from ftbench.comparison import compare
from ftbench.delta_text import baseline_json, delta_lines, delta_markdown
from ftbench.deltas import BASE, Deltas
from ftbench.tracking.deltas import metrics_of, tags_of
from tests.comparison.builders import Told, answered

FEW, MANY = "1" * 4 + "0" * 12, "1" * 14 + "0" * 2


def against_base(told: dict[str, str] | None = None) -> Deltas:
    base, lora = answered("base", a=FEW, b=FEW), answered("lora", a=MANY, b=MANY)
    if told is not None:
        lora = replace(lora, answers=Told(told))
    return deltas_from(compare([base, lora], 0), BASE, 1)


def test_the_averages_difference_has_interval_and_verdict_as_the_comparison_says() -> None:
    deltas = against_base()
    assert deltas.difference == 62.5
    assert deltas.average_low is not None and deltas.average_high is not None
    # Two equal halves: each end is nearer by the square root of two.
    one = deltas.datasets[0]
    assert one.low is not None and one.difference is not None
    assert 62.5 - deltas.average_low == pytest.approx((one.difference - one.low) / 2**0.5)
    assert deltas.average_verdict == "better"


def test_the_average_stands_in_the_lines_the_table_the_feedback_and_mlflow() -> None:
    deltas = against_base()
    low, high = deltas.average_low, deltas.average_high
    assert low is not None and high is not None
    line = f"  average of 2: 25.0 -> 87.5, +62.5 [+{low:.1f}, +{high:.1f}], better"
    assert line in delta_lines(deltas)
    row = f"| average of 2 | 25.00 | 87.50 | +62.50 | [+{low:.2f}, +{high:.2f}] |  | better |"
    assert row in delta_markdown(deltas)
    value = baseline_json(deltas)
    assert value is not None
    assert (value["average_delta_low"], value["average_delta_high"]) == (low, high)
    assert (value["average_verdict"], value["average_verdict_why_not"]) == ("better", None)
    metrics = metrics_of(deltas)
    assert metrics["delta_vs_base/avg"] == 62.5
    assert (metrics["delta_vs_base_low/avg"], metrics["delta_vs_base_high/avg"]) == (low, high)
    assert not any(key.endswith("/avg") and key.startswith("p_") for key in metrics)
    assert tags_of(deltas)["ftbench.verdict.avg"] == "better"


def test_an_average_with_a_dataset_that_is_not_tested_has_no_interval_and_says_why() -> None:
    deltas = against_base({"a": MANY})
    why = "b: its answers are not recorded"
    assert (deltas.average_low, deltas.average_verdict, deltas.average_why_not) == (None, "", why)
    assert delta_lines(deltas)[-1] == f"  average of 2: 25.0 -> 87.5, +62.5, not tested: {why}"
    metrics = metrics_of(deltas)
    assert "delta_vs_base/avg" in metrics and "delta_vs_base_low/avg" not in metrics
    assert tags_of(deltas)["ftbench.verdict.avg"] == f"not tested: {why}"


def test_an_average_over_a_part_of_the_datasets_is_none_of_mlflows() -> None:
    # bench/avg is over both: a difference over one of them would be read as its own.
    base, lora = answered("base", a=FEW), answered("lora", a=MANY, b=MANY)
    deltas = deltas_from(compare([base, lora], 0), BASE, 1)
    assert deltas.difference == 62.5
    assert "delta_vs_base/avg" not in metrics_of(deltas)
    assert "ftbench.verdict.avg" not in tags_of(deltas)


def test_the_average_over_one_dataset_is_logged_and_not_told_twice() -> None:
    base, lora = answered("base", a=FEW), answered("lora", a=MANY)
    deltas = deltas_from(compare([base, lora], 0), BASE, 1)
    metrics = metrics_of(deltas)
    for key in ("delta_vs_base", "delta_vs_base_low", "delta_vs_base_high"):
        assert metrics[f"{key}/avg"] == metrics[f"{key}/a"]
    assert not any("average" in line for line in delta_lines(deltas))
