"""A watcher whose evaluations are real commands, and whose base model cannot be evaluated."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ftbench.schema import RunFiles, read_result
from ftbench.workspace import run_dirs
from tests.test_command_line import ROOT, Shell

SITECUSTOMIZE = """
import os
import ftbench.run as run
from tests import run_fixtures

def program(plan):
    name = plan.model.adapter.name if plan.model.adapter else "base"
    with open(os.environ["LAUNCHES"], "a") as launches:
        launches.write(name + "\\n")
    if name == "base" and "BASE_FAILS" in os.environ:
        return run_fixtures.CRASH
    return run_fixtures.answer_twenty(plan)

run.make_runtime = lambda plan, host: run_fixtures.FakeRuntime([program])
"""

WATCH = "import sys; from ftbench.watch.__main__ import main; sys.exit(main(sys.argv[1:]))"


class Watched:
    """A folder with two checkpoints of one base model."""

    def __init__(self, folder: Path) -> None:
        self.shell = Shell(folder)
        self._launches = folder / "launches"
        (folder / "site").mkdir()
        (folder / "site" / "sitecustomize.py").write_text(SITECUSTOMIZE)
        for step, name in ((1, "one"), (2, "two")):
            shutil.copytree(folder / name, self.shell.cwd / "out" / f"checkpoint-{step}")

    def follow(self, *arguments: str, **variables: str) -> tuple[int, str]:
        settings = ("datasets=[gsm8k]", "runtime=local", "runtime.num_gpus=0", "tracking=none")
        words = ("out", "--once", "--settle", "0", "--retries", "0", *settings, *arguments)
        site = f"{self.shell.folder}/site:{ROOT}"
        own = {"PYTHONPATH": site, "LAUNCHES": str(self._launches), **variables}
        code, out, err = self.shell.run(*words, code=WATCH, **own)
        assert err == "", err
        return code, out

    def launched(self) -> list[str]:
        """What was launched since the last call."""
        names = self._launches.read_text().split() if self._launches.exists() else []
        self._launches.unlink(missing_ok=True)
        return names


@pytest.mark.slow
def test_scores_stand_and_only_the_base_is_tried_again(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    code, out = watched.follow(BASE_FAILS="1")
    assert code == 102, out
    assert watched.launched() == ["checkpoint-1", "base", "checkpoint-2", "base"]
    assert out.count("failed with exit code 5") == 2
    assert out.count("no difference: its evaluation failed: ended with exit code 1") == 2
    folders = [run for run in watched.shell.cwd.glob("ftbench_workspace/*") if "-ft-" in run.name]
    results = [read_result(RunFiles(run).summary) for f in folders for run in run_dirs(f)]
    assert [result.is_complete for result in results] == [True, True]

    code, out = watched.follow("--retry-failed")
    assert code == 0, out
    assert watched.launched() == ["base"]
    assert out.count("  gsm8k: 25.0 -> 100.0, +75.0 [+") == 2

    assert watched.follow()[0] == 0
    assert watched.launched() == []
