"""The wrong answers that go to programs: few, evenly chosen, the same again, never of the tests."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ftbench.error_samples import MAX_PROMPT, choose_errors, shortened
from ftbench.feedback import feedback_json
from ftbench.options import DatasetOptions
from ftbench.plan import Plan
from ftbench.schema import DatasetResult, Result, Sample, write_samples
from tests.builders import GSM8K, MMLU, make_plan, scored_result


def sample(abbr: str, index: int, **changes: Any) -> Sample:
    known = {"prompt": f"{abbr} {index}?", "prediction": "is B", "reference": "A"}
    return Sample(abbr, index, **({"extracted": "B", "correct": False} | known | changes))


def write(plan: Plan, abbr: str, samples: list[Sample]) -> None:
    write_samples(plan.files.samples(abbr), samples)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """anatomy: 40 wrong of 80; virology: 3 wrong; gsm8k: 50 wrong."""
    plan = make_plan(tmp_path)
    write(plan, "lukaemon_mmlu_anatomy", [_half(i) for i in range(80)])
    write(plan, "lukaemon_mmlu_virology", [sample("lukaemon_mmlu_virology", i) for i in range(3)])
    write(plan, "gsm8k", [sample("gsm8k", i) for i in range(50)])
    return plan


def _half(index: int) -> Sample:
    return sample("lukaemon_mmlu_anatomy", index, correct=index % 2 == 0)


def places(plan: Plan, result: Result | None = None) -> list[tuple[str, int]]:
    errors = choose_errors(plan, result or scored_result())
    return [(one["subset"], one["index"]) for one in errors.samples]


def test_error_samples_are_spread_over_datasets_and_their_subsets(plan: Plan) -> None:
    found = places(plan)
    assert Counter(subset for subset, _ in found) == {
        "gsm8k": 10,
        "lukaemon_mmlu_anatomy": 7,
        "lukaemon_mmlu_virology": 3,
    }
    assert len(set(found)) == 20


def test_error_samples_are_all_there_are_where_these_are_few(plan: Plan) -> None:
    found = places(replace(plan, feedback_samples=1000))
    assert len(found) == len(set(found)) == 93
    assert all(index % 2 for subset, index in found if subset.endswith("anatomy"))


def test_error_samples_are_the_same_with_a_seed_and_others_with_another(plan: Plan) -> None:
    assert places(plan) == places(plan)
    assert places(replace(plan, feedback_seed=1)) != places(plan)


def test_any_wrong_answer_may_be_chosen(plan: Plan) -> None:
    found = {
        index
        for seed in range(40)
        for subset, index in places(replace(plan, feedback_seed=seed))
        if subset == "gsm8k"
    }
    assert found == set(range(50))


def test_error_sample_says_what_was_asked_answered_and_expected(plan: Plan) -> None:
    write(plan, "gsm8k", [sample("gsm8k", 7, truncated=True)])
    errors = choose_errors(plan, _only(scored_result(), "gsm8k"))
    assert errors.samples == (
        {
            "dataset": "gsm8k",
            "subset": "gsm8k",
            "index": 7,
            "repeat": 0,
            "prompt": "gsm8k 7?",
            "answer": "is B",
            "extracted": "B",
            "reference": "A",
            "truncated": True,
        },
    )
    assert errors.wrong == {"gsm8k": 1}


def _only(result: Result, *names: str) -> Result:
    return replace(result, datasets=tuple(d for d in result.datasets if d.name in names))


def test_right_and_unknown_answers_are_no_errors(plan: Plan) -> None:
    tricky = 'he said "correct": false'
    right = [sample("gsm8k", i, correct=c, prediction=tricky) for i, c in enumerate([True, None])]
    write(plan, "gsm8k", right)
    assert places(plan, _only(scored_result(), "gsm8k")) == []


def test_no_error_samples_where_none_are_wanted(plan: Plan) -> None:
    errors = choose_errors(replace(plan, feedback_samples=0), scored_result())
    assert (errors.samples, errors.wrong) == ((), {})


def test_a_question_that_was_asked_several_times_is_one_error(plan: Plan) -> None:
    repeated = [sample("gsm8k", i, repeat=r) for r in range(4) for i in range(2)]
    write(plan, "gsm8k", repeated)
    (dataset,) = _only(scored_result(), "gsm8k").datasets
    (subset,) = dataset.subsets
    asked_4_times = replace(dataset, subsets=(replace(subset, repeats=4),))
    errors = choose_errors(plan, replace(scored_result(), datasets=(asked_4_times,)))
    assert sorted(one["index"] for one in errors.samples) == [0, 1]
    assert errors.wrong == {"gsm8k": 2}


def test_test_rows_are_withheld_from_a_run_that_asked_for_them(plan: Plan) -> None:
    # One dataset of it has other rows; all the same nothing of such a run is handed on.
    options = (replace(MMLU, options=DatasetOptions(split="validation")), GSM8K)
    plan = replace(plan, parameters={"split": "test"}, datasets=options)
    value = feedback_of(plan)
    assert value["error_samples"] == []
    assert value["error_samples_withheld"] == "split=test"
    assert {d["error_samples_withheld"] for d in value["datasets"].values()} == {"split=test"}
    assert [d["wrong"] for d in value["datasets"].values()] == [None, None]
    assert "gsm8k 1?" not in json.dumps(value)


def test_test_rows_of_one_dataset_are_withheld_alone(plan: Plan) -> None:
    plan = replace(plan, datasets=(replace(MMLU, options=DatasetOptions(split="test")), GSM8K))
    value = feedback_of(plan)
    assert {one["dataset"] for one in value["error_samples"]} == {"gsm8k"}
    assert len(value["error_samples"]) == 20
    assert value["error_samples_withheld"] is None
    named = {name: d["error_samples_withheld"] for name, d in value["datasets"].items()}
    assert named == {"mmlu": "split=test", "gsm8k": None}
    assert "anatomy 1?" not in json.dumps(value)


def feedback_of(plan: Plan) -> dict[str, Any]:
    result = scored_result()
    value: dict[str, Any] = json.loads(feedback_json(result, choose_errors(plan, result)))
    return value


def test_long_texts_are_shortened_with_a_mark(plan: Plan) -> None:
    long = "a" * MAX_PROMPT + "the question"
    write(plan, "gsm8k", [sample("gsm8k", 0, prompt=long)])
    (one,) = choose_errors(plan, _only(scored_result(), "gsm8k")).samples
    assert one["prompt"].startswith("a" * (MAX_PROMPT // 2) + " […12 characters left out…] a")
    assert one["prompt"].endswith("the question")
    assert shortened("x" * 10, 10) == "x" * 10
    assert shortened("0123456789a", 10) == "01234 […1 characters left out…] 6789a"
    assert shortened(None, 10) is None


def test_broken_lines_and_missing_files_are_left_out(plan: Plan) -> None:
    path = plan.files.samples("gsm8k")
    whole = path.read_text()
    path.write_text('{"correct": false, "index"\n[1, "correct": false]\n{"correct": false}\n')
    with path.open("a") as file:
        file.write(whole)
    plan.files.samples("lukaemon_mmlu_virology").unlink()
    found = places(replace(plan, feedback_samples=1000))
    assert len(found) == 90


def test_datasets_without_subsets_have_no_error_samples(plan: Plan) -> None:
    failed = Result(datasets=(DatasetResult("mmlu", "failed"),))
    assert choose_errors(plan, failed).samples == ()
