"""Outcomes of samples: only those that give the score, and a sentence where there are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ftbench.outcomes import (
    DatasetOutcomes,
    UnknownOutcomes,
    collect_outcomes,
    paired_outcomes,
    read_outcomes,
    subset_outcomes,
)
from ftbench.schema import DatasetResult, RunFiles, Sample, SubsetResult, write_samples
from tests.builders import scored

RIGHT = [True, False, True, True, False, False, False, True]
"""Half of eight."""


def rows(*runs: list[bool]) -> list[tuple[int, int, bool | None]]:
    return [(i, run, right) for run, each in enumerate(runs) for i, right in enumerate(each)]


def why(subset: SubsetResult, answers: list[tuple[int, int, bool | None]]) -> str:
    with pytest.raises(UnknownOutcomes) as raised:
        subset_outcomes(subset, answers)
    return str(raised.value)


def test_rows_stand_in_dataset_order_whatever_order_they_come_in() -> None:
    found = subset_outcomes(scored("a", "a", 50.0), rows(RIGHT)[::-1])
    assert found.values[:, 0].tolist() == [100.0 if right else 0.0 for right in RIGHT]
    assert (found.abbr, found.weight, found.right) == ("a", 1.0, 100.0)


def test_repeats_are_columns() -> None:
    often = replace(scored("a", "a", 75.0), completed=16, repeats=2)
    assert subset_outcomes(often, rows(RIGHT, [True] * 8)).values.shape == (8, 2)


def test_a_score_may_be_a_share_and_may_be_rounded() -> None:
    assert subset_outcomes(scored("a", "a", 0.5), rows(RIGHT)).right == 1.0
    third = scored("a", "a", 33.33, rows=3)
    assert subset_outcomes(third, rows([True, False, False])).right == 100.0


def test_answers_that_do_not_give_the_score_are_refused() -> None:
    assert why(scored("a", "a", 51.0), rows(RIGHT)) == (
        "a: the right answers are 50.00 %, which is not its accuracy of 51.00"
    )


def test_answers_that_are_not_whole_are_refused() -> None:
    subset = scored("a", "a", 50.0)
    assert "7 of 8 samples are there" in why(subset, rows(RIGHT)[:-1])
    assert "8 answers do not make 7 rows x 1 repeats" in why(
        subset, [*rows(RIGHT)[:-1], (0, 0, True)]
    )
    assert "is not known" in why(subset, [*rows(RIGHT)[:-1], (7, 0, None)])
    assert "not there" in why(subset, [])


def test_samples_are_read_from_the_run_folder(tmp_path: Path) -> None:
    files = RunFiles(tmp_path)
    samples = [Sample("a", i, "q", "x", correct=right) for i, right in enumerate(RIGHT)]
    write_samples(files.samples("a"), samples)
    torn = files.samples("torn")
    torn.write_text('{"index": 0, "cor')
    judged = replace(scored("j", "j", 50.0), correct_known=7, unknown_why="the judge said nothing")
    subsets = (
        scored("a", "a", 50.0),
        scored("torn", "torn", 50.0),
        judged,
        scored("gone", "g", 1.0),
    )
    found = read_outcomes(files, DatasetResult("d", subsets=subsets))
    assert list(found.subsets) == ["a"]
    assert found.unknown["j"] == (
        "j: whether 1 of 8 answers are right is not known: the judge said nothing"
    )
    assert found.unknown["gone"] == "gone: its samples are not there"
    assert found.unknown["torn"].startswith("torn: its samples cannot be read: JSONDecodeError")


def test_the_score_will_do_only_where_subsets_are_clusters() -> None:
    subsets = [scored(str(i), str(i), 50.0) for i in range(10)]
    known = [(str(i), rows(RIGHT)) for i in range(9)]
    found = collect_outcomes(subsets, known)
    ten = {str(i): 0.1 for i in range(10)}
    assert [each.values.size for each in found.weighted(ten)] == [8] * 9 + [1]
    with pytest.raises(UnknownOutcomes, match="9: whether its answers are right is not known"):
        found.weighted({"8": 0.5, "9": 0.5})


def test_a_pair_knows_a_subset_by_score_where_one_of_them_does() -> None:
    subsets = [scored(str(i), str(i), 50.0) for i in range(10)]
    ours = collect_outcomes(subsets, [(str(i), rows(RIGHT)) for i in range(10)])
    theirs = DatasetOutcomes({}, {}, ours.scores)
    mine, other = paired_outcomes(ours, theirs, {str(i): 0.1 for i in range(10)})
    assert [m.values.shape == o.values.shape == (1, 1) for m, o in zip(mine, other, strict=True)]
    assert {each.values.size for each in mine} == {1}
