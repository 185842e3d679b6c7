"""Dataset and group scores, by numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

from ftbench.aggregates import aggregate, group_subsets, leaf_weights, own_groups, unscored
from ftbench.schema import (
    FAILED,
    OK,
    PARTIAL,
    PENDING,
    TIMEOUT,
    DatasetResult,
    Group,
    Reason,
    SubsetResult,
)

REASON = Reason("inference", "RuntimeError: no")
STOPPED = Reason("timeout", "stopped after 60 s")


def ok(abbr: str, score: float, rows: int = 1, metric: str = "accuracy") -> SubsetResult:
    return SubsetResult(
        abbr,
        abbr,
        status=OK,
        score=score,
        metric=metric,
        expected=rows,
        completed=rows,
        seconds=1.5,
    )


def failed(abbr: str, reason: Reason = REASON, status: str = FAILED) -> SubsetResult:
    return SubsetResult(abbr, abbr, status=status, reason=reason, expected=7)


def dataset(*subsets: SubsetResult, groups: tuple[Group, ...] = ()) -> DatasetResult:
    return aggregate(DatasetResult("d", subsets=subsets, groups=unscored(groups)))


def test_aggregate_takes_the_mean_of_all_subsets() -> None:
    whole = dataset(ok("a", 10.0), ok("b", 20.5))
    assert (whole.status, whole.score, whole.metric) == (OK, 15.25, "accuracy")
    assert (whole.aggregation, whole.subsets_done) == ("mean of 2 subsets", 2)
    assert whole.seconds == 3.0
    assert whole.reason is None


def test_aggregate_names_the_runs_that_a_score_is_the_mean_of() -> None:
    twice, often = replace(ok("a", 10.0), repeats=2), replace(ok("b", 20.0), repeats=4)
    assert dataset(twice).aggregation == "mean of 2 runs"
    assert dataset(twice, ok("c", 1.0)).aggregation == "mean of 2 subsets, each of 1 or 2 runs"
    assert dataset(twice, often).aggregation == "mean of 2 subsets, each of 2 or 4 runs"


def test_aggregate_weights_by_samples() -> None:
    # (10 * 30 + 20 * 10 + 60 * 10) / 50 = 1100 / 50
    whole = dataset(ok("a", 10.0, 30), ok("b", 20.0, 10), ok("c", 60.0, 10))
    assert (whole.score, whole.weighted_score) == (30.0, 22.0)


def test_aggregate_weights_by_rows_and_not_by_repeats() -> None:
    # Both subsets have ten rows; those of b are asked four times.
    often = replace(ok("b", 20.0, 40), repeats=4)
    assert dataset(ok("a", 10.0, 10), often).weighted_score == 15.0


def test_aggregate_of_a_single_subset() -> None:
    whole = dataset(ok("d", 10.0, 5))
    assert (whole.score, whole.weighted_score) == (10.0, 10.0)
    assert whole.aggregation == "single subset"


def test_aggregate_says_its_coverage() -> None:
    part = dataset(ok("a", 10.0, 1), failed("b"), ok("c", 20.0, 3))
    assert (part.status, part.score, part.weighted_score) == (PARTIAL, 15.0, 17.5)
    assert (part.aggregation, part.subsets_done) == ("mean of 2 of 3 subsets", 2)
    assert part.reason == REASON


def test_aggregate_of_failed_and_pending_subsets() -> None:
    nothing = dataset(failed("a"), failed("b"))
    assert (nothing.status, nothing.score, nothing.weighted_score) == (FAILED, None, None)
    assert dataset(failed("a"), SubsetResult("b", "b")).status == PENDING


def test_aggregate_after_a_timeout_says_so() -> None:
    stopped = dataset(failed("a"), failed("b", STOPPED, TIMEOUT), ok("c", 5.0))
    assert (stopped.status, stopped.reason, stopped.score) == (TIMEOUT, STOPPED, 5.0)


def test_aggregate_names_no_metric_when_they_differ() -> None:
    mixed = dataset(ok("a", 1.0, metric="f1"), ok("b", 2.0))
    assert (mixed.metric, mixed.score) == ("mixed", 1.5)


def test_aggregate_keeps_a_dataset_without_subsets() -> None:
    unread = DatasetResult("d", FAILED, REASON)
    assert aggregate(unread) == unread


NESTED = (
    Group("stem", ("a", "b")),
    Group("other", ("c",)),
    Group("all", ("stem", "other")),
)


def test_groups_are_means_of_their_members_and_may_hold_groups() -> None:
    whole = dataset(ok("a", 10.0, 1), ok("b", 20.0, 3), ok("c", 60.0, 4), groups=NESTED)
    stem, other, everything = whole.groups
    assert (stem.name, stem.score, stem.weighted_score, stem.samples) == ("stem", 15.0, 17.5, 4)
    assert (other.score, other.weighted_score) == (60.0, 60.0)
    # The outer group: (15 + 60) / 2, not (10 + 20 + 60) / 3; by samples (10 + 60 + 240) / 8.
    assert (everything.score, everything.weighted_score) == (37.5, 38.75)
    assert (everything.subsets_done, everything.subsets_total) == (3, 3)
    assert whole.score == 30.0


def test_groups_carry_their_coverage() -> None:
    part = dataset(ok("a", 10.0, 1), failed("b"), failed("c"), groups=NESTED)
    assert [(g.score, g.weighted_score, g.subsets_done, g.subsets_total) for g in part.groups] == [
        (10.0, 10.0, 1, 2),
        (None, None, 0, 1),
        (10.0, 10.0, 1, 3),
    ]
    assert [g.metric for g in part.groups] == ["accuracy", "", "accuracy"]


def test_groups_take_opencompasss_weights_where_it_has_some() -> None:
    groups = (Group("weighted", ("a", "b"), (100.0, 300.0)),)
    whole = dataset(ok("a", 10.0, 1), ok("b", 20.0, 1), groups=groups)
    assert (whole.groups[0].score, whole.groups[0].weighted_score) == (17.5, 15.0)
    part = dataset(ok("a", 10.0, 1), failed("b"), groups=groups)
    assert (part.groups[0].score, part.groups[0].subsets_done) == (10.0, 1)


def test_groups_say_when_their_metrics_differ() -> None:
    groups = (Group("alike", ("a", "b")), Group("unlike", ("b", "c")))
    subsets = (ok("a", 1.0), ok("b", 2.0), ok("c", 3.0, metric="f1"))
    assert [g.metric for g in dataset(*subsets, groups=groups).groups] == ["accuracy", "mixed"]


def test_groups_are_made_anew_each_time() -> None:
    once = dataset(ok("a", 10.0), ok("b", 20.0), ok("c", 60.0), groups=NESTED)
    again = aggregate(replace(once, subsets=(*once.subsets[:2], failed("c"))))
    assert [g.score for g in again.groups] == [15.0, None, 15.0]


def test_group_subsets_lists_each_once() -> None:
    groups = (*NESTED, Group("twice", ("all", "a")))
    members = group_subsets(dataset(ok("a", 1.0), ok("b", 2.0), ok("c", 3.0), groups=groups))
    assert {name: [s.abbr for s in subsets] for name, subsets in members.items()} == {
        "stem": ["a", "b"],
        "other": ["c"],
        "all": ["a", "b", "c"],
        "twice": ["a", "b", "c"],
    }


def test_leaf_weights_multiply_along_nested_groups() -> None:
    groups = (*NESTED, Group("weighted", ("all", "a"), (3.0, 1.0)))
    whole = dataset(ok("a", 10.0), ok("b", 20.0), ok("c", 60.0), groups=groups)
    weights = leaf_weights(whole)
    third = 1 / 3
    assert weights[""] == {"a": third, "b": third, "c": third}
    assert weights["all"] == {"a": 0.25, "b": 0.25, "c": 0.5}
    assert weights["weighted"] == {"a": 0.4375, "b": 0.1875, "c": 0.375}
    for group in whole.groups:
        scores = {"a": 10.0, "b": 20.0, "c": 60.0}
        assert sum(scores[a] * w for a, w in weights[group.name].items()) == group.score


def test_leaf_weights_are_over_what_is_scored() -> None:
    part = dataset(ok("a", 10.0), failed("b"), failed("c"), groups=NESTED)
    assert leaf_weights(part) == {
        "": {"a": 1.0},
        "stem": {"a": 1.0},
        "other": {},
        "all": {"a": 1.0},
    }


def same(*abbrs: str) -> dict[str, str]:
    return {abbr: abbr for abbr in abbrs}


def test_own_groups_leaves_out_groups_with_foreign_members() -> None:
    groups = (Group("stem", ("a", "b")), Group("wide", ("a", "x")), Group("wider", ("wide", "b")))
    assert own_groups([(groups, same("a", "b", "c"))]) == (Group("stem", ("a", "b")),)


def test_own_groups_leaves_out_the_plain_mean_of_everything() -> None:
    plain = Group("d", ("a", "b"))
    weighted = Group("d-weighted", ("a", "b"), (1.0, 2.0))
    assert own_groups([((plain, weighted), same("a", "b"))]) == (weighted,)
    # As a member it is needed.
    outer = Group("outer", ("d", "c"))
    assert own_groups([((plain, outer), same("a", "b", "c"))]) == (plain, outer)


def test_own_groups_follow_renamed_subsets() -> None:
    groups = (Group("stem", ("a", "b")), Group("top", ("stem", "c"), (2.0, 1.0)))
    renamed = {"a": "a-ppl", "b": "b", "c": "c-ppl"}
    assert own_groups([(groups, renamed)]) == (
        Group("stem", ("a-ppl", "b")),
        Group("top", ("stem", "c-ppl"), (2.0, 1.0)),
    )


def test_own_groups_of_two_presets_keep_apart_what_has_one_name() -> None:
    groups = (Group("stem", ("a", "b")), Group("top", ("stem", "c")))
    gen, ppl = same("a", "b", "c"), {"a": "a-ppl", "b": "b-ppl", "c": "c-ppl"}
    assert own_groups([(groups, gen), (groups, ppl)]) == (
        Group("stem", ("a", "b")),
        Group("top", ("stem", "c")),
        Group("stem-2", ("a-ppl", "b-ppl")),
        Group("top-2", ("stem-2", "c-ppl")),
    )
