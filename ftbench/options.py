"""How much of a dataset is asked, and how often: the options that each dataset may have.

Standard library only: host and evaluation program share this module, so that an option means, and
a subset is called, the same on both sides.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SPLITS = ("validation", "test")

MAX_SPLIT_ROWS = 100
"""Rows of each half, at most."""

_NUMBER = "-?(?:0|[1-9][0-9]{0,8})"

_SLICE = re.compile(rf"\[(?:{_NUMBER})?:(?:{_NUMBER})?(?::-?[1-9][0-9]{{0,8}})?\]")
"""OpenCompass evaluates a range as Python: nothing but a slice may get there."""


@dataclass(frozen=True)
class DatasetOptions:
    """Options of one dataset; None leaves its preset as it is.

    Attributes:
        limit: First rows of each subset (of its range or half, where there is one).
        test_range: Slice of the rows of each subset, such as ``[10:20]``.
        split: ``validation`` or ``test``: the first or the last half of the rows, at most 100.
        num_runs: How often every row is asked.
        pass_k: The k of pass@k, each at most num_runs.
        num_shots: Examples before each question.
    """

    limit: int | None = None
    test_range: str | None = None
    split: str | None = None
    num_runs: int | None = None
    pass_k: tuple[int, ...] = ()
    num_shots: int | None = None

    def given(self) -> dict[str, Any]:
        """What says more than the preset does, by name, as JSON values."""
        values = dataclasses.asdict(self) | {"pass_k": sorted(set(self.pass_k))}
        return {name: value for name, value in values.items() if value not in (None, [])}


OPTION_NAMES = tuple(field.name for field in dataclasses.fields(DatasetOptions))


def wrong_values(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Options that are out of range by themselves: name, and what they must be.

    Args:
        values: Options by name, with the types of ``DatasetOptions``; None where not given.
    """
    for name, least in (("limit", 1), ("num_runs", 1), ("num_shots", 0)):
        value = values.get(name)
        if value is not None and value < least:
            yield name, f"must be at least {least}"
    split, test_range = values.get("split"), values.get("test_range")
    if split is not None and split not in SPLITS:
        yield "split", f"must be one of {', '.join(SPLITS)}"
    if test_range is not None and not _SLICE.fullmatch(test_range):
        yield "test_range", "must be a slice such as [10:20]"
    if any(k < 1 for k in values.get("pass_k") or ()):
        yield "pass_k", "must be at least 1"


def contradictions(options: DatasetOptions) -> Iterator[tuple[str, str, str]]:
    """Options that do not go together: name, what is wrong, and what to do."""
    if options.split and options.test_range:
        yield "split", "does not go together with test_range", "leave one of them out"
    highest = max(options.pass_k, default=1)
    if (options.num_runs or 1) < highest:
        yield "pass_k", f"needs at least {highest} runs", f"num_runs={highest}"


def options_from_json(value: Any) -> DatasetOptions:
    """Reads what ``DatasetOptions.given`` gave.

    Raises:
        ValueError: It is no object of known options with values of the right types in range.
    """
    if not isinstance(value, dict):
        raise ValueError("must be an object of options")
    unknown = [name for name in value if name not in OPTION_NAMES]
    if unknown:
        raise ValueError(f"has no option '{unknown[0]}'")
    for name in ("limit", "num_runs", "num_shots"):
        if type(value.get(name, 0)) is not int:
            raise ValueError(f"{name} must be a whole number")
    for name in ("split", "test_range"):
        if not isinstance(value.get(name, ""), str):
            raise ValueError(f"{name} must be text")
    pass_k = value.get("pass_k", [])
    if not isinstance(pass_k, list) or any(type(k) is not int for k in pass_k):
        raise ValueError("pass_k must be a list of whole numbers")
    for name, must in wrong_values(value):
        raise ValueError(f"{name} {must}")
    options = DatasetOptions(**(value | {"pass_k": tuple(pass_k)}))
    for name, happened, _ in contradictions(options):
        raise ValueError(f"{name} {happened}")
    return options


def unique_abbr(abbr: str, mode: str, taken: set[str]) -> str:
    """The abbr, with its mode or a number behind it where another dataset has the same.

    OpenCompass gives the gen and ppl presets of one family the same abbr and would score only one.
    """
    candidates = [abbr, f"{abbr}-{mode}", *(f"{abbr}-{mode}-{i}" for i in range(2, 1000))]
    return next(candidate for candidate in candidates if candidate not in taken)


def unique_abbrs(presets: Iterable[tuple[str, Sequence[str]]]) -> list[dict[str, str]]:
    """Unique names for the subsets of several presets.

    Args:
        presets: Mode and subset abbrs of each preset, in the order in which they are asked.

    Returns:
        For each preset its own abbrs, with the name that each has in this evaluation.
    """
    taken: set[str] = set()
    renamed = []
    for mode, abbrs in presets:
        names: dict[str, str] = {}
        for abbr in abbrs:
            names[abbr] = unique_abbr(abbr, mode, taken)
            taken.add(names[abbr])
        renamed.append(names)
    return renamed


def run_abbrs(abbr: str, runs: int) -> tuple[str, ...]:
    """Names under which OpenCompass asks a subset: one for each run; the subset's own for one."""
    return (abbr,) if runs == 1 else tuple(f"{abbr}_run{i + 1}" for i in range(runs))
