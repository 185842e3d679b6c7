"""The command line of a comparison, on run folders: no tracker is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from ftbench.compare import main
from ftbench.plan import TrackingPlan
from tests.tracking_fixtures import gsm8k, make_adapter, make_run_folder, mmlu, result_of


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Workspaces of a base model and of an adapter of it: gsm8k 25 and 75, mmlu equal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    for name, score in (("plain", 25.0), ("tuned", 75.0)):
        result = replace(result_of(mmlu(), gsm8k(score)), fingerprint=name)
        adapter = make_adapter(tmp_path / "poems") if name == "tuned" else None
        make_run_folder(tmp_path / name, TrackingPlan("none"), result, adapter)
    return ["plain", "tuned"]


def test_verdict_and_table_are_printed(
    folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(folders) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("better: poems over base: gsm8k +50.00 [")
    (row,) = [line.split() for line in lines if line.split()[:1] == ["gsm8k"]]
    assert row[:4] == ["gsm8k", "25.00", "75.00", "+50.00"]
    assert row[-1] == "better"


def test_files_are_written_beside_what_is_printed(
    folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    targets = ["--markdown", "a.md", "--html", "a.html", "--json", "a.json"]
    assert main([*folders, *targets]) == 0
    assert Path("a.md").read_text().startswith("**better: poems over base: gsm8k +50.00 ")
    assert Path("a.html").read_text().startswith("<!DOCTYPE html>")
    value = json.loads(Path("a.json").read_text())
    assert value["verdict"].startswith("better: poems over base: gsm8k +50.00 [")
    assert "wrote a.html" in capsys.readouterr().err


def test_json_to_standard_output_is_nothing_but_json(
    folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*folders, "--baseline", "tuned", "--json", "-"]) == 0
    value = json.loads(capsys.readouterr().out)
    folder = Path("tuned/benchmark_results/20260921_143320").absolute()
    named = {run["id"]: run["run_dir"] for run in value["runs"]}
    assert (value["baseline"], named["poems"]) == ("poems", str(folder))
    assert value["runs"][0]["average"]["difference"]["value"] == -25.0


def test_wrong_outputs_are_all_said_before_anything_is_read(
    folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = ["--json", "-", "--markdown", "-", "--html", "missing/a.html"]
    assert main(["no such run", *wrong]) == 2
    shown = capsys.readouterr().err
    assert "2 problems" in shown
    assert "only one of them can go to standard output" in shown
    assert "--html missing/a.html: its folder is not there" in shown


def test_missing_database_is_an_error_of_the_tracker(
    folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["somebody"]) == 6
    shown = capsys.readouterr().err
    assert f"there is no database {Path('mlflow.db').absolute()}" in shown
    assert not Path("mlflow.db").exists()


def test_password_of_the_tracker_is_shown_nowhere(
    folders: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the command sets for MLflow's client is taken back after the test.
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
    uri = "http://user:plantedSecret@127.0.0.1:9"
    assert main([*folders, "--tracking-uri", uri, "--json", "-"]) == 0
    assert main(["somebody", "--tracking-uri", uri]) == 6
    shown = capsys.readouterr()
    assert "plantedSecret" not in shown.out + shown.err
    assert "nothing answers there" in shown.err


def test_folders_are_compared_without_importing_anything_heavy(
    folders: list[str], tmp_path: Path
) -> None:
    code = (
        "import sys; from ftbench.compare import main; code = main(sys.argv[1:]);"
        "heavy = {'mlflow', 'matplotlib', 'hydra', 'torch', 'docker'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *folders, "--markdown", str(tmp_path / "compare.md")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr


def test_what_is_no_file_is_written_to_and_not_replaced(folders: list[str], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(pipe.read_text)
        assert main([*folders, "--markdown", str(pipe)]) == 0
        assert "mmlu" in reading.result(60)
    assert pipe.is_fifo()
