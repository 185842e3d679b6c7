"""Repeats: how many there are, and what several runs come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from ftbench_eval.extract import Scored
from ftbench_eval.runs import merge_runs, pass_metrics, take_runs

from ftbench.options import DatasetOptions
from ftbench.schema import Sample


def run(*correct: bool | None, **metrics: float) -> Scored:
    score = 100 * sum(map(bool, correct)) / len(correct)
    samples = tuple(Sample("s_run1", i, "p", "a", correct=c) for i, c in enumerate(correct))
    return Scored("accuracy", score, {"accuracy": score, **metrics}, samples)


def test_merge_runs_gives_the_mean_and_every_sample() -> None:
    merged = merge_runs({0: run(True, False, f1=0.5), 1: run(True, True, f1=1.0)}, "s", (1, 2))
    assert merged.score == 75.0
    assert merged.metrics == {"accuracy": 75.0, "f1": 0.75, "pass@1": 75.0, "pass@2": 100.0}
    assert [(s.subset, s.repeat, s.index, s.correct) for s in merged.samples] == [
        ("s", 0, 0, True),
        ("s", 0, 1, False),
        ("s", 1, 0, True),
        ("s", 1, 1, True),
    ]


def test_merge_runs_keeps_metrics_that_all_runs_have() -> None:
    assert merge_runs({0: run(True, f1=0.5), 1: run(False)}, "s", ()).metrics == {"accuracy": 50.0}


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        # Of 4 answers c are right: 1 - C(4-c, 2) / C(4, 2) is 0, 3/6, 5/6, 1, 1.
        ([0], 0.0),
        ([1], 50.0),
        ([2], 100 * 5 / 6),
        ([3], 100.0),
        ([4, 0, 1], 50.0),
    ],
)
def test_pass_at_2_of_4(right: Sequence[int], expected: float) -> None:
    samples = [
        Sample("s", row, "p", "a", correct=repeat < c, repeat=repeat)
        for row, c in enumerate(right)
        for repeat in range(4)
    ]
    assert pass_metrics(samples, 4, (2,)) == {"pass@2": pytest.approx(expected)}


def test_merge_runs_keeps_the_number_of_a_run() -> None:
    merged = merge_runs({0: run(True), 2: run(False)}, "s", ())
    assert [sample.repeat for sample in merged.samples] == [0, 2]


def test_no_pass_at_k_where_a_repeat_is_missing() -> None:
    assert pass_metrics([Sample("s", 0, "p", "a", correct=True)], 2, (1,)) == {}


def test_no_pass_at_k_where_a_truth_is_unknown() -> None:
    merged = merge_runs({0: run(True, None), 1: run(True, True)}, "s", (1,))
    assert set(merged.metrics) == {"accuracy"}


@pytest.mark.parametrize(
    ("config", "options", "expected"),
    [
        ({}, {}, (1, ())),
        ({}, {"num_runs": 4, "pass_k": (1, 4)}, (4, (1, 4))),
        ({"n": 5, "k": 3}, {}, (5, (3,))),
        ({"n": 4, "k": [2, 4]}, {}, (4, (2, 4))),
        ({"n": 4, "k": [2, 4]}, {"num_runs": 2}, (2, (2,))),
        ({"n": 4, "k": 2}, {"num_runs": 1}, (1, ())),
        # humaneval_repeat10
        ({"num_repeats": 10, "eval_cfg": {"k": [1, 10, 100]}}, {}, (10, (1, 10))),
        ({"num_repeats": 1}, {}, (1, ())),
    ],
)
def test_take_runs(
    config: dict[str, Any], options: dict[str, Any], expected: tuple[int, tuple[int, ...]]
) -> None:
    assert take_runs(config, DatasetOptions(**options)) == expected
    assert not {"n", "k"} & set(config)
    assert config.get("num_repeats", 1) == 1
