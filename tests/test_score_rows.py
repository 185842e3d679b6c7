"""The lines of score tables, the same wherever a score is shown."""

from __future__ import annotations

from dataclasses import replace

from ftbench.aggregates import aggregate, unscored
from ftbench.schema import FAILED, DatasetResult, Group, Reason, Result, SubsetResult, Uncertainty
from ftbench.score_rows import cells, dataset_rows, flag_lines, interval_text, subset_rows
from ftbench.validity import flagged
from tests.builders import scored

GROUPS = (
    Group("stem", ("a", "b")),
    Group("other", ("c",)),
    Group("all", ("stem", "other")),
    Group("weighted", ("a", "b", "c"), (1.0, 1.0, 2.0)),
)


def result(*subsets: SubsetResult, groups: tuple[Group, ...] = GROUPS) -> DatasetResult:
    whole = aggregate(DatasetResult("d", subsets=subsets, groups=unscored(groups)))
    return flagged(Result(datasets=(whole,)), 0.05).datasets[0]


def subsets() -> tuple[SubsetResult, ...]:
    cut = replace(scored("a", "a", 10.0, 8), truncated=4, empty=0, mean_output_tokens=99.6)
    whole = replace(scored("b", "b", 20.0, 392), truncated=0, empty=1, mean_output_tokens=2.0)
    return cut, whole, scored("c", "c", 60.0, 8)


def test_rows_hold_outer_groups_before_inner_ones() -> None:
    rows = dataset_rows(result(*subsets()))
    assert [(row.name, row.depth, row.what) for row in rows] == [
        ("d", 0, "accuracy, mean of 3 subsets"),
        ("all", 1, "mean of 2 groups"),
        ("stem", 2, "mean of 2 subsets"),
        ("other", 2, "single subset"),
        ("weighted", 1, "OpenCompass's weights"),
    ]
    assert [row.score for row in rows] == [30.0, 37.5, 15.0, 60.0, 37.5]


def test_rows_of_partial_groups_say_what_they_cover() -> None:
    lost = replace(subsets()[1], status=FAILED, score=None, reason=Reason("scoring", "no"))
    rows = dataset_rows(result(subsets()[0], lost, subsets()[2]))
    assert [(row.name, row.what, row.status) for row in rows] == [
        ("d", "accuracy, mean of 2 of 3 subsets", "partial"),
        ("all", "mean of 2 groups, 2 of 3 subsets", "partial"),
        ("stem", "mean of 1 of 2 subsets", "partial"),
        ("other", "single subset", "ok"),
        ("weighted", "OpenCompass's weights, 2 of 3 subsets", "partial"),
    ]


def test_cells_mark_a_flagged_score_and_round() -> None:
    cut, whole, unknown = map(cells, subset_rows(result(*subsets())))
    assert (cut.score, cut.weighted, cut.samples) == ("10.00 *", "", "8/8")
    assert cut.answers == ("50 %", "0 %", "", "100")
    assert (whole.score, whole.answers) == ("20.00", ("0 %", "<1 %", "", "2"))
    assert unknown.answers == ("", "", "", "")


def test_an_interval_is_one_number_where_it_is_even() -> None:
    assert interval_text(62.3, Uncertainty(1.0, 60.34, 64.26)) == "± 1.96"
    assert interval_text(99.0, Uncertainty(1.0, 94.55, 99.82)) == "94.55 to 99.82"
    assert interval_text(31.5, Uncertainty(why_not="BLEU")) == ""
    assert interval_text(31.5, None) == ""


def test_cells_never_round_to_all() -> None:
    most = replace(scored("a", "a", 10.0, 1000), truncated=999)
    (row,) = dataset_rows(result(most, groups=()))
    assert cells(row).answers[0] == ">99 %"


def test_a_group_names_its_metric_where_the_datasets_is_another() -> None:
    first, second, third = subsets()
    rows = dataset_rows(result(first, second, replace(third, metric="f1", label="rule-only")))
    assert [row.what for row in rows] == [
        "mixed, rule-only, mean of 3 subsets",
        "rule-only, mean of 2 groups",
        "accuracy, mean of 2 subsets",
        "f1, rule-only, single subset",
        "rule-only, OpenCompass's weights",
    ]


def test_flag_lines_do_not_repeat_a_dataset_in_its_groups() -> None:
    dataset = result(*subsets())
    assert flag_lines([dataset]) == []  # 4 of 400, 4 of 400 in stem
    first, _, third = subsets()
    worse = result(first, replace(scored("b", "b", 20.0, 12), truncated=0), third)
    assert flag_lines([worse]) == ["d: 4 of 20 answers (20 %) reached the generation limit"]


def test_flag_lines_name_the_group_that_alone_is_flagged() -> None:
    groups = (Group("few", ("a", "c")),)
    assert flag_lines([result(*subsets(), groups=groups)]) == [
        "d, few: 4 of 8 answers (50 %) reached the generation limit"
    ]


def test_a_single_subset_is_its_dataset() -> None:
    only = scored("gsm8k", "gsm8k", 45.7, 16)
    dataset = result(only, groups=())
    assert subset_rows(dataset) == []
    (row,) = dataset_rows(dataset)
    assert (row.score, row.weighted_score, row.what) == (45.7, None, "accuracy, single subset")
