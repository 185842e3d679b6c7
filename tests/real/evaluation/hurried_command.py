"""ftbench's command, whose clock goes ahead by an hour when a file appears.

    python hurried_command.py FILE OPTION...

A time limit is then over at a known point of the evaluation, on any machine, and nobody waits.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from ftbench.run import main

HOUR_S = 3600.0

if __name__ == "__main__":
    sign, clock = Path(sys.argv.pop(1)), time.monotonic
    time.monotonic = lambda: clock() + HOUR_S * sign.exists()
    sys.exit(main())
