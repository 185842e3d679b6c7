"""Plans and run folders for tests of single stages."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftbench.plan import DatasetPlan, ModelPlan, Plan, TrackingPlan
from ftbench.schema import OK, DatasetResult, Result, RunFiles, SubsetResult

FINGERPRINT = "ab12" * 16
MODEL_ABBR = "tiny-ft-ab12ab12"

GSM8K = DatasetPlan("gsm8k", ("gsm8k/gsm8k_gen_1d7fe4.py",), "gen", ("gsm8k",), ("data/gsm8k",))
MMLU = DatasetPlan(
    "mmlu",
    ("mmlu/mmlu_openai_simple_evals_gen_b618ea.py",),
    "gen",
    ("lukaemon_mmlu_anatomy", "lukaemon_mmlu_virology"),
    ("data/mmlu",),
)


def make_plan(
    workspace: Path, datasets: tuple[DatasetPlan, ...] = (MMLU, GSM8K), **other: Any
) -> Plan:
    """A plan as planning would make it, with a run folder in ``workspace``."""
    plan = Plan(
        runtime="local",
        workspace=workspace,
        run_dir=workspace / "benchmark_results" / "20261124_120000",
        model=ModelPlan("tiny", workspace / "base", workspace / "adapter"),
        model_abbr=MODEL_ABBR,
        datasets=datasets,
        fingerprint=FINGERPRINT,
        fingerprint_parts={"adapter_sha256": "c" * 64, "base": "sha256:" + "d" * 64},
        parameters={"backend.batch_size": "8"},
        command=("python", "-m", "ftbench.run", "datasets=[mmlu,gsm8k]"),
        tracking=TrackingPlan("none"),
        environment={"NUM_GPUS": "0"},
        secrets=(),
        mounts=(),
        timeout_s=60,
        stop_grace_s=5,
        image="ftbench-opencompass:test-cpu",
        num_gpus=0,
        gpu_ids=(),
        memory=None,
        shm_size="64m",
        tmp_size="64m",
        pids_limit=256,
        network=None,
        user="1000:1000",
        python=None,
        environment_folder=None,
    )
    return replace(plan, **other)


def scored(abbr: str, name: str, score: float, rows: int = 8) -> SubsetResult:
    """A subset that is ok."""
    return SubsetResult(
        abbr=abbr,
        name=name,
        status=OK,
        metric="accuracy",
        score=score,
        metrics={"accuracy": score},
        expected=rows,
        completed=rows,
        correct_known=rows,
        seconds=2.0,
    )


def scored_result() -> Result:
    """What a program that finished everything writes: mmlu 62.5 and 50, gsm8k 45.7."""
    anatomy = scored("lukaemon_mmlu_anatomy", "anatomy", 62.5)
    virology = scored("lukaemon_mmlu_virology", "virology", 50.0)
    mmlu = DatasetResult(
        "mmlu", OK, None, "accuracy", 56.25, "mean of 2 subsets", 2, 4.0, (anatomy, virology), 56.25
    )
    gsm8k = DatasetResult(
        "gsm8k",
        OK,
        None,
        "accuracy",
        45.7,
        "single subset",
        1,
        3.0,
        (scored("gsm8k", "gsm8k", 45.7, 16),),
    )
    return Result(
        fingerprint=FINGERPRINT,
        model_abbr=MODEL_ABBR,
        stage="done",
        started_at=1.0,
        finished_at=9.0,
        datasets=(mmlu, gsm8k),
    )


def write_opencompass_results(files: RunFiles, result: Result) -> None:
    """Writes OpenCompass's own result file of every scored subset."""
    folder = files.results / MODEL_ABBR
    folder.mkdir(parents=True)
    for subset in (s for d in result.datasets for s in d.subsets if s.score is not None):
        (folder / f"{subset.abbr}.json").write_text(json.dumps({"accuracy": subset.score}))
