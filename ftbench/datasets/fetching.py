"""``fetch NAME...``: brings the data of datasets, so that they can be evaluated offline."""

from __future__ import annotations

import argparse

from ftbench.catalogue import load_catalogue
from ftbench.data.command import fetch_command
from ftbench.datasets.output import Commands
from ftbench.host import read_host


def add_commands(commands: Commands) -> None:
    """Adds ``fetch``."""
    parser = commands.add_parser("fetch", help="download the data of datasets, to evaluate offline")
    parser.add_argument("names", nargs="+", metavar="NAME", help="as in datasets=[NAME]")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    return fetch_command(options.names, load_catalogue(), read_host())
