"""Says what a family is about: its display name, categories and paper.

From OpenCompass's dataset index (``dataset_index.tsv``, which its wheel lacks); for the families
that stand in no index, from their names and from what their presets need.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftbench.preset import CODE, normalise

_BY_NAME = {
    "Math": re.compile(r"(?i)math|gsm8k"),
    "Code": re.compile(r"(?i)code|human_?eval"),
    "Examination": re.compile(r"(?i)exam|gaokao|kaoshi"),
    "Instruction Following": re.compile(r"(?i)ifeval|multiif"),
    "Safety": re.compile(r"(?i)safety|fake_alignment"),
}


@dataclass(frozen=True)
class Indexed:
    """One row of the index; ``presets`` are files or folders."""

    key: str
    name: str
    categories: tuple[str, ...]
    paper: str
    presets: tuple[str, ...]


def read_index() -> list[Indexed]:
    """Every row of the index, in its order."""
    text = Path(__file__).with_name("dataset_index.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    return [
        Indexed(key, name, _categories(category), paper, tuple(presets.split()))
        for key, name, category, paper, presets in rows
    ]


def _categories(text: str) -> tuple[str, ...]:
    # Written "Knowledge / Finance" and "Science /Physics".
    return tuple(word.strip() for word in text.split("/") if word.strip())


def about(
    family: str, defaults: Sequence[str], needs: Iterable[str], index: Sequence[Indexed]
) -> dict[str, Any]:
    """The catalogue's entry of a family, without empty values.

    Args:
        family: Its folder.
        defaults: Paths of its default presets.
        needs: Of all its presets.
        index: From ``read_index``.
    """
    own = [row for row in index if any(p.split("/")[0] == family for p in row.presets)]
    row = _row_of(family, defaults, own)
    categories = dict.fromkeys(category for row in own for category in row.categories)
    if not categories:
        categories = dict.fromkeys(c for c, words in _BY_NAME.items() if words.search(family))
        categories |= {"Code": None} if CODE in needs else {}
    entry = {
        "name": row.name if row else "",
        "categories": list(categories),
        "paper": row.paper if row else "",
    }
    return {key: value for key, value in entry.items() if value}


def _row_of(family: str, defaults: Sequence[str], own: Sequence[Indexed]) -> Indexed | None:
    """The row that is about the whole family, of those about anything in its folder."""
    by_key = [row for row in own if normalise(row.key) == normalise(family)]
    by_preset = [row for row in own if {family, *defaults} & set(row.presets)]
    found = by_key or by_preset or (own if len(own) == 1 else [])
    return found[0] if found else None


def drop_shared_names(families: dict[str, dict[str, Any]]) -> None:
    """Leaves a display name to the family that is called so: the index says OpenBookQA of piqa too.

    Side effects: takes the name of the others away, who are then shown by their folder.
    """
    bearers: dict[str, list[str]] = {}
    for family, entry in families.items():
        bearers.setdefault(entry.get("name", ""), []).append(family)
    for name, same in bearers.items():
        for family in same if len(same) > 1 else []:
            if normalise(name) != normalise(family):
                families[family].pop("name", None)


def about_presets(
    families: dict[str, Any], paths: Iterable[str], index: Sequence[Indexed]
) -> dict[str, dict[str, str]]:
    """What the index says of single presets where it is not what it says of their family.

    Args:
        families: Entries of ``about`` by family.
        paths: Of every preset.
        index: From ``read_index``.

    Returns:
        Preset path to ``name`` and ``paper``, such as MATH500's in the folder ``math``.
    """
    found: dict[str, dict[str, str]] = {}
    for path in paths:
        family, _, file = path.partition("/")
        of_family = families.get(family, {})
        own = [row for row in index if any(p.split("/")[0] == family for p in row.presets)]
        others = [row for row in own if row.name != of_family.get("name")]
        if len(own) > 1:
            for row in others:
                if path in row.presets or _is_called(file, row.key):
                    said = {"name": row.name, "paper": row.paper}
                    found[path] = {key: value for key, value in said.items() if value}
    return found


def _is_called(file: str, key: str) -> bool:
    """Whether a preset's file name begins with a key: ``math_500_gen.py`` with ``math500``."""
    return normalise(file.rpartition("/")[2].removesuffix(".py")).startswith(normalise(key))
