"""Command line: writes the catalogue, or compares it with the one that is shipped."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import logging
import os
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Nothing may come from this machine: loaders ask the hub and OpenCompass's data folder otherwise.
os.environ.update(HF_HUB_OFFLINE="0", COMPASS_DATA_CACHE="", DATASET_SOURCE="Local")

from opencompass.utils.datasets_info import DATASETS_URL

from ftbench.catalogue import Catalogue
from make_catalogue import about, groups, names, presets, prompts, render
from make_catalogue.describe import Describer

_SHOWN_LINES = 40


def make_catalogue() -> str:
    """The text of the catalogue of the installed OpenCompass."""
    entries, languages = scan()
    grouped = add_groups(entries)
    render.share_lists(entries)
    release = version("opencompass")
    index = about.read_index()
    bare = Catalogue(release, {}, {}, {}, entries, groups=grouped)
    defaults = names.default_presets(bare, index)
    parts = {
        "families": {f: paths[0] if len(paths) == 1 else "" for f, paths in defaults.items()},
        "parts": {f: paths for f, paths in defaults.items() if len(paths) > 1},
        "aliases": names.aliases(defaults),
        "about": describe_families(defaults, entries, languages, index),
        "groups": grouped,
        "downloads": {key: [at["url"], at["md5"]] for key, at in sorted(DATASETS_URL.items())},
        "presets": entries,
    }
    return render.render(release, parts)


def scan() -> tuple[dict[str, dict[str, Any]], dict[str, set[str]]]:
    """Loads every preset.

    Returns:
        The entry of each by its path, with plain subset lists; the languages of each family.
    """
    describer = Describer()
    entries: dict[str, dict[str, Any]] = {}
    languages: dict[str, set[str]] = {}
    first: dict[str, str] = {}
    for path in presets.preset_paths():
        loaded = presets.load(path)
        entry = describer.describe(loaded)
        if loaded.datasets:
            entry |= _same_as(path, loaded.content, first)
            found = prompts.languages([path, *entry["subsets"]], loaded.plain)
            languages.setdefault(path.split("/")[0], set()).update(found)
        entries[path] = entry
    return entries, languages


def add_groups(entries: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Names the groups of each preset in its entry.

    Returns:
        The groups that some preset has, by their keys.

    Side effects: changes ``entries``, whose subset lists are still plain.
    """
    known = groups.load_groups()
    used: list[groups.SummaryGroup] = []
    for path, entry in entries.items():
        found = groups.groups_of(path.split("/")[0], entry.get("subsets", []), known)
        if found:
            entry["groups"] = [group.key for group in found]
            used += found
    return groups.entries(used)


def describe_families(
    defaults: dict[str, tuple[str, ...]],
    entries: dict[str, dict[str, Any]],
    languages: dict[str, set[str]],
    index: Sequence[about.Indexed],
) -> dict[str, dict[str, Any]]:
    """What is said of all presets of a family, by its folder.

    Side effects: adds to ``entries`` what the index says of one preset only.
    """
    described = {}
    for family, paths in defaults.items():
        own = [entry for path, entry in entries.items() if path.startswith(f"{family}/")]
        needs = {need for entry in own for need in entry.get("needs", [])}
        described[family] = about.about(family, paths, needs, index)
        if languages.get(family):
            described[family]["languages"] = sorted(languages[family])
    about.drop_shared_names(described)
    for path, said in about.about_presets(described, entries, index).items():
        entries[path] |= said
    return described


def _same_as(path: str, content: str, first: dict[str, str]) -> dict[str, str]:
    # Only inside a folder: prompts that happen to be equal elsewhere are another dataset's.
    key = f"{path.split('/')[0]}/{content}"
    earlier = first.setdefault(key, path)
    return {} if earlier == path else {"same_as": Path(earlier).stem}


def main() -> int:
    """Runs the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/catalogue", description=__doc__)
    parser.add_argument("file", type=Path, help="the catalogue file")
    parser.add_argument("--check", action="store_true", help="compare only; 1 where they differ")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    start = time.monotonic()
    with contextlib.redirect_stdout(sys.stderr):
        made = make_catalogue()
    print(f"scanned in {time.monotonic() - start:.0f} s", file=sys.stderr)
    if not arguments.check:
        arguments.file.write_text(made, encoding="utf-8")
        return 0
    shipped = arguments.file.read_text(encoding="utf-8")
    changes = list(
        difflib.unified_diff(shipped.splitlines(), made.splitlines(), "shipped", "made", n=0)
    )
    for change in changes[:_SHOWN_LINES]:
        print(change[:400])
    return 1 if changes else 0


if __name__ == "__main__":
    sys.exit(main())
