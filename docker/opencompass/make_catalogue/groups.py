"""Reads OpenCompass's summary groups, and finds those that a preset has all members of.

Only plain and weighted means of subset scores are taken: a sum, a spread, a harmonic mean, or a
mean of a second metric is another number than a mean of the subsets' own scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import opencompass

from ftbench.preset import normalise
from make_catalogue.presets import load_config
from make_catalogue.render import fold

_ROOT = Path(opencompass.__file__).parent / "configs" / "summarizers" / "groups"

_LEAST_MEMBERS = 2

_MAIN_METRICS = ("score", "accuracy")
"""What a subset's own score is called (METRIC_WHITELIST in OpenCompass 0.5.4's summarizers)."""


@dataclass(frozen=True)
class SummaryGroup:
    """A group as OpenCompass defines it; ``weights`` is empty or has one per member."""

    file: str
    name: str
    members: tuple[str, ...]
    weights: tuple[float, ...]

    @property
    def key(self) -> str:
        """Unique name: some names, such as ``college``, stand in several files."""
        return f"{self.file}/{self.name}"


def load_groups() -> list[SummaryGroup]:
    """Every group of the installed OpenCompass that is a mean, in the order of the files."""
    found = {}
    for path in sorted(_ROOT.glob("*.py")):
        config = load_config(path)
        for variable in config:
            if variable.endswith("_summary_groups"):
                for group in _means(path.stem, config[variable]):
                    found.setdefault(group.key, group)
    return list(found.values())


def _means(file: str, listed: Iterable[dict[str, Any]]) -> Iterator[SummaryGroup]:
    for raw in listed:
        keys = set(raw)
        members = [_member(each) for each in raw.get("subsets", ())]
        is_mean = raw.get("metric", "naive_average") == "naive_average"
        if not is_mean or keys - {"name", "subsets", "weights", "metric"}:
            continue
        if len(members) < _LEAST_MEMBERS or not all(members):
            continue
        weights = raw.get("weights") or {}
        if set(weights) in (set(), set(members)):
            numbers = tuple(weights[member] for member in members) if weights else ()
            yield SummaryGroup(file, raw["name"], tuple(members), numbers)


def _member(listed: Any) -> str:
    """The abbr or group that a list names; empty where it wants another metric of it."""
    if isinstance(listed, str):
        return listed
    abbr, metric = listed
    return str(abbr) if metric in _MAIN_METRICS else ""


def groups_of(
    family: str, subsets: Sequence[str], known: Sequence[SummaryGroup]
) -> list[SummaryGroup]:
    """The groups of a preset, members before the groups that contain them.

    Args:
        family: Its folder; of groups with the same name the one in a file named so is taken.
        subsets: Abbrs of the preset.
        known: From ``load_groups``.
    """
    own = normalise(family)
    ordered = sorted(known, key=lambda group: not normalise(group.file).startswith(own))
    found: dict[str, SummaryGroup] = {}
    there = set(subsets)
    grew = len(subsets) >= _LEAST_MEMBERS
    while grew:
        fitting = [g for g in ordered if g.name not in there and there.issuperset(g.members)]
        for group in fitting:
            found.setdefault(group.name, group)
        there |= set(found)
        grew = bool(fitting)
    return list(found.values())


def entries(used: Iterable[SummaryGroup]) -> dict[str, dict[str, Any]]:
    """The catalogue's entries of groups by their keys; members that stand already by the key."""
    first: dict[tuple[str, ...], str] = {}
    made: dict[str, dict[str, Any]] = {}
    for group in dict.fromkeys(used):
        entry: dict[str, Any] = {"name": group.name, "members": first.get(group.members)}
        if entry["members"] is None:
            first[group.members] = group.key
            entry["members"] = fold(list(group.members))
        if group.weights:
            entry["weights"] = list(group.weights)
        made[group.key] = entry
    return made
