"""The benchmarks with a known truth are consistent in themselves; the real runs rely on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import BENCHMARKS, script, write_data
from tests.benchmarks.truth import Benchmark


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda benchmark: benchmark.name)
def test_score_worked_out_by_hand_is_the_mean_of_the_subsets(benchmark: Benchmark) -> None:
    scores = [benchmark.subset_score(abbr) for abbr in benchmark.subsets]
    assert benchmark.score == pytest.approx(sum(scores) / len(scores), abs=1e-9)


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda benchmark: benchmark.name)
def test_rights_and_wrongs_both_happen(benchmark: Benchmark) -> None:
    assert {row.correct for rows in benchmark.subsets.values() for row in rows} == {True, False}


@pytest.mark.parametrize("role", ["generation", "likelihood"])
def test_no_marker_stands_in_another(role: str) -> None:
    markers = sorted(script()[role])
    assert not [
        (one, other) for one in markers for other in markers if one != other and one in other
    ]


def test_presets_subsets_are_all_there(tmp_path: Path) -> None:
    write_data(tmp_path)
    files = {
        name: len(list((tmp_path / "data" / name).iterdir()))
        for name in ("mmlu/test", "cmmlu/test", "BBH/data", "ceval/formal_ceval/val")
    }
    assert files == {
        "mmlu/test": 57,
        "cmmlu/test": 67,
        "BBH/data": 27,
        "ceval/formal_ceval/val": 52,
    }
