"""An environment for ``runtime.environment`` whose interpreter is a stand-in for the evaluation.

The launcher, the local runtime and the process are real; only OpenCompass is not there. The program
scores everything at once, and writes down which GPUs it was given, and when.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]

_PROGRAM = """\
#!{python}
import os, signal, sys, time
if "-c" in sys.argv:
    print("0.5.4 2.0.0" if "opencompass" in sys.argv[-1] else "3.11.7")
    sys.exit()
sys.path[:0] = [{root!r}]
from pathlib import Path
from ftbench.plan import read_plan
from tests.run_fixtures import finish
plan = read_plan(Path(os.environ["OUTPUT_PATH"]))
limit = plan.datasets[0].options.limit

def note(what):
    with open({notes!r}, "a") as file:
        gpus = os.environ["CUDA_VISIBLE_DEVICES"]
        file.write(f"{{what}} {{limit}} {{gpus}} {{time.monotonic()}}\\n")

def once(name):
    path = Path({notes!r} + name)
    return not path.exists() and not path.write_text("")

def wait_for(path):
    while not Path(path).exists():
        time.sleep(0.05)

note("start")
time.sleep({seconds})
{body}
note("end")
finish(plan)
"""


def make_stand_in(folder: Path, body: str = "", seconds: float = 0.5) -> Path:
    """Makes the environment.

    Args:
        folder: Its folder, which is created.
        body: Python code before the end: ``limit`` tells one evaluation from another,
            ``once(name)`` is true the first time, ``wait_for(path)`` waits for a file.
        seconds: How long it works.
    """
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    notes = str(folder / "notes")
    python.write_text(
        _PROGRAM.format(
            python=sys.executable, root=str(ROOT), notes=notes, body=body, seconds=seconds
        )
    )
    python.chmod(0o755)
    return folder


def periods(folder: Path) -> list[tuple[int, str, float, float]]:
    """Limit, GPUs, start and end of everything that a stand-in finished."""
    starts: dict[tuple[str, str], list[float]] = defaultdict(list)
    ends: list[tuple[int, str, float, float]] = []
    for line in (folder / "notes").read_text().splitlines():
        what, limit, gpus, moment = line.split(" ")
        if what == "start":
            starts[limit, gpus].append(float(moment))
        else:
            ends.append((int(limit), gpus, starts[limit, gpus].pop(), float(moment)))
    return ends
