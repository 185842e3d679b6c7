"""Suites: each composes, and everything in it can be scored with what can be downloaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftbench.catalogue import load_catalogue
from ftbench.compose import compose_config
from ftbench.config import dataset_names
from ftbench.datasets.__main__ import main
from ftbench.datasets.suites import Suite, read_suites
from ftbench.errors import EXIT_OK
from ftbench.preset import DOWNLOAD, HUB, JUDGE, JUDGE_OPTIONAL, SERVICE

CATALOGUE = load_catalogue()

SUITES = {suite.name: suite for suite in read_suites()}


def test_the_suites_that_people_ask_for_are_there() -> None:
    assert sorted(SUITES) == [
        "chinese",
        "code",
        "core",
        "instruction",
        "knowledge",
        "math",
        "quick",
        "reasoning",
    ]


@pytest.mark.parametrize("name", SUITES)
def test_suite_composes_to_its_datasets(name: str) -> None:
    config = compose_config(["model.adapter=out", f"suite={name}"])
    assert dataset_names(config) == SUITES[name].datasets


def test_suite_and_datasets_are_combined() -> None:
    config = compose_config(["model.adapter=out", "suite=quick", "datasets=[arc,mmlu]"])
    assert dataset_names(config) == ("mmlu", "gsm8k", "arc")


@pytest.mark.parametrize("name", SUITES)
def test_suite_needs_no_judge_no_service_no_package_and_no_data_by_hand(name: str) -> None:
    for dataset in SUITES[name].datasets:
        for preset in CATALOGUE.resolve_all(dataset):
            assert {source.kind for source in preset.sources} <= {DOWNLOAD, HUB}, dataset
            assert not {JUDGE, JUDGE_OPTIONAL, SERVICE} & set(preset.needs), dataset
            assert not [need for need in preset.needs if need.startswith("package:")], dataset


@pytest.mark.parametrize("name", SUITES)
def test_suite_has_no_subset_twice(name: str) -> None:
    presets = [p for dataset in SUITES[name].datasets for p in CATALOGUE.resolve_all(dataset)]
    subsets = [subset for preset in presets for subset in preset.subsets]
    assert len(subsets) == len(set(subsets))


def test_read_suites_takes_the_opening_comment(tmp_path: Path) -> None:
    text = "# Select with suite=own: two of\n# ours.\nname: own\ndatasets: [mmlu, humaneval+]\n"
    (tmp_path / "own.yaml").write_text(text)
    (tmp_path / "none.yaml").write_text('# No suite.\nname: ""\ndatasets: []\n')
    assert read_suites(tmp_path) == [Suite("own", "two of ours.", ("mmlu", "humaneval+"))]


def test_suites_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["suites"]) == EXIT_OK
    assert "suite=quick\n" in (shown := capsys.readouterr().out)
    assert "\n  mmlu, gsm8k\n" in shown
    assert main(["suites", "--json"]) == EXIT_OK
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == sorted(SUITES)
