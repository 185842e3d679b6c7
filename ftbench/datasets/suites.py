"""``suites``: the named lists of datasets in ``conf/suite``."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import yaml

from ftbench.datasets.output import Commands, add_json_option, print_json, print_lines
from ftbench.paths import conf_dir


@dataclass(frozen=True)
class Suite:
    """A named list of datasets.

    Attributes:
        about: The opening comment of its file.
    """

    name: str
    about: str
    datasets: tuple[str, ...]


def add_commands(commands: Commands) -> None:
    """Adds ``suites``."""
    parser = commands.add_parser("suites", help="named lists of datasets: suite=NAME")
    parser.set_defaults(run=_run)
    add_json_option(parser)


def read_suites(folder: Path | None = None) -> list[Suite]:
    """Every suite that is not empty, sorted by name.

    Args:
        folder: Of the suites' files; None for the shipped one.
    """
    found = []
    for path in sorted((folder or conf_dir() / "suite").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        comment = [line[1:].strip() for line in text.splitlines() if line.startswith("#")]
        names = tuple(map(str, yaml.safe_load(text).get("datasets", [])))
        if names:
            about = " ".join(comment).removeprefix(f"Select with suite={path.stem}: ")
            found.append(Suite(path.stem, about, names))
    return found


def _run(options: argparse.Namespace) -> int:
    suites = read_suites()
    if options.json:
        return print_json([vars(suite) for suite in suites])
    lines: list[str] = []
    for suite in suites:
        lines += [f"suite={suite.name}", f"  {suite.about}", f"  {', '.join(suite.datasets)}"]
    return print_lines(lines)
