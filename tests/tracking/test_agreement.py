"""A summary and a recorded run of the same evaluation give the same answers: what is comparable."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Metric, Param, Run, RunData, RunInfo, RunStatus, RunTag

from ftbench.comparison import Evaluated, compare
from ftbench.comparison.choose import fitting_base
from ftbench.comparison.comparable import asked, why_not, why_not_asked
from ftbench.plan import Plan, TrackingPlan
from ftbench.schema import FAILED, PARTIAL, TIMEOUT, DatasetResult, Result
from ftbench.tracking import baseline
from ftbench.tracking.contents import run_params, run_tags
from ftbench.tracking.reading import evaluated
from ftbench.tracking.scores import headlines
from tests.tracking_fixtures import (
    dataset,
    gsm8k,
    mmlu,
    plan_of,
    result_of,
    subset,
)


def changed(**changes: Any) -> DatasetResult:
    whole = gsm8k(50.0)
    return replace(whole, subsets=(replace(whole.subsets[0], **changes),))


def partial_mmlu() -> DatasetResult:
    whole = mmlu(5)
    lost = subset("lukaemon_mmlu_subject_00", "subject_00", None, 8, FAILED)
    return dataset("mmlu", (lost, *whole.subsets[1:]), PARTIAL)


def changed_mmlu(**changes: Any) -> DatasetResult:
    whole = mmlu(5)
    return replace(whole, subsets=(replace(whole.subsets[0], **changes), *whole.subsets[1:]))


DATASETS = {
    "the same": gsm8k(50.0),
    "other prompt": changed(prompt_hash="bb" * 8),
    "other questions": changed(data_hash="bb" * 8),
    "other rows": changed(expected=8, completed=8, data_hash="cc" * 8),
    "repeats": changed(expected=64, completed=64, repeats=4),
    "other metric": changed(metric="pass@1"),
    "rule-only": changed(label="rule-only"),
    "judged": changed(label="judged by grader"),
    "no prompt": changed(prompt_hash=""),
    "no data": changed(data_hash=""),
    "cut short": replace(changed(completed=3, status=TIMEOUT), status=TIMEOUT),
    "failed": dataset("gsm8k", (subset("gsm8k", "gsm8k", None, 16, FAILED),), FAILED),
    "mmlu": mmlu(5),
    "partial mmlu": partial_mmlu(),
    "fewer subsets": dataset("mmlu", mmlu(5).subsets[1:]),
    "another subset": changed_mmlu(abbr="lukaemon_mmlu_other"),
    "one other prompt": changed_mmlu(prompt_hash="bb" * 8),
    "prompts exchanged": changed_mmlu(prompt_hash="bb" * 8, data_hash="cc" * 8),
    "one other metric": changed_mmlu(metric="pass@1"),
}
WHOLE = {"gsm8k": "the same", "mmlu": "mmlu"}
PAIRS = [
    *((name, WHOLE[dataset.name]) for name, dataset in DATASETS.items()),
    *((WHOLE[dataset.name], name) for name, dataset in DATASETS.items()),
    ("rule-only", "judged"),
    ("no data", "no data"),
    ("partial mmlu", "partial mmlu"),
]

SETTINGS: dict[str, dict[str, Any]] = {
    "the same": {},
    "other base": {"base": "other/base", "identity": "sha256:other"},
    "same bytes elsewhere": {"base": "/moved/base"},
    "other bytes": {"identity": "sha256:0123456789"},
    "temperature": {"parameters": {"backend.temperature": "0.7"}},
    "limit": {"parameters": {"limit": "9"}},
    "batch size": {"parameters": {"backend.batch_size": "1"}},
    "max_out_len": {"parameters": {"backend.max_out_len": "64"}},
    "dtype": {"parameters": {"model.dtype": "float16"}},
    "num_runs": {"parameters": {"per_dataset.gsm8k.num_runs": "4"}},
    "judge": {"parameters": {"judge.model": "grader"}},
    "custom prompt": {"parameters": {"backend.custom_prompt": "Think."}},
    "gate": {"parameters": {"gate.name": "strict", "baseline": "best"}},
}


def both(
    number: int,
    *datasets: DatasetResult,
    adapter: bool = True,
    base: str = "tiny/base-model",
    identity: str = "sha256:" + "ba" * 32,
    parameters: dict[str, str] | None = None,
) -> tuple[Evaluated, Run]:
    """One evaluation as a run folder gives it, and as a tracker does; nothing is written."""
    result = replace(result_of(*datasets), started_at=1_790_000_000.0 + number)
    path = Path("/adapters/r16") if adapter else None
    made = plan_of(Path("/ws"), TrackingPlan("none"), result, path, f"run{number}")
    plan = replace(
        made,
        model=replace(made.model, base=base),
        parameters={**made.parameters, **(parameters or {})},
        fingerprint_parts={**made.fingerprint_parts, "base": identity},
    )
    return evaluated(plan, result, plan.run_dir), recorded(plan, result, number)


def recorded(plan: Plan, result: Result, number: int) -> Run:
    """The run that recording makes, without a tracker."""
    info = RunInfo(
        run_id=f"run{number}",
        experiment_id="1",
        user_id="me",
        status=RunStatus.to_string(RunStatus.FINISHED),
        start_time=int(result.started_at * 1000),
        end_time=None,
        lifecycle_stage="active",
        run_name=f"run{number}",
    )
    data = RunData(
        metrics=[Metric(score.key, score.value, 0, 0) for score in headlines(result)],
        params=[Param(key, value) for key, value in run_params(plan, None).items()],
        tags=[RunTag(key, value) for key, value in run_tags(plan, result, None).items()],
    )
    return Run(info, data)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_a_line_of_text_decides_as_the_summaries_do(ours: str, theirs: str) -> None:
    own, other = DATASETS[ours], DATASETS[theirs]
    told = why_not(own, other)
    short = why_not_asked(asked(own), asked(other))
    assert bool(told) == bool(short)
    is_whole = own.status == other.status == "ok"
    assert not is_whole or (told == "") == (ours == theirs and ours not in ("no prompt", "no data"))
    # The reasons are the same ones, with values where these are known.
    for part in short.split("; "):
        assert part in told


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_a_page_in_mlflow_compares_what_a_comparison_compares(ours: str, theirs: str) -> None:
    # What is compared in any case keeps the pair together.
    name = DATASETS[ours].name
    same = mmlu(5) if name == "gsm8k" else gsm8k(50.0)
    base = both(1, DATASETS[theirs], same, adapter=False)
    lora = both(2, DATASETS[ours], same)
    compared = compare([base[0], lora[0]], 0)
    shown = baseline.compare(lora[1], [lora[1], base[1]])
    assert shown is not None
    line = next(d.line for d in compared.datasets if d.name == name)
    difference = line.standings[1].difference
    assert (name in shown.differences) == (difference is not None)
    if difference is not None:
        assert shown.differences[name] == pytest.approx(difference.value)
    is_over_all = set(compared.averaged) == {d.name for d in lora[0].result.datasets}
    assert ("avg" in shown.differences) == is_over_all
    if is_over_all:
        average = compared.averages[1].difference
        assert average is not None
        assert shown.differences["avg"] == pytest.approx(average.value)


@pytest.mark.parametrize("theirs", SETTINGS)
@pytest.mark.parametrize("ours", ["the same", "temperature", "num_runs", "same bytes elsewhere"])
def test_the_same_base_fits_for_a_page_and_for_a_comparison(ours: str, theirs: str) -> None:
    base = both(1, gsm8k(25.0), adapter=False, **SETTINGS[theirs])
    lora = both(2, gsm8k(50.0), **SETTINGS[ours])
    found = fitting_base([base[0]], [lora[0]])
    shown = baseline.compare(lora[1], [lora[1], base[1]])
    assert (found is None) == (shown is None)
    alike = {"the same", "same bytes elsewhere", "batch size", "gate"}
    assert (found is not None) == (ours == theirs or {ours, theirs} <= alike)


def test_of_several_bases_both_take_the_same() -> None:
    many = [
        both(1, gsm8k(25.0), mmlu(5), adapter=False),
        both(2, gsm8k(25.0), mmlu(5), adapter=False),
        both(3, gsm8k(25.0), adapter=False),
        both(
            4,
            gsm8k(25.0),
            mmlu(5),
            adapter=False,
            parameters={"backend.batch_size": "1"},
        ),
    ]
    lora = both(9, gsm8k(50.0), mmlu(6))
    for bases in itertools.permutations(many, 3):
        found = fitting_base([own for own, _ in bases], [lora[0]])
        shown = baseline.compare(lora[1], [run for _, run in bases])
        assert found is not None and shown is not None
        assert Path(found.key).name == shown.base.info.run_id


def test_a_run_of_an_earlier_version_is_not_compared_until_recorded_again() -> None:
    (_, base), (_, lora) = (
        both(1, gsm8k(25.0), adapter=False),
        both(2, gsm8k(50.0)),
    )
    assert baseline.compare(lora, [base]) is not None
    del base.data.tags["ftbench.asked.gsm8k"]
    assert baseline.compare(lora, [base]) is None
