"""Options of a dataset: what is let through, and the names that both sides agree on."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftbench.options import (
    DatasetOptions,
    contradictions,
    options_from_json,
    run_abbrs,
    unique_abbr,
    unique_abbrs,
    wrong_values,
)


@pytest.mark.parametrize("text", ["[10:20]", "[:5]", "[5:]", "[-5:]", "[::2]", "[8:2:-1]", "[:]"])
def test_a_slice_is_let_through(text: str) -> None:
    assert list(wrong_values({"test_range": text})) == []


@pytest.mark.parametrize(
    "text",
    [
        "[5]",
        "5",
        "",
        "[1:2:0]",
        "[1:2:3:4]",
        "[a:b]",
        "[1:2]\n",
        "[1:2][0:1]",
        "[:len(index_list)]",
        "[:0] + [__import__('os').system('true')]",
        "[1:99999999999]",
        "[\u0661:2]",
        "[01:2]",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    assert list(wrong_values({"test_range": text})) == [
        ("test_range", "must be a slice such as [10:20]")
    ]


@given(st.text(alphabet=string.digits + "[]:-+() ", max_size=12))
def test_what_is_let_through_selects_rows_of_a_list(text: str) -> None:
    if not list(wrong_values({"test_range": text})):
        selected = eval(f"index_list{text}", {"__builtins__": {}, "index_list": list(range(9))})
        assert set(selected) <= set(range(9))


def test_wrong_values_names_every_option_that_is_out_of_range() -> None:
    values = {"limit": 0, "num_runs": 0, "num_shots": -1, "split": "train", "pass_k": [1, 0]}
    assert list(wrong_values(values)) == [
        ("limit", "must be at least 1"),
        ("num_runs", "must be at least 1"),
        ("num_shots", "must be at least 0"),
        ("split", "must be one of validation, test"),
        ("pass_k", "must be at least 1"),
    ]


def test_contradictions() -> None:
    assert list(contradictions(DatasetOptions(split="test", test_range="[:2]", limit=1))) == [
        ("split", "does not go together with test_range", "leave one of them out")
    ]
    assert list(contradictions(DatasetOptions(num_runs=3, pass_k=(1, 4)))) == [
        ("pass_k", "needs at least 4 runs", "num_runs=4")
    ]
    assert list(contradictions(DatasetOptions(num_runs=4, pass_k=(1, 4), split="test"))) == []


def test_options_come_back_from_json() -> None:
    options = DatasetOptions(limit=3, test_range="[1:]", num_runs=4, pass_k=(1, 4), num_shots=0)
    assert options.given() == {
        "limit": 3,
        "test_range": "[1:]",
        "num_runs": 4,
        "pass_k": [1, 4],
        "num_shots": 0,
    }
    assert options_from_json(options.given()) == options
    assert DatasetOptions().given() == {}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "must be an object of options"),
        ({"limt": 1}, "has no option 'limt'"),
        ({"limit": "3"}, "limit must be a whole number"),
        ({"limit": True}, "limit must be a whole number"),
        ({"split": 1}, "split must be text"),
        ({"pass_k": 2}, "pass_k must be a list of whole numbers"),
        ({"test_range": "[x]"}, "test_range must be a slice such as [10:20]"),
        ({"pass_k": [2]}, "pass_k needs at least 2 runs"),
    ],
)
def test_json_that_is_no_options_is_refused(value: object, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        options_from_json(value)
    assert str(caught.value) == message


def test_unique_abbr_tells_gen_and_ppl_of_one_family_apart() -> None:
    assert unique_abbr("race-high", "ppl", {"gsm8k"}) == "race-high"
    assert unique_abbr("race-high", "ppl", {"race-high"}) == "race-high-ppl"
    assert unique_abbr("race-high", "ppl", {"race-high", "race-high-ppl"}) == "race-high-ppl-2"


def test_unique_abbrs_of_several_presets() -> None:
    assert unique_abbrs([("gen", ["a", "b"]), ("ppl", ["a"]), ("gen", ["c"])]) == [
        {"a": "a", "b": "b"},
        {"a": "a-ppl"},
        {"c": "c"},
    ]


def test_run_abbrs() -> None:
    assert run_abbrs("gsm8k", 1) == ("gsm8k",)
    assert run_abbrs("gsm8k", 3) == ("gsm8k_run1", "gsm8k_run2", "gsm8k_run3")
