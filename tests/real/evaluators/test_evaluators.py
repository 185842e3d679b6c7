"""Verdicts on single samples are those of a reader, for OpenCompass's real evaluators."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ftbench_eval.extract import Scored, read_scored

from tests.real.evaluators.cases import Case, read_cases

ROOT = Path(__file__).parents[3]
CAPTURES = ROOT / "tests" / "eval_captures"

pytestmark = pytest.mark.opencompass


@pytest.fixture(scope="module")
def folder(eval_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All cases scored, in one process."""
    folder = tmp_path_factory.mktemp("evaluators")
    here = Path(__file__).parent
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": os.pathsep.join(map(str, [ROOT, ROOT / "docker" / "opencompass", here])),
        "COMPASS_DATA_CACHE": str(folder),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    subprocess.run(
        [eval_python, here / "run_evaluators.py", folder],
        env=environ,
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=900,
    )
    return folder


def read(folder: Path, case: Case) -> Scored:
    def content(kind: str) -> Any:
        return json.loads((folder / kind / "m" / f"{case.name}.json").read_text())

    return read_scored(case.name, content("results"), content("predictions"), 1, case.kind)


def test_every_case_has_a_result(folder: Path) -> None:
    assert json.loads((folder / "failures.json").read_text()) == {}


@pytest.mark.parametrize("case", read_cases(), ids=lambda case: case.name)
def test_verdicts(folder: Path, case: Case) -> None:
    scored = read(folder, case)
    verdicts = [s.correct for s in scored.samples]
    assert verdicts == (case.correct or [None] * case.count), scored.unknown_why
    assert [bool(s.unknown_why) for s in scored.samples] == [case.correct is None] * case.count
    assert [s.prediction for s in scored.samples] == [str(p) for p in case.predictions]
    if case.extracted is not None:
        assert [s.extracted for s in scored.samples] == case.extracted


def test_captures_are_what_opencompass_writes(folder: Path) -> None:
    """Those of ``tests/eval_captures``; copy them from such a folder when OpenCompass changes."""
    names = [c.name for c in read_cases() if (CAPTURES / f"{c.name}.results.json").is_file()]
    for name in names:
        for kind in ("results", "predictions"):
            captured = json.loads((CAPTURES / f"{name}.{kind}.json").read_text())
            assert json.loads((folder / kind / "m" / f"{name}.json").read_text()) == captured, name
