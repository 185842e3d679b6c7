"""Saved views of MLflow's runs page; tests/real/test_example_page.py opens them in a browser."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from ftbench.tracking.names import loss_keys
from ftbench.tracking.view_state import MAX_TAG, view_of
from ftbench.tracking.views import Group, Known, charts_view, saved_views, view_path

GREEDY = Group("9aee0dd41c5e", "b4se", "tiny · greedy")
WARM = Group("0a2f17c1d0aa", "b4se-warm", "tiny · temperature 0.7")
KNOWN = Known(
    ("bench/mmlu", "bench/avg", "bench/arc"),
    ("subset/mmlu/a",),
    ("loss",),
    params=("setting", "adapter.r"),
    common_params=("adapter.r",),
    groups=(GREEDY,),
    has_scored_training=True,
)


def view(known: Known, key: str = "ftbench") -> Any:
    return view_of(saved_views(known, 5)[f"mlflow.sharedViewState.{key}"])


def test_saved_views_are_two_named_experiment_tags() -> None:
    views = saved_views(KNOWN, now_ms=5)

    assert {key: json.loads(value)["name"] for key, value in views.items()} == {
        "mlflow.sharedViewState.ftbench": "ftbench leaderboard",
        "mlflow.sharedViewState.ftbench-training": "ftbench training and scores",
    }
    assert json.loads(views["mlflow.sharedViewState.ftbench"])["updatedAt"] == 5


def test_leaderboard_shows_benchmark_runs_best_first() -> None:
    leaderboard = view(KNOWN)

    assert leaderboard["searchFilter"] == "tags.`ftbench.kind` = 'eval'"
    order = (leaderboard["orderByKey"], leaderboard["orderByAsc"])
    assert order == ("metrics.`bench/avg`", False)
    assert leaderboard["selectedColumns"] == [
        "metrics.`bench/avg`",
        "metrics.`bench/arc`",
        "metrics.`bench/mmlu`",
        "tags.`ftbench.vs_base`",
        "params.`setting`",
        "params.`adapter.r`",
        "tags.`ftbench.flagged`",
        "tags.`ftbench.status`",
    ]


def test_charts_are_scores_then_differences_then_params() -> None:
    charts = view(KNOWN)

    assert [(c["type"], c.get("metricKey")) for c in charts["compareRunCharts"]] == [
        ("BAR", "bench/avg"),
        ("BAR", "bench/arc"),
        ("BAR", "bench/mmlu"),
        ("DIFFERENCE", None),
        ("PARALLEL", None),
        ("BAR", "subset/mmlu/a"),
    ]
    difference, parallel = charts["compareRunCharts"][3:5]
    assert difference["baselineColumnUuid"] == "b4se"
    assert parallel["selectedParams"] == ["adapter.r"]
    assert parallel["selectedMetrics"] == ["bench/avg", "bench/arc", "bench/mmlu"]
    open_sections = [s["name"] for s in charts["compareRunSections"] if s["display"]]
    assert open_sections == ["Scores", "Against the base model", "Params and scores"]


def test_each_group_of_comparable_runs_has_its_own_base_model() -> None:
    known = replace(KNOWN, groups=(GREEDY, WARM))
    views = saved_views(known, 5)

    names = [json.loads(value)["name"] for value in views.values()]
    assert names[2:] == ["ftbench: tiny · greedy", "ftbench: tiny · temperature 0.7"]
    shown = {key: view_of(value) for key, value in views.items()}
    baselines = {
        key.removeprefix("mlflow.sharedViewState."): [
            chart["baselineColumnUuid"]
            for chart in own["compareRunCharts"]
            if chart["type"] == "DIFFERENCE"
        ]
        for key, own in shown.items()
    }
    assert baselines == {
        "ftbench": [],
        "ftbench-training": [],
        "ftbench-9aee0dd41c5e": ["b4se"],
        "ftbench-0a2f17c1d0aa": ["b4se-warm"],
    }
    assert view(known, "ftbench-0a2f17c1d0aa")["searchFilter"] == (
        "tags.`ftbench.kind` = 'eval' AND tags.`ftbench.comparable` = '0a2f17c1d0aa'"
    )


def test_charts_view_is_the_one_that_knows_the_runs_base() -> None:
    both = replace(KNOWN, groups=(GREEDY, WARM))
    assert charts_view(KNOWN, GREEDY.key) == "ftbench"
    assert charts_view(both, WARM.key) == "ftbench-0a2f17c1d0aa"
    assert charts_view(both, "of another experiment") == "ftbench"


def test_training_view_puts_the_loss_curve_beside_the_scores() -> None:
    training = view(KNOWN, "ftbench-training")

    assert training["searchFilter"] == "tags.`ftbench.kind` = 'train'"
    assert training["selectedColumns"][:2] == ["metrics.`loss`", "metrics.`bench/avg`"]
    curves = [c["metricKey"] for c in training["compareRunCharts"] if c["type"] == "LINE"]
    assert curves == ["loss", "bench/avg", "bench/arc", "bench/mmlu"]
    open_sections = [s["name"] for s in training["compareRunSections"] if s["display"]]
    assert open_sections == ["Training and scores"]


def test_training_view_shows_all_runs_where_none_has_scores() -> None:
    known = replace(KNOWN, has_scored_training=False)
    assert view(known, "ftbench-training")["searchFilter"] == ""


def test_every_chart_stands_in_a_section() -> None:
    for value in saved_views(replace(KNOWN, groups=(GREEDY, WARM)), 5).values():
        own = view_of(value)
        sections = {section["uuid"] for section in own["compareRunSections"]}
        assert {chart["metricSectionId"] for chart in own["compareRunCharts"]} <= sections
        assert len(sections) == len(own["compareRunSections"])


def test_sections_of_details_are_folded_away() -> None:
    sections = ("bench", "group/mmlu", "subset/mmlu", "validity/mmlu", "weighted")
    known = Known(
        ("bench/mmlu",), ("subset/mmlu/a",), group_keys=("group/mmlu/stem",), sections=sections
    )

    assert [(s["name"], s["display"]) for s in view(known)["compareRunSections"]] == [
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


def test_without_a_base_model_or_params_there_are_scores_alone() -> None:
    known = Known(KNOWN.headline_keys, groups=(replace(GREEDY, base_run_id=""),))
    assert {c["type"] for c in view(known)["compareRunCharts"]} == {"BAR"}


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
        assert len(view_of(value)["selectedColumns"]) <= 29


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
