"""Saved views of MLflow's runs page; tests/real/test_mlflow_pages.py opens them in a browser."""

from __future__ import annotations

import json

from ftbench.tracking.views import (
    MAX_TAG,
    Known,
    loss_keys,
    saved_views,
    view_of,
    view_path,
)

KNOWN = Known(("bench/mmlu", "bench/avg", "bench/arc"), ("subset/mmlu/a",), ("loss",), "b4se")


def test_saved_views_are_two_named_experiment_tags() -> None:
    views = saved_views(KNOWN, now_ms=5)

    assert {key: json.loads(value)["name"] for key, value in views.items()} == {
        "mlflow.sharedViewState.ftbench": "ftbench leaderboard",
        "mlflow.sharedViewState.ftbench-training": "ftbench training and scores",
    }
    assert json.loads(views["mlflow.sharedViewState.ftbench"])["updatedAt"] == 5


def test_leaderboard_shows_benchmark_runs_best_first() -> None:
    view = view_of(saved_views(KNOWN, 5)["mlflow.sharedViewState.ftbench"])

    assert view["searchFilter"] == "tags.`ftbench.kind` = 'eval'"
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`bench/avg`", False)
    assert view["selectedColumns"] == [
        "metrics.`bench/avg`",
        "metrics.`bench/arc`",
        "metrics.`bench/mmlu`",
        "tags.`ftbench.status`",
        "tags.`ftbench.flagged`",
    ]
    assert [c["metricKey"] for c in view["compareRunCharts"] if c["type"] == "BAR"] == [
        "bench/avg",
        "bench/arc",
        "bench/mmlu",
        "subset/mmlu/a",
    ]


def test_training_view_puts_the_loss_beside_the_scores() -> None:
    view = view_of(saved_views(KNOWN, 5)["mlflow.sharedViewState.ftbench-training"])

    assert view["searchFilter"] == ""
    assert view["selectedColumns"][:2] == ["metrics.`loss`", "metrics.`bench/avg`"]
    first, *_ = view["compareRunCharts"]
    assert (first["type"], first["metricKey"]) == ("LINE", "loss")
    open_sections = [s["name"] for s in view["compareRunSections"] if s["display"]]
    assert open_sections == ["Training and scores", "Against the base model"]


def test_every_chart_stands_in_a_section() -> None:
    for value in saved_views(KNOWN, 5).values():
        view = view_of(value)
        sections = {section["uuid"] for section in view["compareRunSections"]}
        assert {chart["metricSectionId"] for chart in view["compareRunCharts"]} <= sections
        assert len(sections) == len(view["compareRunSections"])


def test_sections_of_details_are_folded_away() -> None:
    sections = ("bench", "group/mmlu", "subset/mmlu", "validity/mmlu", "weighted")
    known = Known(("bench/mmlu",), ("subset/mmlu/a",), (), "", ("group/mmlu/stem",), sections)
    view = view_of(saved_views(known, 5)["mlflow.sharedViewState.ftbench"])

    assert [(s["name"], s["display"]) for s in view["compareRunSections"]] == [
        ("Scores", True),
        ("group/mmlu", False),
        ("subset/mmlu", False),
        ("bench", False),
        ("weighted", False),
        ("coverage", False),
        ("seconds", False),
        ("validity/mmlu", False),
        ("Model metrics", False),
        ("System metrics", False),
    ]


def test_differences_are_there_only_with_a_base_model() -> None:
    without = Known(KNOWN.headline_keys)
    charts = [
        [c for c in view_of(value)["compareRunCharts"] if c["type"] == "DIFFERENCE"]
        for known in (KNOWN, without)
        for value in saved_views(known, 5).values()
    ]

    assert [[c["baselineColumnUuid"] for c in found] for found in charts] == [
        ["b4se"],
        ["b4se"],
        [],
        [],
    ]


def test_the_same_runs_give_the_same_view() -> None:
    first, second = saved_views(KNOWN, 5), saved_views(KNOWN, 6)

    assert {k: view_of(v) for k, v in first.items()} == {k: view_of(v) for k, v in second.items()}


def test_a_view_always_fits_into_its_tag() -> None:
    names = [f"{n:04d}".encode().hex() * 6 for n in range(400)]
    many = Known(
        tuple(f"bench/{name}" for name in names), tuple(f"subset/{n}/{n[::-1]}" for n in names)
    )

    for value in saved_views(many, 5).values():
        assert len(value) <= MAX_TAG
        assert len(view_of(value)["selectedColumns"]) <= 27


def test_view_of_something_else_is_none() -> None:
    assert view_of("not ours") is None
    assert view_of('{"state": "deflate;AAAA"}') is None


def test_loss_keys_start_with_the_training_loss() -> None:
    keys = ["eval/loss", "grad_norm", "zz_loss", "train_loss", "loss", "system/loss"]

    assert loss_keys(keys) == ("loss", "train_loss", "eval/loss", "zz_loss")


def test_view_path_opens_the_right_page() -> None:
    assert view_path("7", "ftbench", "CHART") == (
        "/#/experiments/7/runs?viewStateShareKey=ftbench"
        "&workflowType=machine_learning&compareRunsMode=CHART"
    )
