"""Finds datasets: ``python -m ftbench.datasets list``, ``search WORD`` or ``show NAME``.

Reads the catalogue and looks whether the data is on this machine; ``fetch NAME...`` brings it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence

from ftbench.catalogue import (
    Catalogue,
    DataSource,
    Preset,
    UnknownDataset,
    is_usable,
    load_catalogue,
    normalise,
)
from ftbench.data import is_here, place_of
from ftbench.data.command import fetch_command
from ftbench.errors import EXIT_CONFIG, EXIT_OK
from ftbench.host import Host, read_host

_KINDS = {
    "download": "downloaded on first use",
    "hub": "downloaded from the Hugging Face hub on first use",
    "local": "to be brought by hand",
    "bundled": "comes with OpenCompass",
}

_NEEDS = {
    "judge": "a judge model",
    "judge_optional": "a judge model where its rules fail (without one: scored by its rules alone)",
    "code": "runs programs that the model writes",
    "eval": "calls eval on the model's answers",
    "network": "speaks to a server while it runs",
}

_SHOWN_SUBSETS = 12


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line.

    Returns:
        0; 2 when a name or word stands for nothing.
    """
    parser = argparse.ArgumentParser(prog="python -m ftbench.datasets", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="every name, a line each")
    search = commands.add_parser("search", help="names that have to do with a word")
    search.add_argument("word", help="part of a name, a preset or a subset, such as law")
    show = commands.add_parser("show", help="presets, subsets, data and needs of one dataset")
    show.add_argument("name", help="as in datasets=[NAME]")
    fetch = commands.add_parser("fetch", help="download the data of datasets, to evaluate offline")
    fetch.add_argument("names", nargs="+", metavar="NAME", help="as in datasets=[NAME]")
    options = parser.parse_args(arguments)
    catalogue = load_catalogue()
    if options.command == "fetch":
        return fetch_command(options.names, catalogue, read_host())
    if options.command == "list":
        return _print_lines(listing(catalogue, catalogue.names()))
    if options.command == "search":
        found = search_names(catalogue, options.word)
        if not found:
            return _fail(
                f"no dataset has to do with '{options.word}'", ["python -m ftbench.datasets list"]
            )
        return _print_lines(listing(catalogue, found))
    try:
        presets = catalogue.resolve_all(options.name)
    except UnknownDataset as exc:
        return _fail(f"{exc.name}: {exc}", exc.suggestions)
    host = read_host()
    for preset in presets:
        _print_lines(description(catalogue, preset, host))
    return EXIT_OK


def listing(catalogue: Catalogue, names: Iterable[str]) -> list[str]:
    """One line per name: its subsets, how the model is asked, where the data comes from, needs."""
    return [_line(name, catalogue.resolve_all(name)) for name in names]


def search_names(catalogue: Catalogue, word: str) -> list[str]:
    """Names with the word in them, in one of their presets or in one of their subsets.

    Args:
        catalogue: Where to look.
        word: Case and punctuation do not matter.
    """
    wanted = normalise(word)
    return [name for name in catalogue.names() if wanted in _searched(catalogue, name)]


def description(catalogue: Catalogue, preset: Preset, host: Host) -> list[str]:
    """Everything about a preset, and the others of its family."""
    more = len(preset.subsets) - _SHOWN_SUBSETS
    subsets = ", ".join(preset.subsets[:_SHOWN_SUBSETS]) + (f" and {more} more" if more > 0 else "")
    others = [p for p in catalogue.presets(preset.family) if is_usable(p) and p.path != preset.path]
    lines = [
        preset.family,
        f"  preset:    {preset.path} ({preset.mode})",
        f"  subsets:   {len(preset.subsets)}: {subsets}",
        f"  scored by: {', '.join(preset.evaluators) or 'nothing of its own'}",
    ]
    lines += [f"  data:      {_where(source, host)}" for source in preset.sources]
    lines += [f"  needs:     {_need(need)}" for need in preset.needs]
    if others:
        lines += ["  other presets, each a name by itself:"]
        lines += [f"    {p.name} ({_summary(p)})" for p in others]
    return lines


def _line(name: str, presets: Sequence[Preset]) -> str:
    if len(presets) > 1:
        return f"{name:<28} {', '.join(preset.family for preset in presets)}"
    return f"{name:<28} {_summary(presets[0])}"


def _summary(preset: Preset) -> str:
    count = "1 subset" if len(preset.subsets) == 1 else f"{len(preset.subsets)} subsets"
    kinds = dict.fromkeys(source.kind for source in preset.sources)
    words = [count, preset.mode, "+".join(kinds), *preset.needs]
    return ", ".join(word for word in words if word)


def _searched(catalogue: Catalogue, name: str) -> str:
    families = {preset.family for preset in catalogue.resolve_all(name)}
    presets = [preset for family in families for preset in catalogue.presets(family)]
    texts = [name, *families, *(p.name for p in presets)]
    texts += [subset for preset in presets for subset in preset.subsets]
    return "\n".join(map(normalise, texts))


def _where(source: DataSource, host: Host) -> str:
    if source.kind == "bundled":
        return f"{source.path}, {_KINDS[source.kind]}"
    place = place_of(source, host.data_dir, host.hub_dir)
    here = is_here(source, host.data_dir, host.hub_dir)
    state = "is here" if here else f"is not here; {_KINDS[source.kind]}"
    return f"{place} {state}"


def _need(need: str) -> str:
    package = need.removeprefix("package:")
    return _NEEDS.get(need, f"the package {package}, which the evaluation environment lacks")


def _print_lines(lines: Iterable[str]) -> int:
    for line in lines:
        print(line)
    return EXIT_OK


def _fail(happened: str, suggestions: Sequence[str]) -> int:
    print(happened, file=sys.stderr)
    if suggestions:
        print(f"  try: {', '.join(suggestions)}", file=sys.stderr)
    return EXIT_CONFIG


if __name__ == "__main__":
    sys.exit(main())
