"""Run folders of full size, in the files that the evaluation program leaves, without a model.

Prompts and answers are drawn from invented words: five shots that all prompts of a subset share,
and some hundred tokens of answer. OpenCompass's files are written as OpenCompass 0.5.4 does, and
read by the program's own reader, which gives the samples and scores.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftbench.aggregates import aggregate
from ftbench.plan import DatasetPlan, ModelPlan, Plan, TrackingPlan, write_plan
from ftbench.program import image_dir
from ftbench.schema import (
    OK,
    DatasetResult,
    ModelFacts,
    Result,
    RunFiles,
    SubsetResult,
    write_atomically,
    write_result,
    write_samples,
)
from ftbench.validity import count_answers

FINISHED_AT = 1_790_000_000.0

# Rows of the 57 subsets of mmlu's test split, in the alphabetical order of their names.
_MMLU = (
    "100 135 152 100 265 144 100 100 100 173 102 100 235 114 145 378 126 100 310 203 100 165 198 "
    "193 390 270 238 151 545 216 204 237 223 131 121 108 163 112 103 234 100 783 346 895 306 311 "
    "324 282 1534 272 612 110 245 201 100 166 171"
)
MMLU_ROWS = tuple(map(int, _MMLU.split()))


@dataclass(frozen=True)
class Shape:
    """A dataset to make.

    Attributes:
        rows: Of each subset.
        has_prompts: Its results repeat every prompt (evaluators without details of their own).
        alphabet: Of its words.
    """

    name: str
    rows: tuple[int, ...]
    has_prompts: bool = True
    alphabet: str = "latin"


MMLU = Shape("mmlu", MMLU_ROWS)
SEVERAL = (
    MMLU,
    Shape("cmmlu", (173,) * 66 + (164,), alphabet="chinese"),
    Shape("bbh", (250,) * 26 + (11,)),
    Shape("gsm8k", (1319,), has_prompts=False),
    Shape("hellaswag", (10_042,)),
    Shape("own", (56_504,)),
)
"""100,000 samples, more than half of them in one subset."""


def make_run(workspace: Path, shapes: Sequence[Shape], tracking: TrackingPlan, seed: int) -> Plan:
    """Writes the run folder of an evaluation that has ended.

    Args:
        workspace: The folder to make it in.
        shapes: Its datasets.
        tracking: Where the plan records.
        seed: Of the answers; the prompts are the same for all.

    Returns:
        Its plan; ``result.json`` is there and ``summary/`` is not.
    """
    fingerprint = f"{seed:02d}" * 32
    plan = _plan(workspace, shapes, tracking, fingerprint)
    files = plan.files
    write_plan(plan)
    datasets = []
    for shape in shapes:
        subsets = [_write_subset(plan, shape, n, seed) for n in range(len(shape.rows))]
        datasets.append(aggregate(DatasetResult(shape.name, subsets=tuple(subsets))))
    result = Result(
        fingerprint=fingerprint,
        model_abbr=plan.model_abbr,
        stage="done",
        started_at=FINISHED_AT - 3600,
        finished_at=FINISHED_AT + seed,
        model=ModelFacts(opencompass_type="VLLMwithChatTemplate", device="cuda", dtype="bfloat16"),
        versions={"opencompass": "0.5.4", "torch": "2.9.0"},
        datasets=tuple(datasets),
    )
    write_result(files.progress, result)
    write_result(files.result, result)
    write_atomically(files.opencompass_config, "models = []\n" * 8000)
    write_atomically(files.launch, json.dumps({"ending": "finished"}))
    write_atomically(files.launch_log, "mmlu/anatomy: accuracy 50.00\n" * 200)
    write_atomically(files.opencompass_log, "Building prefix dict from the default file\n" * 20_000)
    return plan


def abbrs(shape: Shape) -> tuple[str, ...]:
    """Names of its subsets in OpenCompass's files."""
    if len(shape.rows) == 1:
        return (shape.name,)
    return tuple(f"{shape.name}_subject_{n:02d}" for n in range(len(shape.rows)))


def write_opencompass_files(
    files: RunFiles, model_abbr: str, shape: Shape, position: int, seed: int
) -> None:
    """Writes the predictions and the results of one subset."""
    records, results = _records(shape, position, seed)
    abbr = abbrs(shape)[position]
    for folder, value in ((files.predictions, records), (files.results, results)):
        path = folder / model_abbr / f"{abbr}.json"
        write_atomically(path, json.dumps(value, ensure_ascii=False, indent=4))


def _write_subset(plan: Plan, shape: Shape, position: int, seed: int) -> SubsetResult:
    sys.path[:0] = [] if str(image_dir()) in sys.path else [str(image_dir())]
    from ftbench_eval.extract import count_tokens, read_scored

    abbr, files = abbrs(shape)[position], plan.files
    write_opencompass_files(files, plan.model_abbr, shape, position, seed)
    values = [
        json.loads((folder / plan.model_abbr / f"{abbr}.json").read_text(encoding="utf-8"))
        for folder in (files.results, files.predictions)
    ]
    scored = read_scored(abbr, *values, repeats=1, evaluator=_evaluator(shape))
    samples = count_tokens(scored.samples, lambda texts: [len(t) // 4 for t in texts], 2048)
    write_samples(files.samples(abbr), samples)
    counts = count_answers(samples)
    return SubsetResult(
        abbr=abbr,
        name=abbr.removeprefix(f"{shape.name}_"),
        status=OK,
        metric=scored.metric,
        score=scored.score,
        metrics=scored.metrics,
        expected=len(samples),
        completed=len(samples),
        correct_known=scored.correct_known,
        truncated=counts.truncated,
        empty=counts.empty,
        unextracted=counts.unextracted,
        mean_output_tokens=counts.mean_output_tokens,
        seconds=60.0,
        preset=f"{shape.name}/{shape.name}_gen.py",
        prompt_hash="aa" * 8,
        data_hash=abbr.encode().hex()[-16:],
    )


def _evaluator(shape: Shape) -> str:
    return "AccEvaluator" if shape.has_prompts else "Gsm8kEvaluator"


def _records(shape: Shape, position: int, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Predictions and results of a subset, as OpenCompass writes them."""
    questions = random.Random(f"{shape.name} {position}")
    answers = random.Random(f"{shape.name} {position} {seed}")
    words = _words(shape.alphabet)
    shots = [turn for _ in range(5) for turn in _shot(questions, words)]
    records: dict[str, Any] = {}
    given, references = [], []
    for index in range(shape.rows[position]):
        reference = questions.choice("ABCD")
        answer = answers.choice("ABCD") if answers.random() < 0.4 else reference
        asked = [*shots, {"role": "HUMAN", "prompt": _question(questions, words)}]
        said = f"{_text(answers, words, 180)}{_sign(answers)}\nANSWER: {answer}"
        records[str(index)] = {"origin_prompt": asked, "prediction": said, "gold": reference}
        given.append(answer)
        references.append(reference)
    right = [a == r for a, r in zip(given, references, strict=True)]
    details = (_with_prompts if shape.has_prompts else _plain)(records, given, references)
    return records, {"accuracy": 100 * sum(right) / len(right), "details": details}


def _with_prompts(records: Mapping[str, Any], given: list[str], references: list[str]) -> Any:
    """As OpenICLEvalTask.format_details."""
    rows = zip(records.items(), given, references, strict=True)
    return {"type": "GEN"} | {
        index: {
            "prompt": record["origin_prompt"],
            "origin_prediction": record["prediction"],
            "predictions": answer,
            "references": reference,
        }
        for (index, record), answer, reference in rows
    }


def _plain(records: Mapping[str, Any], given: list[str], references: list[str]) -> Any:
    """As BaseEvaluator.evaluate leaves an evaluator's own details."""
    return [
        {"example_abbr": f"gsm8k_test_{n}", "pred": [a], "answer": [r], "correct": [a == r]}
        for n, a, r in zip(records, given, references, strict=True)
    ]


def _shot(draw: random.Random, words: Sequence[str]) -> list[dict[str, str]]:
    answer = f"ANSWER: {draw.choice('ABCD')}\n"
    return [
        {"role": "HUMAN", "prompt": _question(draw, words)},
        {"role": "BOT", "prompt": answer},
    ]


def _question(draw: random.Random, words: Sequence[str]) -> str:
    options = "\n".join(f"{letter}. {_text(draw, words, 8)}" for letter in "ABCD")
    return f"{_text(draw, words, 40)}?\n{options}\n"


def _text(draw: random.Random, words: Sequence[str], count: int) -> str:
    return " ".join(draw.choices(words, k=count))


def _sign(draw: random.Random) -> str:
    return " 🙂" if draw.random() < 0.02 else ""


def _words(alphabet: str) -> Sequence[str]:
    draw = random.Random(alphabet)
    if alphabet == "chinese":
        return ["".join(chr(draw.randrange(0x4E00, 0x9000)) for _ in range(2)) for _ in range(4000)]
    syllables = [c + v for c in "bdfgklmnprstvz" for v in ("a", "e", "i", "o", "u", "en", "ar")]
    return ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(8000)]


def _plan(
    workspace: Path, shapes: Sequence[Shape], tracking: TrackingPlan, fingerprint: str
) -> Plan:
    return Plan(
        runtime="docker",
        workspace=workspace,
        run_dir=workspace / "benchmark_results" / "20261124_120000",
        model=ModelPlan("some/base-model", None, workspace / "adapter"),
        model_abbr=f"base-model-ft-{fingerprint[:8]}",
        datasets=tuple(
            DatasetPlan(s.name, (f"{s.name}/{s.name}_gen.py",), "gen", abbrs(s), ()) for s in shapes
        ),
        fingerprint=fingerprint,
        fingerprint_parts={"adapter_sha256": "c" * 64, "base": "sha256:" + "d" * 64},
        parameters={"backend.name": "vllm", "backend.temperature": "0.0"},
        command=("python", "-m", "ftbench.run"),
        tracking=tracking,
        environment={"NUM_GPUS": "1"},
        secrets=(),
        mounts=(),
        timeout_s=86_400,
        stop_grace_s=30,
        image="ftbench-opencompass:0.1.0",
        num_gpus=1,
        gpu_ids=(),
        memory=None,
        shm_size="8g",
        tmp_size="8g",
        pids_limit=4096,
        network=None,
        user="1000:1000",
        python=None,
        environment_folder=None,
    )
