"""Base against adapter of the demo: found by their names, compared, read on a phone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ftbench.schema import read_result
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
    assert [run["average"]["difference"] for run in runs] == [{"value": gain}, None]
    assert compared.printed.splitlines()[0] == (
        f"best: {demo.adapter.name}, avg {adapter.average:.2f}, {gain:+.2f} over base"
    )
    assert compared.value["not_averaged"] == {}


@pytest.mark.browser
@pytest.mark.skipif(
    find_chromium() is None and os.environ.get("CI") != "true",
    reason="there is no Chromium: apt-get install chromium",
)
def test_page_fits_a_phone(compared: Compared) -> None:
    with Browser(390, 844) as browser:
        browser.open(compared.page.as_uri(), "ftbench comparison")
        assert browser.run("document.documentElement.scrollWidth") == 390
        assert browser.run("document.querySelectorAll('svg').length") == 2
        shown = browser.text()
    assert str(compared.value["verdict"]) in shown
    assert "mmlu-stem" in shown
