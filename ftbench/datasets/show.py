"""``show NAME``: everything about a dataset, and what to type for another preset of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ftbench.catalogue import Catalogue, UnknownDataset, load_catalogue
from ftbench.data import is_here, place_of
from ftbench.datasets.output import (
    Commands,
    add_json_option,
    aligned,
    fail_unknown,
    print_json,
    print_lines,
)
from ftbench.datasets.words import HOW_DATA_COMES, need_in_words, shots_in_words, summary
from ftbench.host import Host, read_host
from ftbench.preset import BUNDLED, JUDGE, LOCAL, DataSource, Preset, is_usable

_SHOWN_SUBSETS = 12

_SHOWN_GROUPS = 8

_LABEL_WIDTH = 11


@dataclass(frozen=True)
class Shown:
    """What is shown of a name.

    Attributes:
        presets: What it stands for.
        others: Further usable presets of the same families, by the text that chooses each.
        unusable: The presets of the same families that cannot be used.
    """

    name: str
    presets: tuple[Preset, ...]
    others: dict[str, Preset]
    unusable: tuple[Preset, ...]


def add_commands(commands: Commands) -> None:
    """Adds ``show``."""
    parser = commands.add_parser("show", help="presets, subsets, data and needs of a dataset")
    parser.add_argument("name", help="as in datasets=[NAME]")
    parser.set_defaults(run=_run)
    add_json_option(parser)


def _run(options: argparse.Namespace) -> int:
    try:
        shown = look_up(load_catalogue(), options.name)
    except UnknownDataset as exc:
        return fail_unknown(exc)
    host = read_host()
    return print_json(json_of(shown, host)) if options.json else print_lines(page(shown, host))


def look_up(catalogue: Catalogue, name: str) -> Shown:
    """Collects what is shown of a name.

    Raises:
        UnknownDataset: It stands for nothing.
    """
    presets = catalogue.resolve_all(name)
    chosen = {preset.path for preset in presets}
    families = dict.fromkeys(preset.family for preset in presets)
    known = [p for family in families for p in catalogue.presets(family) if p.path not in chosen]
    return Shown(
        name,
        presets,
        {shortest_name(catalogue, p): p for p in known if is_usable(p)},
        tuple(p for p in known if not is_usable(p)),
    )


def shortest_name(catalogue: Catalogue, preset: Preset) -> str:
    """The shortest text that stands for a preset in ``datasets=[...]``."""
    digest = preset.name.rpartition("_")[2]
    candidates = [
        preset.family,
        f"{preset.family}:{preset.mode}",
        f"{preset.family}:{JUDGE}",
        preset.name,
        f"{preset.family}@{digest}",
    ]
    for candidate in sorted(candidates, key=len):
        try:
            if [found.path for found in catalogue.resolve_all(candidate)] == [preset.path]:
                return candidate
        except UnknownDataset:
            continue
    return preset.path.removesuffix(".py")


def page(shown: Shown, host: Host) -> list[str]:
    """The lines of ``show``."""
    lines: list[str] = []
    for preset in shown.presets:
        lines += _about(preset, host)
    for need in dict.fromkeys(need for preset in shown.presets for need in preset.needs):
        lines.append(_labelled("needs", need_in_words(need)))
    lines.append(_labelled("run it", f"python -m ftbench.run ... 'datasets=[{shown.name}]'"))
    if shown.others:
        lines.append("  another preset of it is chosen by its name here, as in datasets=[NAME]:")
        rows = [[name, *summary([preset])] for name, preset in shown.others.items()]
        lines += [f"    {line}" for line in aligned(rows)]
    return lines + list(_unusable(shown.unusable))


def _about(preset: Preset, host: Host) -> Iterator[str]:
    about = ", ".join((*preset.categories, *preset.languages))
    yield f"{preset.display_name}{f' ({about})' if about else ''}{_paper(preset)}"
    shots = shots_in_words([preset])
    yield _labelled("preset", f"{preset.path} ({', '.join(filter(None, (preset.mode, shots)))})")
    yield _labelled("subsets", f"{len(preset.subsets)}: {_some(preset.subsets, _SHOWN_SUBSETS)}")
    groups = [f"{g.name} ({'weighted ' * bool(g.weights)}{len(g.members)})" for g in preset.groups]
    if groups:
        yield _labelled("means", _some(groups, _SHOWN_GROUPS))
    if preset.num_rows is not None:
        yield _labelled("rows", str(preset.num_rows))
    yield _labelled("scored by", ", ".join(preset.evaluators) or "nothing of its own")
    for source in preset.sources:
        yield _labelled("data", _where(preset, source, host))


def _paper(preset: Preset) -> str:
    return f" {preset.paper}" if preset.paper else ""


def _labelled(label: str, text: str) -> str:
    return f"  {label:<{_LABEL_WIDTH}}{text}"


def _some(items: Sequence[str], shown: int) -> str:
    more = len(items) - shown
    return ", ".join(items[:shown]) + (f" and {more} more" if more > 0 else "")


def _where(preset: Preset, source: DataSource, host: Host) -> str:
    if source.kind == BUNDLED:
        return HOW_DATA_COMES[BUNDLED]
    place = place_of(source, host.data_dir, host.hub_dir)
    if is_here(source, host.data_dir, host.hub_dir):
        return f"{place} is here ({_size(place)})"
    fetch = "" if source.kind == LOCAL else f": python -m ftbench.datasets fetch {preset.family}"
    return f"{place} is not here; {HOW_DATA_COMES[source.kind]}{fetch}"


def _size(place: Path) -> str:
    """How much disk a file or folder takes; a link counts once, where it leads inside."""
    files = [place] if place.is_file() else [p for p in place.rglob("*") if not p.is_symlink()]
    size = sum(file.stat().st_size for file in files if file.is_file())
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _unusable(presets: Sequence[Preset]) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for preset in presets:
        reasons.setdefault(preset.problem or "superseded", []).append(preset.name)
    for reason, names in reasons.items():
        count = "1 preset" if len(names) == 1 else f"{len(names)} presets"
        yield f"  cannot be used: {count} ({_some(names, 3)}): {reason}"


def json_of(shown: Shown, host: Host) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {
        "name": shown.name,
        "presets": [_json_of_preset(preset, host) for preset in shown.presets],
        "other_presets": {name: preset.path for name, preset in shown.others.items()},
        "unusable_presets": {preset.path: preset.problem for preset in shown.unusable},
    }


def _json_of_preset(preset: Preset, host: Host) -> dict[str, Any]:
    sources = []
    for source in preset.sources:
        place = place_of(source, host.data_dir, host.hub_dir)
        here = is_here(source, host.data_dir, host.hub_dir)
        where = "" if source.kind == BUNDLED else str(place)
        sources.append({**asdict(source), "place": where, "is_here": here})
    return {**asdict(preset), "sources": sources}
