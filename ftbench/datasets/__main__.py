"""Finds datasets: their names, what stands behind them, what they need, and suites of them.

Reads the catalogue and looks whether data is on this machine; starts no evaluation.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ftbench.datasets import fetching, listing, show, suites

COMMANDS = (listing, show, fetching, suites)
"""Each adds its command lines, whose ``run`` returns the exit status."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line.

    Returns:
        0; 2 when a name or word stands for nothing.
    """
    parser = argparse.ArgumentParser(prog="python -m ftbench.datasets", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in COMMANDS:
        command.add_commands(commands)
    options = parser.parse_args(arguments)
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())
