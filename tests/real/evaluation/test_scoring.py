"""Scoring processes are apart: from secrets and GPUs, from each other, and from the run."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.real.evaluation.conftest import PROGRAM, ROOT, Program

# Stand-ins for benchmarks that run what a model wrote.
EVALUATORS = """
import json, os, subprocess, time
from opencompass.openicl.icl_evaluator import BaseEvaluator

class Crashes(BaseEvaluator):
    def score(self, predictions, references):
        os.abort()

class Raises(BaseEvaluator):
    def score(self, predictions, references):
        raise ZeroDivisionError("no samples")

class Hangs(BaseEvaluator):
    def score(self, predictions, references):
        child = subprocess.Popen(["sleep", "600"])
        print("child", child.pid, flush=True)
        time.sleep(600)

class Looks(BaseEvaluator):
    def score(self, predictions, references):
        seen = {"environ": dict(os.environ), "cwd": os.getcwd()}
        print("seen", json.dumps(seen), flush=True)
        subprocess.Popen(["sleep", "600"])
        return {"accuracy": 100.0}
"""

DRIVER = """
import json, os, sys, threading
from pathlib import Path
from ftbench_eval.fork_server import start_fork_server
from ftbench_eval.scoring import Scorer

def main():
    scratch, predictions = Path(sys.argv[1]), sys.argv[2]
    os.environ["HF_TOKEN"] = "hf_plantedSecretToken123"
    start_fork_server(os.environ)
    from mmengine.config import ConfigDict
    reasons = {}
    scorer = Scorer(scratch, 4, 10.0, lambda abbr, reason: reasons.update({abbr: reason}))
    for name in ("Crashes", "Raises", "Hangs", "Looks"):
        dataset = dict(
            abbr=name, type="opencompass.datasets.RaceDataset", path="opencompass/race",
            name="high",
            reader_cfg=dict(input_columns=["article"], output_column="answer",
                            train_split="validation", test_split="test"),
            eval_cfg=dict(evaluator=dict(type="evaluators." + name)))
        scorer.submit(name, dict(
            models=[dict(abbr="m")], datasets=[[ConfigDict(dataset)]], work_dir=predictions,
            eval=dict(runner=dict(task=dict(dump_details=True)))))
    scorer.wait()
    for name, reason in sorted(reasons.items()):
        print(name, "-" if reason is None else f"{reason.kind}: {reason.message}")
    print("token", os.environ["HF_TOKEN"], "left", sorted(p.name for p in scratch.iterdir()))

if __name__ == "__main__":
    main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scoring")


@pytest.fixture(scope="module")
def printed(folder: Path, program: Program) -> list[str]:
    """What a driver says that scores four subsets at once."""
    (folder / "evaluators.py").write_text(EVALUATORS)
    (folder / "driver.py").write_text(DRIVER)
    predictions = {str(i): {"prediction": "B", "gold": "B"} for i in range(5)}
    for name in ("Crashes", "Raises", "Hangs", "Looks"):
        path = folder / "work" / "predictions" / "m" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(predictions))
    (folder / "scratch").mkdir()
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(PROGRAM.parent)]),
        "COMPASS_DATA_CACHE": str(program.data),
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "0,1",
    }
    ran = subprocess.run(
        [program.python, folder / "driver.py", folder / "scratch", folder / "work"],
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=900,
    )
    return [line for line in ran.stdout.splitlines() if line.split()[:1]]


def of(printed: list[str], *words: str) -> list[str]:
    """Lines that begin with one of these words."""
    return [line for line in printed if line.split()[0] in words]


def test_each_failure_is_its_own(printed: list[str]) -> None:
    assert of(printed, "Crashes", "Raises", "Hangs", "Looks", "token") == [
        "Crashes scoring: the scoring process was killed by SIGABRT",
        "Hangs scoring_timeout: scoring took longer than 10 s",
        "Looks -",
        "Raises scoring: ZeroDivisionError: no samples",
        "token hf_plantedSecretToken123 left []",
    ]


def test_scoring_sees_neither_secret_nor_gpu(printed: list[str], folder: Path) -> None:
    (line,) = of(printed, "seen")
    seen = json.loads(line.removeprefix("seen "))
    assert "HF_TOKEN" not in seen["environ"]
    assert seen["environ"]["CUDA_VISIBLE_DEVICES"] == ""
    assert Path(seen["cwd"]).parent == folder / "scratch"


def test_nothing_outlives_its_scoring_process(printed: list[str]) -> None:
    (line,) = of(printed, "child")
    child = int(line.split()[1])
    deadline = time.monotonic() + 60
    while is_alive(child):
        assert time.monotonic() < deadline, f"{child} is still there"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
