"""Batches across subsets: nothing lost, little padded, the same each time."""

from __future__ import annotations

import random

import pytest
from ftbench_eval.stream.batches import BatchLimit, by_subset, fits, halves, plan_batches
from ftbench_eval.stream.requests import GENERATE, PERPLEXITY, Batch, Request

from tests.stream.requests import LONG, LOSS, SHORT, request, requests


def limits(limit: BatchLimit) -> dict[str, BatchLimit]:
    return {GENERATE: limit, PERPLEXITY: limit}


def many(seed: int) -> list[Request]:
    """Requests of several subsets and calls."""
    choose = random.Random(seed)
    return [
        each
        for number in range(9)
        for each in requests(
            f"s{number}",
            [choose.randint(1, 500) for _ in range(choose.randint(1, 40))],
            choose.choice([SHORT, LONG, LOSS]),
        )
    ]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("limit", [BatchLimit(1), BatchLimit(8), BatchLimit(64, 2048)])
def test_every_request_is_in_one_batch_of_its_call(seed: int, limit: BatchLimit) -> None:
    asked = many(seed)
    batches = plan_batches(asked, limits(limit))
    batched = [each for batch in batches for each in batch.requests]
    assert sorted(map(id, batched)) == sorted(map(id, asked))
    for batch in batches:
        assert {each.call for each in batch.requests} == {batch.call}
        assert len(batch.requests) <= limit.samples
        if limit.tokens is not None and len(batch.requests) > 1:
            assert batch.tokens <= limit.tokens


def test_batches_cross_subsets_and_are_sorted_by_limit_and_length() -> None:
    asked = [
        *requests("long", [5, 7], LONG),
        *requests("a", [10, 30, 20]),
        *requests("b", [25, 15]),
    ]
    planned = plan_batches(asked, limits(BatchLimit(3)))
    shown = [[(each.abbr, each.length) for each in batch.requests] for batch in planned]
    assert shown == [
        [("a", 30), ("b", 25), ("a", 20)],
        [("b", 15), ("a", 10)],
        [("long", 7), ("long", 5)],
    ]


def test_batches_do_not_depend_on_what_is_answered_already() -> None:
    asked = many(3)
    first = plan_batches(asked, limits(BatchLimit(8)))
    assert plan_batches(list(asked), limits(BatchLimit(8))) == first


def test_the_first_subsets_end_before_the_last_ones_begin() -> None:
    asked = [each for n in range(100) for each in requests(f"s{n:02}", [10 + n] * 8)]
    planned = plan_batches(asked, limits(BatchLimit(4)))
    place = {each.abbr: i for i, batch in enumerate(planned) for each in batch.requests}
    assert place["s00"] < len(planned) // 4


def test_a_request_above_the_budget_is_asked_alone() -> None:
    (alone, rest) = plan_batches(requests("a", [500, 10, 10]), limits(BatchLimit(8, 100)))
    assert [each.length for each in alone.requests] == [500]
    assert [each.length for each in rest.requests] == [10, 10]


def test_halves_and_parts() -> None:
    batch = Batch((request("a", 0), request("b", 0), request("a", 1)))
    first, second = halves(batch)
    assert first.requests + second.requests == batch.requests
    assert (len(first.requests), len(second.requests)) == (2, 1)
    assert [[each.abbr for each in part.requests] for part in by_subset(batch)] == [
        ["a"] * 2,
        ["b"],
    ]


def test_fits_below_what_had_no_room() -> None:
    batch = Batch(tuple(requests("a", [10, 10])))
    assert batch.tokens == 2 * (10 + 8)
    assert fits(batch, None)
    assert fits(batch, 37)
    assert not fits(batch, 36)
    assert fits(Batch(batch.requests[:1]), 1)


@pytest.mark.parametrize(
    ("limit", "halved"),
    [
        (BatchLimit(8), BatchLimit(4)),
        (BatchLimit(1), BatchLimit(1)),
        (BatchLimit(8, 1024), BatchLimit(8, 512)),
        (BatchLimit(8, 1), BatchLimit(8, 1)),
    ],
)
def test_halved(limit: BatchLimit, halved: BatchLimit) -> None:
    assert limit.halved() == halved
