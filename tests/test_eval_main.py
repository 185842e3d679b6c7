"""The program's ends that need no OpenCompass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ftbench.schema import RunFiles, read_result

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "docker" / "opencompass" / "eval_entrypoint.py"


def run(**variables: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(
        [sys.executable, PROGRAM], env=environ, capture_output=True, text=True, timeout=60
    )


def test_no_dataset_is_a_success(weird_tmp_path: Path) -> None:
    ran = run(BENCHMARK_DATASETS="", OUTPUT_PATH=str(weird_tmp_path), FINGERPRINT="abc")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "ftbench: no dataset was asked for; nothing to do\n"
    result = read_result(RunFiles(weird_tmp_path).result)
    assert (result.stage, result.fingerprint, result.datasets) == ("done", "abc", ())
    assert result.is_complete


def test_unusable_variables_are_all_named(tmp_path: Path) -> None:
    ran = run(BENCHMARK_DATASETS="mmlu", OUTPUT_PATH=str(tmp_path), BATCH_SIZE="0")
    assert ran.returncode == 2
    assert ran.stderr.splitlines() == [
        "ftbench: BASE_MODEL is not set",
        "ftbench: MODEL_ABBR is not set",
        "ftbench: BATCH_SIZE=0: must be at least 1",
    ]
    assert list(tmp_path.iterdir()) == []


def test_foreign_run_folder_is_left_alone(tmp_path: Path) -> None:
    RunFiles(tmp_path).progress.write_text("{}")
    ran = run(BENCHMARK_DATASETS="mmlu", BASE_MODEL="m", MODEL_ABBR="m", OUTPUT_PATH=str(tmp_path))
    assert ran.returncode == 2
    assert "progress.json is not a result" in ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["progress.json"]
