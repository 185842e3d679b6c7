"""What a person sees in MLflow's pages, in a real browser before a real server."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from mlflow import MlflowClient

from ftbench.schema import read_result
from ftbench.tracking.contents import run_link
from ftbench.tracking.views import LEADERBOARD, TRAINING, view_path
from tests.browser import Browser, find_chromium, mlflow_server
from tests.real.conftest import Demo

pytestmark = [
    pytest.mark.browser,
    pytest.mark.mlflow_server,
    pytest.mark.opencompass,
    pytest.mark.slow,
    pytest.mark.skipif(
        find_chromium() is None and os.environ.get("CI") != "true",
        reason="there is no Chromium: apt-get install chromium",
    ),
]


@pytest.fixture(scope="module")
def url(demo: Demo) -> Iterator[str]:
    with mlflow_server(demo.tracking_uri) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def link(demo: Demo) -> dict[str, str]:
    """Addresses below the server's: of the training run and of its benchmark run."""
    trained = MlflowClient(demo.tracking_uri).get_run(demo.training_run_id)
    experiment_id, benchmark_id = trained.info.experiment_id, trained.data.tags
    return {
        "experiment": experiment_id,
        "training": run_link(experiment_id, demo.training_run_id),
        "benchmark": run_link(experiment_id, benchmark_id["ftbench.eval_run_id"]),
    }


def test_leaderboard_shows_base_and_adapter_with_their_scores(
    demo: Demo, url: str, browser: Browser, link: dict[str, str]
) -> None:
    browser.open(url + view_path(link["experiment"], LEADERBOARD), "bench/mmlu")
    shown = browser.text()
    for name in ("tiny-qwen2-lora · greedy", "tiny-qwen2 · greedy"):
        assert name in shown
    mmlu, gsm8k = read_result(demo.scores("adapter").summary).datasets
    # MLflow cuts long numbers: 99.56140350...
    assert f"{mmlu.score}"[:8] in shown
    assert f"{gsm8k.score}"[:8] in shown


def test_training_view_shows_the_loss_beside_the_scores(
    demo: Demo, url: str, browser: Browser, link: dict[str, str]
) -> None:
    browser.open(url + view_path(link["experiment"], TRAINING), "bench/mmlu")
    shown = browser.text()
    mmlu, _ = read_result(demo.scores("adapter").summary).datasets
    assert "train demo adapter" in shown
    assert "loss" in shown
    assert f"{mmlu.score}"[:8] in shown


def test_training_run_page_leads_to_its_benchmark_run(
    demo: Demo, url: str, browser: Browser, link: dict[str, str]
) -> None:
    browser.open(f"{url}/{link['training']}", "Benchmark: avg")
    mmlu, _ = read_result(demo.scores("adapter").summary).datasets
    assert f"mmlu {mmlu.score:.2f}" in browser.text()
    links = browser.run("[...document.links].map(link => link.getAttribute('href')).join(' ')")
    assert link["benchmark"] in links


def test_benchmark_run_page_leads_to_its_training_run(
    url: str, browser: Browser, link: dict[str, str]
) -> None:
    browser.open(f"{url}/{link['benchmark']}", "Training run:")
    links = browser.run("[...document.links].map(link => link.getAttribute('href')).join(' ')")
    assert link["training"] in links


def test_samples_open_as_a_table(url: str, browser: Browser, link: dict[str, str]) -> None:
    browser.open(f"{url}/{link['benchmark']}/artifacts/samples/gsm8k.json", "gsm8k/0")
    shown = browser.text()
    assert "verdict" in shown
    assert "How many" in shown
