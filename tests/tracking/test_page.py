"""What one recording after the other makes of an experiment's page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run

from ftbench import tracking
from ftbench.schema import DatasetResult
from ftbench.tracking.views import view_of
from tests.tracking.conftest import Store
from tests.tracking_fixtures import gsm8k, make_adapter, make_run_folder, mmlu, result_of


def record(
    store: Store,
    number: int,
    *datasets: DatasetResult,
    adapter: str = "",
    setting: dict[str, str] | None = None,
    base: str = "tiny/base-model",
    base_sha256: str = "ba" * 32,
    **tracking_plan: Any,
) -> Run:
    """Records the number-th evaluation and returns its run as it is then."""
    result = replace(
        result_of(*datasets),
        fingerprint=f"{number:02x}" * 32,
        started_at=1_790_000_000.0 + number,
        finished_at=1_790_000_001.0 + number,
    )
    path = make_adapter(store.folder / adapter) if adapter else None
    where = store.plan(**tracking_plan)
    made = make_run_folder(store.folder / f"ws{number}", where, result, path)
    parameters = {**made.plan.parameters, **(setting or {})}
    model = replace(made.plan.model, base=base)
    parts = {**made.plan.fingerprint_parts, "base": base_sha256}
    plan = replace(made.plan, parameters=parameters, model=model, fingerprint_parts=parts)
    recorded = tracking.record(plan, result)
    return store.client.get_run(recorded.run_id)


def again(store: Store, run: Run) -> Run:
    return store.client.get_run(run.info.run_id)


def picture(store: Store, run: Run, name: str) -> str:
    return Path(store.client.download_artifacts(run.info.run_id, name)).read_text()


def test_an_adapter_gets_its_difference_when_its_base_is_evaluated(store: Store) -> None:
    tuned = record(store, 1, mmlu(6), gsm8k(50.0), adapter="r16")
    assert "ftbench.vs_base" not in tuned.data.tags
    assert "base-model" not in picture(store, tuned, "plots/scores.svg")

    base = record(store, 2, mmlu(4), gsm8k(56.25))

    told = again(store, tuned)
    assert told.data.tags["ftbench.vs_base"] == "avg +9.4 · gsm8k -6.2 · mmlu +25.0"
    assert told.data.tags["ftbench.base_run_id"] == base.info.run_id
    note = told.data.tags["mlflow.note.content"]
    link = f"[tiny/base-model · greedy, first 8](#/experiments/1/runs/{base.info.run_id})"
    assert f"Against {link}: **avg +9.4 · gsm8k -6.2 · mmlu +25.0**" in note
    drawn = picture(store, told, "plots/scores.svg")
    assert "75.0  (+25.0)" in drawn or "79.2  (+25.0)" in drawn
    assert "ftbench.vs_base" not in base.data.tags


def test_an_adapter_after_its_base_has_its_difference_at_once(store: Store) -> None:
    record(store, 1, gsm8k(25.0))
    tuned = record(store, 2, gsm8k(50.0), adapter="r16")
    assert tuned.data.tags["ftbench.vs_base"] == "avg +25.0 · gsm8k +25.0"


def test_only_the_same_setting_base_and_questions_are_compared(store: Store) -> None:
    record(store, 1, gsm8k(25.0))
    record(store, 2, gsm8k(31.25), setting={"backend.temperature": "0.7"})
    record(store, 3, gsm8k(37.5), base="other/base")
    warm = record(store, 4, gsm8k(50.0), adapter="a", setting={"backend.temperature": "0.7"})
    other = record(store, 5, gsm8k(50.0), adapter="b", base="other/base")
    longer = record(store, 6, gsm8k(50.0), adapter="c", setting={"backend.max_out_len": "64"})

    assert warm.data.tags["ftbench.vs_base"] == "avg +18.8 · gsm8k +18.8"
    assert other.data.tags["ftbench.vs_base"] == "avg +12.5 · gsm8k +12.5"
    assert "ftbench.vs_base" not in longer.data.tags


@pytest.mark.parametrize(
    "setting",
    [
        {"model.max_seq_len": "512"},
        {"model.type": "base"},
        {"model.dtype": "float16"},
        {"judge.model": "grader"},
        {"per_dataset.gsm8k.num_runs": "4"},
        {"per_dataset.gsm8k.pass_k": "4"},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_what_was_asked_in_another_way_is_not_compared(
    store: Store, setting: dict[str, str]
) -> None:
    record(store, 1, gsm8k(25.0), setting=dict.fromkeys(setting, "2"))
    tuned = record(store, 2, gsm8k(50.0), adapter="r16", setting=setting)
    assert "ftbench.vs_base" not in tuned.data.tags


def test_other_weights_of_the_base_under_the_same_name_are_another_base(store: Store) -> None:
    record(store, 1, gsm8k(25.0), base_sha256="ba" * 32)
    same = record(store, 2, gsm8k(50.0), adapter="a", base_sha256="ba" * 32)
    other = record(store, 3, gsm8k(50.0), adapter="b", base_sha256="bb" * 32)
    assert same.data.tags["ftbench.vs_base"] == "avg +25.0 · gsm8k +25.0"
    assert "ftbench.vs_base" not in other.data.tags


@pytest.mark.parametrize("unknown", ["data_hash", "prompt_hash"])
def test_unknown_questions_are_not_compared(store: Store, unknown: str) -> None:
    def asked(score: float) -> DatasetResult:
        return replace(gsm8k(score), subsets=(replace(gsm8k(score).subsets[0], **{unknown: ""}),))

    record(store, 1, mmlu(4), asked(25.0))
    tuned = record(store, 2, mmlu(5), asked(50.0), adapter="r16")
    assert tuned.data.tags["ftbench.vs_base"] == "mmlu +12.5"


def test_other_questions_are_left_out_and_named(store: Store) -> None:
    questions = replace(gsm8k(25.0).subsets[0], data_hash="0" * 16)
    record(store, 1, mmlu(4), replace(gsm8k(25.0), subsets=(questions,)))
    tuned = record(store, 2, mmlu(5), gsm8k(50.0), adapter="r16")

    # Averages over different questions are not compared either.
    assert tuned.data.tags["ftbench.vs_base"] == "mmlu +12.5"
    assert "(not compared: gsm8k: other questions)" in (tuned.data.tags["mlflow.note.content"])


def test_a_partial_score_is_not_compared(store: Store) -> None:
    record(store, 1, mmlu(4), gsm8k(25.0))
    whole = mmlu(5)
    failed = replace(whole.subsets[0], status="failed", score=None, metrics={}, completed=0)
    partial = replace(
        whole, status="partial", subsets=(failed, *whole.subsets[1:]), subsets_done=56
    )
    tuned = record(store, 2, partial, gsm8k(50.0), adapter="r16")
    assert tuned.data.tags["ftbench.vs_base"] == "gsm8k +25.0"


def test_a_score_by_rules_alone_is_not_compared_with_a_judged_one(store: Store) -> None:
    judged, ruled = (
        replace(gsm8k(25.0), subsets=(replace(gsm8k(25.0).subsets[0], label=label),))
        for label in ("judged by grader", "rule-only")
    )
    record(store, 1, mmlu(4), judged)
    tuned = record(store, 2, mmlu(5), ruled, adapter="r16")
    assert tuned.data.tags["ftbench.vs_base"] == "mmlu +12.5"


def test_each_setting_has_a_view_with_its_own_base(store: Store) -> None:
    runs = [
        record(store, 1, gsm8k(25.0)),
        record(store, 2, gsm8k(31.25), setting={"backend.temperature": "0.7"}),
        record(store, 3, gsm8k(50.0), adapter="a", setting={"backend.temperature": "0.7"}),
    ]
    tags = store.client.get_experiment(runs[0].info.experiment_id).tags
    for base in runs[:2]:
        view = view_of(
            tags[f"mlflow.sharedViewState.ftbench-{base.data.tags['ftbench.comparable']}"]
        )
        chart = next(c for c in view["compareRunCharts"] if c["type"] == "DIFFERENCE")
        assert chart["baselineColumnUuid"] == base.info.run_id
    assert runs[1].data.tags["ftbench.comparable"] == runs[2].data.tags["ftbench.comparable"]


def test_checkpoints_draw_a_curve_on_their_training_run(store: Store) -> None:
    trained = store.training_run()
    record(store, 1, gsm8k(25.0), training_run_id=None, experiment="sft")
    record(store, 2, gsm8k(31.25), adapter="a1", training_run_id=trained, step=1)
    assert store.client.list_artifacts(trained, "plots") == []

    record(store, 3, gsm8k(43.75), adapter="a2", training_run_id=trained, step=2)

    drawn = picture(store, store.client.get_run(trained), "plots/score_over_steps.svg")
    for text in (">31.2<", ">43.8<", ">base model<", ">training step<"):
        assert text in drawn


def test_an_experiments_own_description_is_kept(store: Store) -> None:
    first = record(store, 1, gsm8k(25.0), experiment="mine")
    experiment_id = first.info.experiment_id
    tags = store.client.get_experiment(experiment_id).tags
    assert "[leaderboard](#/experiments/" in tags["mlflow.note.content"]

    store.client.set_experiment_tag(experiment_id, "mlflow.note.content", "My words.")
    record(store, 2, gsm8k(25.0), experiment="mine")

    tags = store.client.get_experiment(experiment_id).tags
    assert tags["mlflow.note.content"] == "My words."
