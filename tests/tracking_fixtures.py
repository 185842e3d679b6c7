"""Run folders as a finished evaluation leaves them, built small or large, without running one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ftbench.aggregates import aggregate, unscored
from ftbench.plan import DatasetPlan, ModelPlan, Plan, TrackingPlan, write_plan
from ftbench.schema import (
    OK,
    DatasetResult,
    Group,
    ModelFacts,
    Reason,
    Result,
    RunFiles,
    Sample,
    SubsetResult,
    to_json,
    write_atomically,
    write_result,
)
from tests.builders import make_plan

STARTED_AT = 1_790_000_000.0
FINISHED_AT = 1_790_000_090.5
MMLU_NAMES = tuple(f"subject_{n:02d}" for n in range(57))
PRESETS = {"mmlu": "mmlu/mmlu_gen_4d595a.py", "gsm8k": "gsm8k/gsm8k_gen_1d7fe4.py"}


@dataclass(frozen=True)
class RunFolder:
    """A run folder on disk, with the values it was made from."""

    plan: Plan
    result: Result

    @property
    def path(self) -> Path:
        return self.plan.run_dir


def subset(abbr: str, name: str, score: float | None, rows: int, status: str = OK) -> SubsetResult:
    """A subset whose samples are all answered, and right as often as the score says."""
    return SubsetResult(
        abbr=abbr,
        name=name,
        status=status,
        reason=None if status == OK else Reason("inference", "ValueError: prompt | too long"),
        metric="accuracy",
        score=score,
        metrics={} if score is None else {"accuracy": score},
        expected=rows,
        completed=rows if score is not None else 0,
        correct_known=rows if score is not None else 0,
        truncated=0,
        seconds=0.5,
        preset=PRESETS[abbr.split("_")[0] if "_" not in abbr else "mmlu"],
        prompt_hash="aa" * 8,
        data_hash=abbr.encode().hex()[:16].ljust(16, "0"),
    )


def dataset(name: str, subsets: tuple[SubsetResult, ...], status: str = OK) -> DatasetResult:
    """A dataset whose score is the mean of its scored subsets."""
    scores = [s.score for s in subsets if s.score is not None]
    failed = next((s for s in subsets if s.status != OK), None)
    return DatasetResult(
        name=name,
        status=status,
        reason=failed.reason if failed else None,
        metric="accuracy",
        score=sum(scores) / len(scores) if scores else None,
        aggregation=f"mean of {len(subsets)} subsets" if len(subsets) > 1 else "single subset",
        subsets_done=len(scores),
        seconds=0.5 * len(subsets),
        subsets=subsets,
    )


def mmlu(right_of_8: int = 4, rows: int = 8) -> DatasetResult:
    """57 subsets; the n-th has ``right_of_8`` right answers of 8, every third one more."""
    subsets = tuple(
        subset(f"lukaemon_mmlu_{n}", n, 12.5 * min(8, right_of_8 + (i % 3 == 0)), rows)
        for i, n in enumerate(MMLU_NAMES)
    )
    return dataset("mmlu", subsets)


def gsm8k(score: float = 25.0, rows: int = 16) -> DatasetResult:
    """The single subset of gsm8k."""
    return dataset("gsm8k", (subset("gsm8k", "gsm8k", score, rows),))


def grouped_mmlu() -> DatasetResult:
    """Three subsets of 24, 8 and 8 rows in nested groups: mmlu 45.0, by samples 57.0."""
    subsets = (
        subset("lukaemon_mmlu_anatomy", "anatomy", 75.0, 24),
        subset("lukaemon_mmlu_virology", "virology", 50.0, 8),
        subset("lukaemon_mmlu_law", "law", 10.0, 8),
    )
    groups = (
        Group("mmlu-stem", tuple(s.abbr for s in subsets[:2])),
        Group("mmlu-other", (subsets[2].abbr,)),
        Group("mmlu-all", ("mmlu-stem", "mmlu-other")),
    )
    return aggregate(DatasetResult("mmlu", subsets=subsets, groups=unscored(groups)))


def cut_off_gsm8k() -> DatasetResult:
    """gsm8k by rules alone, with 7 of 16 answers cut off and no sample known to be correct."""
    cut = replace(
        gsm8k(25.0).subsets[0],
        truncated=7,
        empty=0,
        mean_output_tokens=140.0,
        correct_known=0,
        label="rule-only",
    )
    return aggregate(DatasetResult("gsm8k", subsets=(cut,)))


def result_of(*datasets: DatasetResult, failure: Reason | None = None) -> Result:
    """A collected result."""
    return Result(
        fingerprint="f0" * 32,
        model_abbr="tiny-ft-f0f0f0f0",
        stage="done",
        failure=failure,
        started_at=STARTED_AT,
        finished_at=FINISHED_AT,
        model=ModelFacts(opencompass_type="HuggingFacewithChatTemplate", device="cpu"),
        versions={"opencompass": "0.5.4", "torch": "2.13.0"},
        datasets=datasets,
    )


def plan_of(
    workspace: Path,
    tracking: TrackingPlan,
    result: Result,
    adapter: Path | None = None,
    stamp: str = "20260921_143320",
) -> Plan:
    """A plan that could have led to the result."""
    return make_plan(
        workspace,
        tuple(
            DatasetPlan(d.name, PRESETS[d.name], "gen", tuple(s.abbr for s in d.subsets), ())
            for d in result.datasets
        ),
        run_dir=workspace / "benchmark_results" / stamp,
        model=ModelPlan("tiny/base-model", None, adapter),
        model_abbr=result.model_abbr,
        fingerprint=result.fingerprint,
        fingerprint_parts={"adapter_sha256": "ad" * 32 if adapter else "", "base": "ba" * 32},
        parameters={
            "backend.name": "transformers",
            "backend.batch_size": "8",
            "backend.temperature": "0.0",
            "limit": "8",
            "timeout": "3600",
        },
        tracking=tracking,
    )


def make_adapter(folder: Path) -> Path:
    """An adapter folder, as far as recording reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "peft_type": "LORA",
        "r": 16,
        "lora_alpha": 32,
        "lora_dropout": 0.05,
        "target_modules": ["v_proj", "q_proj"],
        "modules_to_save": None,
        "base_model_name_or_path": "tiny/base-model",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def answer(subset: SubsetResult, index: int) -> Sample:
    """A sample that is right for the first ``score`` percent of its subset."""
    right = index < round((subset.score or 0.0) / 100 * subset.expected)
    return Sample(
        subset=subset.abbr,
        index=index,
        prompt=f"Question {index} of {subset.name}: which letter?\nA. one\nB. two",
        prediction="The answer is A." if right else "The answer is B.",
        extracted="A" if right else "B",
        reference="A",
        correct=right,
        truncated=False,
        output_tokens=6,
    )


def make_run_folder(
    workspace: Path,
    tracking: TrackingPlan,
    result: Result,
    adapter: Path | None = None,
    stamp: str = "20260921_143320",
    sample: Callable[[SubsetResult, int], Sample] = answer,
) -> RunFolder:
    """Writes everything that an evaluation leaves: plan, summary, samples, predictions, logs."""
    plan = plan_of(workspace, tracking, result, adapter, stamp)
    write_run_folder(plan, result, sample)
    return RunFolder(plan, result)


def write_run_folder(
    plan: Plan, result: Result, sample: Callable[[SubsetResult, int], Sample] = answer
) -> None:
    """Writes the files of a plan and its result."""
    files = plan.files
    write_plan(plan)
    write_result(files.summary, result)
    write_atomically(files.report, "# report\n")
    write_atomically(files.feedback, "{}\n")
    write_atomically(files.launch, json.dumps({"ending": "finished", "image_digest": "sha256:1d"}))
    write_atomically(files.opencompass_config, "models = []\n")
    write_atomically(files.launch_log, "loading\ndone\n")
    write_atomically(files.root / "logs" / "infer" / "deep.log", "infer\n")
    for item in (s for d in result.datasets for s in d.subsets if s.completed):
        _write_subset(files, plan.model_abbr, item, sample)


def _write_subset(
    files: RunFiles,
    model_abbr: str,
    item: SubsetResult,
    sample: Callable[[SubsetResult, int], Sample],
) -> None:
    samples = [sample(item, index) for index in range(item.completed)]
    lines = [json.dumps(to_json(s), ensure_ascii=False) for s in samples]
    write_atomically(files.samples(item.abbr), "\n".join(lines) + "\n")
    records = {
        str(s.index): {
            "origin_prompt": [{"role": "HUMAN", "prompt": s.prompt}],
            "prediction": s.prediction,
            "gold": s.reference,
        }
        for s in samples
    }
    path = files.predictions / model_abbr / f"{item.abbr}.json"
    write_atomically(path, json.dumps(records, indent=4))
