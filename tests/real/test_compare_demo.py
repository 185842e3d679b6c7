"""Base against adapter of the demo: found by their names, compared, read on a phone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ftbench.comparison import compare
from ftbench.comparison.words import verdict
from ftbench.schema import read_result
from ftbench.tracking.reading import read_folder
from tests.browser import Browser, find_chromium
from tests.real.conftest import Demo

pytestmark = [pytest.mark.opencompass, pytest.mark.slow]


@dataclass(frozen=True)
class Compared:
    """What the command printed and wrote."""

    printed: str
    page: Path
    value: dict[str, object]


@pytest.fixture(scope="module")
def compared(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    folder = tmp_path_factory.mktemp("compared")
    targets = ["--html", str(folder / "a.html"), "--json", str(folder / "a.json")]
    done = subprocess.run(
        [sys.executable, "-m", "ftbench.compare", demo.adapter.name, "base", *targets],
        env={**os.environ, "MLFLOW_TRACKING_URI": demo.tracking_uri, "COLUMNS": "80"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Compared(done.stdout, folder / "a.html", json.loads((folder / "a.json").read_text()))


def test_scores_and_differences_are_those_of_the_evaluations(
    demo: Demo, compared: Compared
) -> None:
    base, adapter = (read_result(demo.scores(n).summary) for n in ("base", "adapter"))
    runs = compared.value["runs"]
    assert isinstance(runs, list)
    assert [run["average"]["score"] for run in runs] == [adapter.average, base.average]
    assert base.average is not None and adapter.average is not None
    gain = adapter.average - base.average
    assert runs[0]["average"]["difference"]["value"] == gain
    assert runs[1]["average"]["difference"] is None
    assert compared.printed.startswith(f"better: {demo.adapter.name} over base: mmlu +")
    assert compared.value["not_averaged"] == {}


def test_independent_script_confirms_the_p_values(demo: Demo, compared: Compared) -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "check_p_values.py"
    folders = [str(demo.scores(name).root) for name in ("adapter", "base")]
    done = subprocess.run(
        [sys.executable, str(script), str(compared.page.with_suffix(".json")), *folders],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mmlu" in done.stdout and "gsm8k" in done.stdout


def test_comparison_is_an_artifact_of_the_adapters_run(demo: Demo, compared: Compared) -> None:
    from mlflow import MlflowClient

    runs = compared.value["runs"]
    assert isinstance(runs, list)
    client = MlflowClient(demo.tracking_uri)
    ours, base = (
        {item.path for item in client.list_artifacts(run["id"], "comparison")} for run in runs
    )
    assert ours == {f"comparison/vs-base.{ending}" for ending in ("html", "json", "md")}
    assert base == set()


def test_run_against_itself_is_no_evidence(demo: Demo) -> None:
    run_dir = demo.scores("adapter").root
    one = read_folder(run_dir)
    compared = compare([one, replace(one, key="again")], 0)
    text = verdict(compared)
    assert text.startswith("no evidence of a difference: ")
    assert text.endswith("; they are the same evaluation")


@pytest.mark.browser
@pytest.mark.skipif(
    find_chromium() is None and os.environ.get("CI") != "true",
    reason="there is no Chromium: apt-get install chromium",
)
def test_page_fits_a_phone(compared: Compared) -> None:
    with Browser(390, 844) as browser:
        browser.open(compared.page.as_uri(), "ftbench comparison")
        assert browser.run("document.documentElement.scrollWidth") == 390
        assert browser.run("document.querySelectorAll('svg').length") == 4
        shown = browser.text()
    assert str(compared.value["verdict"]) in shown
    assert "mmlu-stem" in shown
