"""Which rows OpenCompass selects for a range that ftbench puts together."""

from __future__ import annotations

from typing import Any

import pytest
from ftbench_eval.reasons import Refused
from ftbench_eval.rows import choose_rows, row_range
from hypothesis import given
from hypothesis import strategies as st

from ftbench.options import DatasetOptions


def selected(existing: str | None, total: int, **options: Any) -> list[int]:
    wanted = row_range(existing, DatasetOptions(**options))
    # opencompass/openicl/icl_dataset_reader.py, load_partial_dataset (0.5.4)
    rows: list[int] = eval(f"index_list{wanted}", {"index_list": list(range(total))})
    return rows


@pytest.mark.parametrize(
    ("existing", "options", "rows"),
    [
        (None, {"limit": 2}, [0, 1]),
        ("[3:]", {"limit": 2}, [3, 4]),
        (None, {"limit": 99}, list(range(10))),
        (None, {"test_range": "[4:7]"}, [4, 5, 6]),
        ("[2:]", {"test_range": "[4:7]"}, [6, 7, 8]),
        (None, {"test_range": "[-3:]", "limit": 2}, [7, 8]),
        ("[3:]", {"split": "validation"}, [3, 4, 5]),
        ("[3:]", {"split": "test"}, [6, 7, 8, 9]),
        ("[3:]", {"split": "test", "limit": 1}, [6]),
    ],
)
def test_rows_that_are_asked(
    existing: str | None, options: dict[str, Any], rows: list[int]
) -> None:
    assert selected(existing, 10, **options) == rows


@given(st.integers(0, 450), st.sampled_from([None, "[:7]", "[3:]", "[::2]"]))
def test_halves_share_no_row(total: int, existing: str | None) -> None:
    validation = selected(existing, total, split="validation")
    test = selected(existing, total, split="test")
    rows = selected(existing, total, test_range="[:]")
    assert not set(validation) & set(test)
    assert len(validation) == min(100, len(rows) // 2)
    assert len(test) == min(100, len(rows) - len(rows) // 2)
    assert validation == rows[: len(validation)]


def test_a_config_without_options_stays_as_it_is() -> None:
    config: dict[str, Any] = {"reader_cfg": {"test_range": 0.5}}
    choose_rows(config, DatasetOptions(num_runs=2))
    assert config == {"reader_cfg": {"test_range": 0.5}}


def test_random_rows_of_a_preset_are_not_narrowed() -> None:
    with pytest.raises(Refused, match=r"its test_range 0\.5 cannot be narrowed"):
        choose_rows({"reader_cfg": {"test_range": 0.5}}, DatasetOptions(limit=1))
