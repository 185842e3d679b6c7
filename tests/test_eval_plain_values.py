"""Values cross the wall with their types, and nothing that stands in a line is run."""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import math
from typing import Any

import numpy as np
import pytest
from ftbench_eval import plain_values
from ftbench_eval.plain_values import decode, encode
from hypothesis import given
from hypothesis import strategies as st


def crossed(value: Any) -> Any:
    return decode(encode(value, lambda _: 5), lambda number, text: (number, text))


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(SCALARS, inner),
        st.sets(SCALARS),
        st.frozensets(SCALARS),
    ),
)


@given(VALUES)
def test_plain_values_arrive_as_they_are(value: Any) -> None:
    arrived = crossed(value)
    assert arrived == value
    assert repr(arrived) == repr(value) or isinstance(value, (set, frozenset, dict, list, tuple))


@pytest.mark.parametrize(
    "value",
    [
        1 << 20_000,
        -(1 << 62),
        "\ud800",
        3 + 4j,
        range(2, 9, 3),
        slice(1, None),
        bytearray(b"ab"),
        decimal.Decimal("1.10"),
        fractions.Fraction(1, 3),
        datetime.datetime(2024, 2, 29, 1, 2, 3),
        datetime.date(2024, 2, 29),
        datetime.timedelta(days=1, seconds=2),
        collections.Counter("aab"),
        collections.OrderedDict(b=1, a=2),
        collections.deque([1, 2], 5),
        np.float64(0.5),
        np.int64(7),
        np.bool_(True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_known_types_survive(value: Any) -> None:
    arrived = crossed(value)
    assert arrived == value
    assert type(arrived) is type(value)


def test_not_a_number_arrives() -> None:
    assert math.isnan(crossed(float("nan")))


def test_an_array_keeps_shape_and_type() -> None:
    array = np.arange(6, dtype=np.int32).reshape(2, 3)
    assert (crossed(array) == array).all()
    assert crossed(array).dtype == np.int32


def test_a_subclass_equals_its_plain_value_and_is_not_of_its_type() -> None:
    point = collections.namedtuple("point", "x y")(1, 2)
    assert crossed(point) == (1, 2)
    assert type(crossed(point)) is plain_values.TupleLike


def test_an_overridden_equality_does_not_cross() -> None:
    class Always(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = str.__hash__

    assert crossed(Always("no")) != "yes"


def test_an_iterator_is_taken_out_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_values, "_MOST_ITEMS", 3)
    assert list(crossed(iter(int, 1))) == [0, 0, 0]


def test_everything_else_is_a_reference_with_its_look() -> None:
    assert crossed([len]) == [(5, "<built-in function len>")]


@pytest.mark.parametrize(
    "line",
    [
        '["m","os"]',
        '["nd","|O",[1],"AAAA"]',
        '["np","|O",1]',
        '["zz",1]',
        '{"a":1}',
        "[]",
        '["s",["l"]]',
        '["D","one"]',
        "[" * 100_000,
        "not json",
    ],
)
def test_a_hostile_line_is_no_value(line: str) -> None:
    with pytest.raises(ValueError):
        decode(line, lambda number, text: None)
