"""MLflow's pages on example data, in a real browser before a real server: no evaluation runs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from ftbench.tracking.contents import run_link
from ftbench.tracking.views import LEADERBOARD, TRAINING, group_view, view_path
from tests.browser import Browser, find_chromium, mlflow_server
from tests.example_page import ADAPTERS, BASE, EXPERIMENT, fill

pytestmark = [
    pytest.mark.browser,
    pytest.mark.mlflow_server,
    pytest.mark.slow,
    pytest.mark.skipif(
        find_chromium() is None and os.environ.get("CI") != "true",
        reason="there is no Chromium: apt-get install chromium",
    ),
]

WAIT_S = 180
TUNED = f"{ADAPTERS[-1].folder} · greedy"


@dataclass(frozen=True)
class Example:
    """The example's experiment behind a server."""

    url: str
    experiment_id: str
    runs: dict[str, Run]

    def page(self, name: str, tail: str = "") -> str:
        return f"{self.url}/{run_link(self.experiment_id, self.runs[name].info.run_id)}{tail}"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    folder = tmp_path_factory.mktemp("example")
    # Two checkpoints of one training run and their base, in both settings.
    uri = fill(folder, adapters=ADAPTERS[-2:], rows=1)
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    with mlflow_server(uri) as url:
        yield Example(url, experiment.experiment_id, runs)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser(2000, 1600) as browser:
        yield browser


def test_leaderboard_shows_scores_params_and_differences(
    example: Example, browser: Browser
) -> None:
    run = example.runs[TUNED]
    browser.open(example.url + view_path(example.experiment_id, LEADERBOARD), "bench/mmlu", WAIT_S)
    shown = browser.text()
    for name in (TUNED, f"{BASE} · greedy", "bench/avg", "setting", "ftbench.vs_base"):
        assert name in shown
    # MLflow cuts long numbers.
    assert f"{run.data.metrics['bench/avg']}"[:6] in shown
    assert run.data.tags["ftbench.vs_base"][:8] in shown
    assert "coverage/mmlu" not in shown


def test_charts_show_the_difference_against_the_base(example: Example, browser: Browser) -> None:
    run, base = example.runs[TUNED], example.runs[f"{BASE} · greedy"]
    key = group_view(run.data.tags["ftbench.comparable"])
    page = view_path(example.experiment_id, key, "CHART")
    browser.open(example.url + page, "Against the base model", WAIT_S)
    gain = run.data.metrics["bench/gsm8k"] - base.data.metrics["bench/gsm8k"]
    browser.wait_for(f"{gain:+.2f}", WAIT_S)
    shown = browser.text()
    assert f"{base.data.metrics['bench/gsm8k']:.2f}" in shown
    assert "temperature 0.7" not in shown.split("Runs", 1)[1].split("Search metric charts")[0]


def test_loss_and_scores_are_curves_of_the_training_run(example: Example, browser: Browser) -> None:
    page = view_path(example.experiment_id, TRAINING, "CHART")
    browser.open(example.url + page, "Training and scores", WAIT_S)
    browser.wait_for("(bench/avg)", WAIT_S)
    assert f"train {ADAPTERS[-1].run} (loss)" in browser.text()


def test_run_page_starts_with_scores_and_differences(example: Example, browser: Browser) -> None:
    browser.open(example.page(TUNED), "Against", WAIT_S)
    shown = browser.text()
    assert f"avg {example.runs[TUNED].data.metrics['bench/avg']:.2f}" in shown
    assert example.runs[TUNED].data.tags["ftbench.vs_base"] in shown


def test_models_tab_ranks_by_dataset(example: Example, browser: Browser) -> None:
    page = f"/#/experiments/{example.experiment_id}/models?workflowType=machine_learning"
    browser.open(example.url + page, "bench/gsm8k", WAIT_S)
    shown = browser.text()
    for name in (TUNED, f"{BASE} · greedy"):
        assert f"{example.runs[name].data.metrics['bench/gsm8k']}"[:8] in shown


def test_pictures_are_shown(example: Example, browser: Browser) -> None:
    browser.open(example.page(TUNED, "/artifacts/plots/scores.svg"), "plots/scores.svg", WAIT_S)
    # An image of no width was not drawn.
    widths = "Math.max(0, ...[...document.images].map(image => image.naturalWidth))"
    assert wait_until(browser, f"{widths} > 300")


def test_samples_can_be_filtered_to_what_is_wrong(
    example: Example, browser: Browser, tmp_path: Path
) -> None:
    run = example.runs[TUNED]
    browser.open(example.page(TUNED, "/artifacts/samples.html"), "samples.html", WAIT_S)
    assert wait_until(browser, "document.querySelector('iframe') !== null")
    # The frame is another origin's to this page, so the file itself is opened for the clicks.
    path = MlflowClient(example.url).download_artifacts(
        run.info.run_id, "samples.html", str(tmp_path)
    )
    browser.open(Path(path).as_uri(), "Samples of", WAIT_S)
    counts = browser.run("[...document.querySelectorAll('#verdicts button')].map(b => b.innerText)")
    total, wrong = (int(label.split()[-1]) for label in counts[:2])
    assert 0 < wrong < total == 57 + 4 * 25

    browser.run("document.getElementById('verdict-wrong').click()")
    assert browser.run("document.getElementById('count').innerText") == f"{wrong} of {total}"
    assert browser.run("document.querySelectorAll('#list .right').length") == 0

    browser.run(
        "const s = document.getElementById('subset'); s.value = 'gsm8k';"
        "s.dispatchEvent(new Event('change'))"
    )
    ids = browser.run("[...document.querySelectorAll('#list .id')].map(e => e.textContent)")
    assert ids
    assert all(name.startswith("gsm8k/") for name in ids)

    browser.run("document.querySelector('#list summary').click()")
    browser.wait_for("How many has she now?", 30)


def wait_until(browser: Browser, script: str, timeout_s: float = 60.0) -> bool:
    """Waits until JavaScript says true; says whether it did."""
    deadline = time.monotonic() + timeout_s
    while not browser.run(script):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.3)
    return True
