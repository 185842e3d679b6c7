"""Command line: writes the catalogue, or compares it with the one that is shipped."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import logging
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Nothing may come from this machine: loaders ask the hub and OpenCompass's data folder otherwise.
os.environ.update(HF_HUB_OFFLINE="0", COMPASS_DATA_CACHE="", DATASET_SOURCE="Local")

from opencompass.utils.datasets_info import DATASETS_URL

from ftbench.catalogue import Catalogue
from make_catalogue import names, presets, render
from make_catalogue.describe import Describer

_SHOWN_LINES = 40


def make_catalogue() -> str:
    """The text of the catalogue of the installed OpenCompass."""
    entries = scan()
    render.share_lists(entries)
    release = version("opencompass")
    defaults = names.default_presets(Catalogue(release, {}, {}, {}, entries))
    downloads = {key: [at["url"], at["md5"]] for key, at in sorted(DATASETS_URL.items())}
    return render.render(release, defaults, names.aliases(defaults), downloads, entries)


def scan() -> dict[str, dict[str, Any]]:
    """The entry of every preset by its path, with plain subset lists."""
    describer = Describer()
    entries: dict[str, dict[str, Any]] = {}
    first: dict[str, str] = {}
    for path in presets.preset_paths():
        loaded = presets.load(path)
        entry = describer.describe(loaded)
        if loaded.datasets:
            entry |= _same_as(path, loaded.content, first)
        entries[path] = entry
    return entries


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
