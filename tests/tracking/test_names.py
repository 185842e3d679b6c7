"""Names that MLflow accepts."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftbench.plan import TrackingPlan
from ftbench.tracking.names import (
    cut,
    data_digest,
    eval_key,
    file_stem,
    logged_model_name,
    metric_key,
    model_label,
    run_name,
    setting_label,
    sqlite_path,
)
from tests.tracking_fixtures import dataset, gsm8k, plan_of, result_of, subset


@pytest.mark.parametrize(
    ("segments", "key"),
    [
        (("bench", "mmlu"), "bench/mmlu"),
        (("metric", "humaneval", "pass@1"), "metric/humaneval/pass_at_1"),
        (("bench", "a/b"), "bench/a_b"),
        (("bench", ".."), "bench/_"),
        (("bench", ""), "bench/_"),
        (("bench", "100% (all), +x=1"), "bench/100_ _all__ _x_1"),
        (("bench", "数学"), "bench/数学"),
    ],
)
def test_metric_key_replaces_what_mlflow_forbids(segments: tuple[str, ...], key: str) -> None:
    assert metric_key(*segments) == key


@given(st.lists(st.text(min_size=0, max_size=120), min_size=1, max_size=4))
def test_metric_key_is_always_legal(segments: list[str]) -> None:
    from mlflow.utils.validation import _validate_metric

    _validate_metric(metric_key(*segments), 1.0, 1, 0)


def test_metric_key_keeps_long_names_apart() -> None:
    one, two = metric_key("subset", "x" * 300 + "1"), metric_key("subset", "x" * 300 + "2")

    assert one != two
    assert len(one) == len(two) == 250


def test_file_stem_is_one_plain_name() -> None:
    assert file_stem("../we ird/数.json") == "_we_ird__.json"
    assert file_stem("...") == "_"


def test_cut_shows_that_it_cut() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde…"


@pytest.mark.parametrize(
    ("adapter", "label"),
    [
        ("/runs/qwen-sft", "qwen-sft"),
        ("/runs/qwen-sft/checkpoint-500", "qwen-sft/checkpoint-500"),
        ("/runs/qwen-sft/_ftbench/kept/checkpoint-500", "qwen-sft/checkpoint-500"),
        ("/runs/qwen-sft/adapter", "qwen-sft/adapter"),
        (None, "tiny/base-model"),
    ],
)
def test_model_label_says_which_model(tmp_path: Path, adapter: str | None, label: str) -> None:
    path = Path(adapter) if adapter else None

    assert model_label(plan_of(tmp_path, TrackingPlan("none"), result_of(), path)) == label


@pytest.mark.parametrize(
    ("parameters", "label"),
    [
        ({}, "greedy"),
        ({"limit": "None", "backend.custom_prompt": "None"}, "greedy"),
        ({"backend.name": "vllm", "backend.temperature": "0.70"}, "vllm, temperature 0.7"),
        ({"limit": "8", "backend.custom_prompt": "Be brief."}, "greedy, first 8, custom prompt"),
        (
            {
                "test_range": "[2:]",
                "num_shots": "0",
                "num_runs": "4",
                "per_dataset.mmlu.limit": "2",
            },
            "greedy, rows [2:], 0 shots, 4 runs, options by dataset",
        ),
        ({"split": "test", "per_dataset.mmlu.limit": "None"}, "greedy, test half"),
    ],
)
def test_setting_label_names_what_is_not_usual(
    tmp_path: Path, parameters: dict[str, str], label: str
) -> None:
    plan = plan_of(tmp_path, TrackingPlan("none"), result_of())

    assert setting_label(replace(plan, parameters=parameters)) == label


def test_run_and_model_names(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, TrackingPlan("none"), result_of(), Path("/r/v1.5/final"))

    assert run_name(plan) == "v1.5/final · greedy, first 8"
    assert logged_model_name(plan) == "v1-5-final · greedy, first 8"


def test_eval_key_follows_the_run_folder_and_not_its_place(tmp_path: Path) -> None:
    plan = plan_of(tmp_path / "a", TrackingPlan("none"), result_of())
    moved = plan_of(tmp_path / "b", TrackingPlan("none"), result_of())
    again = plan_of(tmp_path / "a", TrackingPlan("none"), result_of(), stamp="20260922_000000")

    assert eval_key(plan) == "f0f0f0f0f0f0f0f0-20260921_143320" == eval_key(moved)
    assert eval_key(again) == "f0f0f0f0f0f0f0f0-20260922_000000"


def test_data_digest_of_one_subset_is_its_own_hash() -> None:
    assert data_digest(gsm8k()) == b"gsm8k".hex().ljust(16, "0")


def test_data_digest_of_many_depends_on_all_and_not_on_their_order() -> None:
    one = replace(subset("lukaemon_mmlu_a", "a", 1.0, 8), data_hash="11" * 8)
    two = replace(subset("lukaemon_mmlu_b", "b", 1.0, 8), data_hash="22" * 8)
    lines = b"lukaemon_mmlu_a 1111111111111111\nlukaemon_mmlu_b 2222222222222222"

    digest = data_digest(dataset("mmlu", (one, two)))

    assert digest == hashlib.sha256(lines).hexdigest()[:16]
    assert data_digest(dataset("mmlu", (two, one))) == digest
    assert data_digest(dataset("mmlu", (one, replace(two, data_hash="")))) != digest


def test_data_digest_is_none_when_nothing_is_known() -> None:
    unknown = replace(subset("gsm8k", "gsm8k", None, 8), data_hash="")

    assert data_digest(dataset("gsm8k", (unknown,))) is None
    assert data_digest(dataset("gsm8k", ())) is None


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("sqlite:////a/b.db", Path("/a/b.db")),
        ("sqlite:////a/b.db?timeout=3", Path("/a/b.db")),
        ("http://host:5000", None),
        ("postgresql://host/db", None),
    ],
)
def test_sqlite_path(uri: str, path: Path | None) -> None:
    assert sqlite_path(uri) == path
