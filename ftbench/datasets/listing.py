"""``list`` and ``search``: a line for each name."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from ftbench.catalogue import load_catalogue
from ftbench.datasets.finding import Hit, find_names
from ftbench.datasets.output import (
    Commands,
    add_json_option,
    aligned,
    fail,
    print_json,
    print_lines,
)
from ftbench.datasets.words import summary

_SHOWN_CATEGORIES = 2


def add_commands(commands: Commands) -> None:
    """Adds ``list`` and ``search``."""
    everything = commands.add_parser("list", help="every name, a line each")
    everything.set_defaults(run=_list)
    add_json_option(everything)
    search = commands.add_parser("search", help="names that have to do with a word")
    search.add_argument("word", help="such as math, chinese, code, judge, or part of a subset: law")
    search.set_defaults(run=_search)
    add_json_option(search)


def _list(options: argparse.Namespace) -> int:
    catalogue = load_catalogue()
    hits = [Hit(name, catalogue.resolve_all(name)) for name in catalogue.names()]
    return _print(hits, options.json)


def _search(options: argparse.Namespace) -> int:
    hits = find_names(load_catalogue(), options.word)
    if not hits:
        cure = ["python -m ftbench.datasets list"]
        return fail(f"no dataset has to do with '{options.word}'", cure)
    return _print(hits, options.json)


def _print(hits: list[Hit], as_json: bool) -> int:
    return print_json(list(map(json_of, hits))) if as_json else print_lines(lines_of(hits))


def lines_of(hits: Iterable[Hit]) -> list[str]:
    """One line per name: subsets, how the model is asked, shots, data, what it is about, needs."""
    return aligned([_columns(hit) for hit in hits])


def _columns(hit: Hit) -> list[str]:
    subsets, mode, shots, data, needs = summary(hit.presets)
    categories = dict.fromkeys(word for preset in hit.presets for word in preset.categories)
    languages = dict.fromkeys(word for preset in hit.presets for word in preset.languages)
    about = [*list(categories)[:_SHOWN_CATEGORIES], *languages]
    notes = [needs, f"has {hit.where}" if hit.where else ""]
    last = "; ".join(filter(None, notes))
    return [hit.name, subsets.rjust(11), mode, shots, data, ", ".join(about), last]


def json_of(hit: Hit) -> dict[str, Any]:
    """What ``--json`` prints for a name."""
    first = hit.presets[0]
    return {
        "name": hit.name,
        "presets": [preset.path for preset in hit.presets],
        "display_names": list(dict.fromkeys(preset.display_name for preset in hit.presets)),
        "num_subsets": sum(len(preset.subsets) for preset in hit.presets),
        "modes": list(dict.fromkeys(preset.mode for preset in hit.presets)),
        "categories": list(first.categories),
        "languages": list(first.languages),
        "shots": first.shots,
        "needs": list(dict.fromkeys(need for preset in hit.presets for need in preset.needs)),
        "sources": list(dict.fromkeys(s.kind for preset in hit.presets for s in preset.sources)),
        "found_in": hit.where,
    }
