"""Built datasets are handed on once, by everything that decides them, within a limit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ftbench_eval.built import BuiltDatasets


@dataclass
class Table:
    nbytes: int


@dataclass
class Rows:
    data: Table


@dataclass
class Built:
    """A dataset as OpenCompass builds it: its rows by split."""

    dataset: dict[str, Rows] = field(default_factory=lambda: {"test": Rows(Table(60))})


def config(abbr: str, **changes: Any) -> dict[str, Any]:
    return {"abbr": abbr, "type": "X", "reader_cfg": {"test_range": "[:8]"}, **changes}


def test_a_dataset_is_handed_on_once() -> None:
    made = Built()
    datasets = BuiltDatasets(build_one=lambda _: "built now")
    datasets.keep(config("a", infer_cfg={"n": 1}), made)
    assert datasets.build(config("b")) == "built now"
    assert datasets.build(config("a", infer_cfg={"n": 2}, eval_cfg={})) is made
    assert datasets.build(config("a")) == "built now"


def test_everything_that_decides_the_rows_tells_datasets_apart() -> None:
    datasets = BuiltDatasets(build_one=lambda _: "built now")
    datasets.keep(config("a"), Built())
    assert datasets.build(config("a", reader_cfg={"test_range": "[:9]"})) == "built now"
    assert datasets.build(config("a", type="Y")) == "built now"


def test_what_does_not_fit_is_built_again() -> None:
    first, second = Built(), Built()
    datasets = BuiltDatasets(limit=100, build_one=lambda _: "built now")
    datasets.keep(config("a"), first)
    datasets.keep(config("b"), second)
    assert datasets.build(config("b")) == "built now"
    assert datasets.build(config("a")) is first
    datasets.keep(config("b"), second)
    assert datasets.build(config("b")) is second
