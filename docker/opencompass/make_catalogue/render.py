"""Writes the catalogue: an entry a line, long lists once, so that a diff of it can be read."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

from ftbench.preset import common_start, expand

_LEAST_SHARED = 4
"""Subsets from which on a repeated list is written once and referred to."""

_LEAST_PRODUCT = 4
"""Names from which on numbers are folded: ``Length{1000|2000}Depth{0|50}``."""


def share_lists(entries: dict[str, dict[str, Any]]) -> None:
    """Folds subset lists, and replaces repeated ones by the path of the first preset with them.

    Side effects: changes ``entries``.
    """
    first: dict[tuple[str, ...], str] = {}
    for path, entry in entries.items():
        if "subsets" not in entry:
            continue
        names = tuple(entry["subsets"])
        if names in first and len(names) >= _LEAST_SHARED:
            entry["subsets"] = first[names]
        else:
            first.setdefault(names, path)
            entry["subsets"] = fold(list(names))


def fold(names: list[str]) -> list[str]:
    """Patterns that ``ftbench.preset.expand`` turns back into exactly these names."""
    patterns: list[str] = []
    for _, group in itertools.groupby(names, key=lambda name: re.split(r"[-_\d]", name)[0]):
        patterns += _fold_group(list(group))
    if expand(patterns) != names:
        raise ValueError(f"names that cannot be folded: {names[:3]}")
    return patterns


def _fold_group(names: list[str]) -> list[str]:
    patterns: list[str] = []
    while names:
        count, pattern = _leading_product(names)
        if count < _LEAST_PRODUCT:
            return patterns + _fold_affixes(names)
        patterns.append(pattern)
        names = names[count:]
    return patterns


def _leading_product(names: list[str]) -> tuple[int, str]:
    """The most leading names that are all combinations of some numbers, and their pattern."""
    parts = [re.split(r"(\d+)", name) for name in names]
    alike = itertools.takewhile(lambda part: part[::2] == parts[0][::2], parts)
    columns: list[dict[str, None]] = [{} for _ in parts[0]]
    best = (1, names[0])
    for count, part in enumerate(alike, 1):
        for column, value in zip(columns, part, strict=True):
            column[value] = None
        size = 1
        for column in columns:
            size *= len(column)
        if size == count:
            pattern = "".join(_choice(list(column)) for column in columns)
            if expand([pattern]) == names[:count]:
                best = (count, pattern)
    return best


def _fold_affixes(names: list[str]) -> list[str]:
    if len(names) < 2:
        return names
    head = common_start(names)
    rests = [name[len(head) :] for name in names]
    tail = common_start([rest[::-1] for rest in rests])[::-1]
    return [head + _choice([rest.removesuffix(tail) for rest in rests]) + tail]


def _choice(values: list[str]) -> str:
    return values[0] if len(values) == 1 else "{" + "|".join(values) + "}"


def render(version: str, parts: dict[str, dict[str, Any]]) -> str:
    """The text of ``catalogue.json``.

    Args:
        version: OpenCompass's.
        parts: Tables by name, as ``ftbench.catalogue.load_catalogue`` reads them.
    """
    blocks = [f'"opencompass": {json.dumps(version)}']
    for name, table in parts.items():
        lines = [f"{_json(key)}: {_json(value)}" for key, value in table.items()]
        blocks.append(f'"{name}": {{\n' + ",\n".join(lines) + "\n}")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
