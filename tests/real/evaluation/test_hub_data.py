"""Datasets of the hub load from its cache, with no network, through OpenCompass's own loaders."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.real.evaluation.conftest import PROGRAM, ROOT


@pytest.fixture(scope="module")
def rows(eval_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("hub")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(PROGRAM.parent)]),
    }
    loaded = subprocess.run(
        [eval_python, Path(__file__).with_name("load_hub_datasets.py"), folder],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
    return json.loads(loaded.stdout.splitlines()[-1])


def test_a_split_of_parquet_files(rows: Any) -> None:
    (row,) = rows["medmcqa"]
    assert row["question"] == "Which?\nA. a\nB. b\nC. c\nD. d"
    assert row["label"] == "B"


def test_a_configuration_that_the_card_names(rows: Any) -> None:
    (row,) = rows["truthfulqa"]
    assert row["question"] == "q"
    assert row["reference"]["answers"]["best_answer"] == "b"


def test_the_parquet_copy_stands_for_a_script_which_is_not_run(rows: Any) -> None:
    (cola,) = rows["GLUE_CoLA"]
    assert (cola["sentence"], cola["label"]) == ("validation", 1)
    (winograd,) = rows["winograd"]
    assert (winograd["prompt"], winograd["opt1"], winograd["opt2"]) == ("t", "x", "y")


def test_files_that_are_named(rows: Any) -> None:
    assert rows["data_files"] == [{"a": 1}, {"a": 2}]
    assert rows["data_files in a folder"] == [{"b": 3}]


def test_what_is_not_in_the_cache_is_still_refused(rows: Any) -> None:
    assert rows["absent"].startswith("Couldn't reach 'owner/absent' on the Hub")


def test_the_hubs_own_client_finds_the_same_snapshot(rows: Any) -> None:
    assert rows["snapshot"] == ["en", "test.jsonl"]
