"""Two processes that need the same base model at the same moment.

Each evaluates an adapter of its own; the base's evaluation does not end before the other process
has said that it waits for it.
"""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path

import pytest

from tests.test_command_line import Shell

ROOT = Path(__file__).parents[1]

SITECUSTOMIZE = """
import os, time
from pathlib import Path
import ftbench.run as run
from tests import run_fixtures

def wait_for(name):
    while not Path(os.environ["NOTES"], name).exists():
        time.sleep(0.05)

def program(plan):
    name = plan.model.adapter.name if plan.model.adapter else "base"
    print(f"launched {name}", flush=True)
    if name == "base":
        wait_for("other-waits")
    else:
        Path(os.environ["NOTES"], name).touch()
        # Neither has its scores before both ask for them.
        wait_for("one")
        wait_for("two")
    return run_fixtures.answer_twenty(plan)

run.make_runtime = lambda plan, host: run_fixtures.FakeRuntime([program])
"""

WAITING = "waiting: another process is at work on this evaluation"


class Watched:
    """A process, whose lines are looked at as they come."""

    def __init__(self, process: subprocess.Popen[str], notes: Path) -> None:
        self.process = process
        self.lines: list[str] = []
        self._notes = notes
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith(WAITING):
                (self._notes / "other-waits").touch()

    def end(self) -> int:
        try:
            code = self.process.wait(timeout=600)
        finally:
            self.process.kill()
        self._reader.join()
        return code

    @property
    def launched(self) -> list[str]:
        return [line.split()[1] for line in self.lines if line.startswith("launched ")]


@pytest.mark.slow
def test_of_two_processes_one_evaluates_their_base_and_the_other_reads_it(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    settings = ("datasets=[gsm8k]", "runtime=local", "runtime.num_gpus=0", "tracking=none")
    notes = tmp_path / "notes"
    notes.mkdir()
    variables = {"PYTHONPATH": f"{tmp_path}/site:{ROOT}", "NOTES": str(notes)}
    one, two = (
        Watched(shell.start(f"model.adapter=../{name}", *settings, **variables), notes)
        for name in ("one", "two")
    )
    assert (one.end(), two.end()) == (0, 0), (one.lines, two.lines)
    assert sorted([*one.launched, *two.launched]) == ["base", "one", "two"]
    reader = one if "base" not in one.launched else two
    (waited,) = [i for i, line in enumerate(reader.lines) if line.startswith(WAITING)]
    assert any(line.startswith("reusing ") for line in reader.lines[waited:])
    for process in (one, two):
        assert "  gsm8k: 25.0 -> 100.0, +75.0 [+" in "\n".join(process.lines)
    kept = [json.loads(path.read_text()) for path in shell.cwd.rglob("baseline.json")]
    assert len(kept) == 2
    assert kept[0]["run_dir"] == kept[1]["run_dir"]
