"""The command ``python -m ftbench.datasets fetch NAME...``."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from ftbench.catalogue import Catalogue, UnknownDataset
from ftbench.data.fetch import Access, Fetched, fetch
from ftbench.data.gather import gather
from ftbench.errors import EXIT_OK, ConfigError, DataError, FtbenchError, Problem
from ftbench.host import Host
from ftbench.preset import DataSource
from ftbench.printing import say

_EXIT_INTERRUPTED = 130


def fetch_command(names: Sequence[str], catalogue: Catalogue, host: Host) -> int:
    """Brings the data of datasets and prints what became of each.

    Args:
        names: As in ``datasets=[NAME]``.
        catalogue: Resolves them.
        host: Where the data goes: COMPASS_DATA_CACHE and the hub cache.

    Returns:
        0 when all of it is here; 2 for unknown names, then nothing is downloaded; 3 when something
        could not be brought.
    """
    console, errors = Console(), Console(stderr=True)
    wanted, unknown = _resolve(names, catalogue)
    if unknown:
        return _fail(errors, ConfigError(unknown))
    access = Access(host, gather(wanted, host.data_dir.resolve(), host), catalogue.downloads)
    try:
        fetched = fetch(wanted, access, console)
    except KeyboardInterrupt:
        say(errors, "interrupted; the same command goes on where it stopped")
        return _EXIT_INTERRUPTED
    for name in dict.fromkeys(names):
        for line in report(name, [item for item in fetched if item.dataset == name]):
            say(console, line)
    problems = [item.problem for item in fetched if item.problem]
    return _fail(errors, DataError(problems)) if problems else EXIT_OK


def report(name: str, fetched: Sequence[Fetched]) -> list[str]:
    """What became of one dataset, a line for each of its places.

    Args:
        name: The user's name of it.
        fetched: Its sources; none when the data comes with OpenCompass.
    """
    if not fetched:
        return [f"{name}: comes with OpenCompass"]
    lines = []
    for item in fetched:
        if item.problem:
            state = f"is not at {item.place}"
        elif item.source.kind == "bundled":
            state = "comes with OpenCompass"
        elif item.num_bytes:
            state = f"downloaded {item.num_bytes / 1e6:.1f} MB to {item.place}"
        else:
            state = f"{item.place} is here"
        lines.append(f"{name}: {state}")
    return lines


def _resolve(
    names: Sequence[str], catalogue: Catalogue
) -> tuple[list[tuple[str, DataSource]], list[Problem]]:
    wanted: list[tuple[str, DataSource]] = []
    unknown: list[Problem] = []
    for name in names:
        try:
            presets = catalogue.resolve_all(name)
        except UnknownDataset as exc:
            near = ", ".join(exc.suggestions)
            cure = f"one of: {near}" if near else "python -m ftbench.datasets list"
            unknown.append(Problem(f"dataset '{exc.name}'", str(exc), cure))
        else:
            wanted += [(name, source) for preset in presets for source in preset.sources]
    return wanted, unknown


def _fail(console: Console, error: FtbenchError) -> int:
    say(console, str(error))
    return error.exit_code
