"""What the host and the evaluation program agree on: variables, files, and the result's shape.

Standard library only: this one module is copied beside the program that runs inside the
container. It holds no behaviour but reading and writing these shapes.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 2

OK = "ok"
PARTIAL = "partial"
FAILED = "failed"
TIMEOUT = "timeout"
SKIPPED = "skipped"
PENDING = "pending"
"""PENDING stands only in a result in progress; a collected result never has it."""
STATUSES = (OK, PARTIAL, FAILED, TIMEOUT, SKIPPED, PENDING)

RULE_ONLY = "rule-only"
"""Label of a cascade without its judge: what the rules do not accept counts as wrong."""

VARIABLES: dict[str, str] = {
    "BENCHMARK_DATASETS": "comma-separated dataset names; empty: nothing to do",
    "BASE_MODEL": "Hugging Face id or path of the base (or full) model",
    "ADAPTER_PATH": "absolute path of the adapter; empty: evaluate the base model itself",
    "MODEL_ABBR": "readable unique name: base, kind, 8 hex digits of model and settings",
    "MAX_OUT_LEN": "generation limit in tokens, where the preset sets none",
    "BATCH_SIZE": "samples per inference batch at most; empty: as many as have room",
    "BATCH_TOKENS": "tokens per batch at most, with padding and output; empty: by free memory",
    "INFERENCE_ORDER": "stream: batches across subsets; stock: subset by subset, as OpenCompass",
    "NUM_GPUS": "GPUs to use; 0: CPU",
    "DATA_PARALLEL": "copies of the model, on GPUs of their own; empty: chosen",
    "TENSOR_PARALLEL": "GPUs that one copy of the model is spread over; empty: chosen",
    "TEMPERATURE": "sampling temperature; 0: greedy",
    "TOP_P": "nucleus sampling mass, above 0 up to 1; used when TEMPERATURE is above 0",
    "MAX_SEQ_LEN": "input limit in tokens; empty: the model's own",
    "USE_VLLM": "true: vLLM; false: transformers",
    "CUSTOM_PROMPT": "system prompt put before every sample; empty: none",
    "MODEL_TYPE": "auto, chat (the tokenizer's chat template) or base (plain text)",
    "MERGE_ADAPTER": "auto, always or never: merge the adapter before vLLM serves it",
    "DTYPE": "auto, float32, float16 or bfloat16",
    "TRUST_REMOTE_CODE": "true: run code that comes with the model",
    "SEED": "seed of every random generator, an integer",
    "DATASET_OPTIONS": "JSON object: dataset name to its options (ftbench/options.py); empty: none",
    "DATASET_FILES": "JSON object: dataset name to the user's own file; empty: none",
    "GPU_MEMORY_UTILIZATION": "share of GPU memory that vLLM may take, above 0 up to 1",
    "FINGERPRINT": "content fingerprint of the evaluation, 64 hex digits",
    "OUTPUT_PATH": "the run folder, which receives configs, logs, predictions, results",
    "TIMEOUT_S": "seconds after which the program stops itself; 0: never",
    "SCORING_TIMEOUT_S": "seconds that scoring one subset may take",
    "SCORING_WORKERS": "scoring processes at a time",
    "COMPASS_DATA_CACHE": "folder that contains data/ in OpenCompass's layout",
    "JUDGE_MODEL": "name of the judge model at its endpoint; empty: no judge",
    "JUDGE_API_BASE": "the judge's OpenAI-compatible endpoint, up to /v1; empty: no judge",
    "JUDGE_TEMPERATURE": "sampling temperature of the judge; 0: greedy",
    "JUDGE_MAX_OUT_LEN": "limit of one reply of the judge in tokens",
    "JUDGE_TIMEOUT_S": "seconds that one request to the judge may take",
    "JUDGE_RETRIES": "further tries of a request that the judge did not answer",
    "JUDGE_CONCURRENCY": "requests to the judge at a time",
    "ALLOW_OUTSIDE_SERVICES": "true: scoring may send the model's answers to services outside",
    "CANARY": "true: stop where a few prompts show no effect of the adapter; false: go on",
    "SECRETS_PATH": "folder with one file per secret, named like its variable; empty: none",
}
"""The whole contract from host to container: name and meaning. A test holds it against the code."""

SECRET_NAMES = ("HF_TOKEN", "OC_JUDGE_API_KEY")
"""Variables that may reach the evaluation program, and then only as files under SECRETS_PATH."""


@dataclass(frozen=True)
class RunFiles:
    """Every file name of one run folder, ``<workspace>/benchmark_results/<timestamp>``.

    configs, logs, predictions, results and summary are OpenCompass's own layout.
    """

    root: Path

    @property
    def plan(self) -> Path:
        """What was launched."""
        return self.root / "plan.json"

    @property
    def opencompass_config(self) -> Path:
        """The resolved OpenCompass config, which the stock command runs unchanged."""
        return self.root / "configs" / "ftbench.py"

    @property
    def launch_log(self) -> Path:
        """What the evaluation program printed, as it ran."""
        return self.root / "logs" / "launch.log"

    @property
    def opencompass_log(self) -> Path:
        """Everything that OpenCompass and the libraries under it printed."""
        return self.root / "logs" / "opencompass.log"

    @property
    def predictions(self) -> Path:
        return self.root / "predictions"

    @property
    def results(self) -> Path:
        return self.root / "results"

    @property
    def progress(self) -> Path:
        """The result so far; rewritten as the run goes."""
        return self.root / "progress.json"

    @property
    def result(self) -> Path:
        """The program's result; written last, so that its presence means complete."""
        return self.root / "result.json"

    @property
    def summary(self) -> Path:
        """The collected, checked result of the host."""
        return self.root / "summary" / "summary.json"

    @property
    def summary_csv(self) -> Path:
        """The same as rows of dataset, score, metric, status."""
        return self.root / "summary" / "summary.csv"

    @property
    def reused(self) -> Path:
        """Datasets that were taken over from earlier runs; written when their files are there."""
        return self.root / "reused.json"

    @property
    def launch(self) -> Path:
        """How the evaluation process ended and what it ran on; flat text by name."""
        return self.root / "launch.json"

    @property
    def provenance(self) -> Path:
        """Everything that is needed to repeat the scores."""
        return self.root / "provenance.json"

    @property
    def receipt(self) -> Path:
        """What is recorded of it already, and where."""
        return self.root / "recorded.json"

    @property
    def deltas(self) -> Path:
        """The scores against the baseline's, in short."""
        return self.root / "baseline.json"

    @property
    def comparison(self) -> Path:
        """The same in full, as ``ftbench.compare --json`` writes it."""
        return self.root / "comparison.json"

    @property
    def report(self) -> Path:
        return self.root / "report.md"

    @property
    def feedback(self) -> Path:
        return self.root / "feedback.json"

    @property
    def gate(self) -> Path:
        """What a policy made of the scores."""
        return self.root / "gate.json"

    def samples(self, abbr: str) -> Path:
        """Samples of one subset: one JSON object per line, in dataset order."""
        return self.root / "samples" / f"{abbr}.jsonl"


@dataclass(frozen=True)
class Reason:
    """Why something is not ok.

    Attributes:
        kind: A class of failure, such as ``data_missing``, ``inference``, ``scoring``, ``timeout``.
        message: The root-cause line.
        log: Path of the log that tells more, relative to the run folder.
    """

    kind: str
    message: str
    log: str = ""


@dataclass(frozen=True)
class Uncertainty:
    """How far chance alone can move a score.

    Attributes:
        standard_error: In the score's own unit; None when unknown.
        low, high: Ends of the 95 % interval, in the score's own unit; None when unknown.
        method: How they came about, such as ``t interval of 57 subsets as clusters``.
        why_not: Why they are not known, or empty.
    """

    standard_error: float | None = None
    low: float | None = None
    high: float | None = None
    method: str = ""
    why_not: str = ""


@dataclass(frozen=True)
class SubsetResult:
    """One OpenCompass dataset row, such as ``lukaemon_mmlu_anatomy``.

    Attributes:
        abbr: OpenCompass's name of it.
        name: The short name inside its dataset, such as ``anatomy``.
        metric: Name of the headline metric; empty until scored.
        score: The headline metric, unrounded, in the evaluator's own unit (most: percent).
        metrics: All numeric metrics, unrounded.
        expected: Samples that are asked, with all repeats.
        completed: Samples that have a prediction.
        correct_known: Samples whose correctness is known; fewer than completed when OpenCompass
            does not say, or its details do not reproduce its metric.
        truncated: Samples whose output reached the generation limit; None when unknown.
        empty: Samples whose prediction is empty; None when unknown.
        unextracted: Samples from whose prediction the evaluator took no answer; None when unknown.
        mean_output_tokens: Mean length of the predictions in tokens; None when unknown.
        repeats: How often every row was asked (``num_runs``); expected counts them all.
        label: What a reader must know of the score: RULE_ONLY, who judged, or empty.
        unknown_why: Why the correctness of some samples is not known, or empty.
        seconds: Inference time, in seconds.
        preset: OpenCompass preset file, below ``opencompass/configs/datasets``.
        prompt_hash: sha256 of the dataset's prompt and retrieval configuration, 16 hex digits.
        data_hash: sha256 of the rows that are asked, 16 hex digits.
        flags: Why the score should not be taken at its face, a sentence each.
        uncertainty: Of score; None until collected, and where there is no score.
    """

    abbr: str
    name: str
    status: str = PENDING
    reason: Reason | None = None
    metric: str = ""
    score: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    expected: int = 0
    completed: int = 0
    correct_known: int = 0
    truncated: int | None = None
    empty: int | None = None
    unextracted: int | None = None
    mean_output_tokens: float | None = None
    repeats: int = 1
    label: str = ""
    unknown_why: str = ""
    seconds: float = 0.0
    preset: str = ""
    mode: str = "gen"
    prompt_hash: str = ""
    data_hash: str = ""
    flags: tuple[str, ...] = ()
    uncertainty: Uncertainty | None = None


@dataclass(frozen=True)
class Group:
    """Subsets of a dataset that are averaged together.

    Attributes:
        name: OpenCompass's name of it, such as ``mmlu-humanities``.
        members: Subset abbrs, or names of groups that stand before this one.
        weights: One per member where OpenCompass gives some; empty: all alike.
    """

    name: str
    members: tuple[str, ...]
    weights: tuple[float, ...] = ()


@dataclass(frozen=True)
class GroupResult:
    """Some subsets of a dataset that belong together, such as mmlu's humanities.

    Attributes:
        name: OpenCompass's name of the group, such as ``mmlu-humanities``.
        metric: Name of the metric; ``mixed`` where the subsets' differ; empty until scored.
        score: Unweighted mean of its members (subsets, or groups in it) that are ok, unrounded,
            or by OpenCompass's own weights where it has some; None when none is.
        weighted_score: Mean of its subsets weighted by their samples, unrounded.
        subsets_done, subsets_total: The coverage of both.
        samples: Rows in the subsets that are ok, each once however often it was asked.
        members, weights: As in ``Group``, with the abbrs of this run.
        flags: Why the score should not be taken at its face, a sentence each.
        uncertainty: Of score; None until collected, and where there is no score.
    """

    name: str
    metric: str = ""
    score: float | None = None
    weighted_score: float | None = None
    subsets_done: int = 0
    subsets_total: int = 0
    samples: int = 0
    members: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    flags: tuple[str, ...] = ()
    uncertainty: Uncertainty | None = None


@dataclass(frozen=True)
class DatasetResult:
    """One dataset as the user named it, such as ``mmlu``.

    Attributes:
        score: Unweighted mean of the scored subsets, unrounded, as OpenCompass averages; None when
            none is scored.
        weighted_score: Mean of the scored subsets weighted by their samples, unrounded.
        aggregation: How score came about, such as ``mean of 57 subsets``.
        subsets_done: Subsets that are ok; with len(subsets) the coverage of score.
        groups: Its subsets grouped, inner groups first.
        flags: Why the score should not be taken at its face, a sentence each; shown beside it.
        reused_from: The run that evaluated it, where that is an earlier one; empty: this run.
        uncertainty: Of score; None until collected, and where there is no score.
    """

    name: str
    status: str = PENDING
    reason: Reason | None = None
    metric: str = ""
    score: float | None = None
    aggregation: str = ""
    subsets_done: int = 0
    seconds: float = 0.0
    subsets: tuple[SubsetResult, ...] = ()
    weighted_score: float | None = None
    groups: tuple[GroupResult, ...] = ()
    flags: tuple[str, ...] = ()
    reused_from: str = ""
    uncertainty: Uncertainty | None = None


@dataclass(frozen=True)
class Canary:
    """What a few fixed prompts show of an adapter: answered with it and without it.

    Attributes:
        prompts: Prompts that were asked; 0 where the weights were compared instead.
        changed: Prompts whose greedy answer differs; a perplexity counts when it moves.
        max_logprob_difference: The largest change of a log-probability; None: not measured.
        noise: The same between two asks without the adapter; None: not measured.
        weights: Weight tensors of the model that the adapter was merged into; 0: not merged.
        changed_weights: Those of them that merging changed.
        skipped: Why nothing was asked; empty when it was.
        seconds: Time it took.
    """

    prompts: int = 0
    changed: int = 0
    max_logprob_difference: float | None = None
    noise: float | None = None
    weights: int = 0
    changed_weights: int = 0
    skipped: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class ModelFacts:
    """How the model was really loaded.

    Attributes:
        opencompass_type: Class of the OpenCompass wrapper.
        chat_template: ``adapter``, ``base`` or ``none``: whose template formats the prompts.
        adapter_tensors: Tensors of the adapter that were matched to the base model.
        merged: The adapter was merged into the base before serving.
        batches: How large a batch may be, in words; empty where OpenCompass makes them.
        parallel: Copies of the model and GPUs of each, in words; empty for one on one GPU or CPU.
        notes: Decisions a reader should know, one sentence each.
        canary: Whether the adapter has an effect; None without an adapter, or where the model was
            not loaded.
    """

    opencompass_type: str = ""
    chat_template: str = ""
    adapter_tensors: int = 0
    merged: bool = False
    batches: str = ""
    parallel: str = ""
    device: str = ""
    dtype: str = ""
    load_seconds: float = 0.0
    notes: tuple[str, ...] = ()
    canary: Canary | None = None


@dataclass(frozen=True)
class Result:
    """The whole result of one evaluation.

    Attributes:
        stage: ``starting``, ``loading``, ``running`` or ``done``.
        failure: Why the whole run failed (no model, bad adapter), or None.
        versions: Package versions inside, by name.
        hardware: What it ran on, as seen from inside, by name: cpu, cores, gpus, driver ...
        started_at, finished_at: Seconds since the epoch; finished_at 0 while running.
    """

    schema_version: int = SCHEMA_VERSION
    fingerprint: str = ""
    model_abbr: str = ""
    stage: str = "starting"
    failure: Reason | None = None
    started_at: float = 0.0
    finished_at: float = 0.0
    model: ModelFacts = field(default_factory=ModelFacts)
    versions: dict[str, str] = field(default_factory=dict)
    datasets: tuple[DatasetResult, ...] = ()
    hardware: dict[str, str] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Every requested dataset is ok or skipped; with no dataset, nothing was left to do."""
        return self.failure is None and all(d.status in (OK, SKIPPED) for d in self.datasets)

    @property
    def average(self) -> float | None:
        """Unweighted mean of the scores of the datasets that are ok; None when there is none."""
        scores = [d.score for d in self.datasets if d.status == OK and d.score is not None]
        return sum(scores) / len(scores) if scores else None


@dataclass(frozen=True)
class Sample:
    """One sample, one repeat.

    Attributes:
        subset: OpenCompass abbr.
        index: Position in the subset, from 0.
        prompt: What was asked, before the chat template.
        prediction: The model's raw answer.
        extracted: The answer that the evaluator took from it; None when unknown.
        correct: True, False, or None when OpenCompass does not say.
        unknown_why: Why correct is None, or empty.
        truncated: The output reached the generation limit; None when unknown.
        output_tokens: Tokens of the prediction; None when unknown.
        judge_reply: What a judge model said of it; None when none was asked.
    """

    subset: str
    index: int
    prompt: str
    prediction: str
    extracted: str | None = None
    reference: str | None = None
    correct: bool | None = None
    repeat: int = 0
    truncated: bool | None = None
    output_tokens: int | None = None
    unknown_why: str = ""
    judge_reply: str | None = None


def to_json(value: Any) -> Any:
    """Turns these dataclasses into JSON values; field names are the keys, paths become text."""
    if isinstance(value, str | int | float | None):
        return value
    if isinstance(value, dict):
        return {str(name): to_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: to_json(getattr(value, name)) for name in _field_names(type(value))}
    return str(value)


def from_json(cls: Any, value: Any) -> Any:
    """Builds ``cls`` from what ``to_json`` gave; unknown keys are ignored.

    Raises:
        TypeError, ValueError, KeyError: The value does not have the shape of ``cls``.
    """
    if value is None:
        return None
    origin = typing.get_origin(cls)
    if origin in (typing.Union, types.UnionType):
        inner = next(arg for arg in typing.get_args(cls) if arg is not type(None))
        return from_json(inner, value)
    if origin is tuple:
        return tuple(from_json(typing.get_args(cls)[0], item) for item in value)
    if origin is dict:
        return dict(value)
    if cls is Path:
        return Path(value)
    if isinstance(cls, type) and dataclasses.is_dataclass(cls):
        hints = _type_hints(cls)
        return cls(**{k: from_json(hints[k], v) for k, v in value.items() if k in hints})
    return value


@functools.cache
def _field_names(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls))


@functools.cache
def _type_hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def write_atomically(path: Path, text: str) -> None:
    """Writes ``text`` to a temporary name and moves it into place: readers never see a half.

    Side effects: creates the parent folder and replaces ``path``.
    """
    write_lines_atomically(path, (text,))


def write_lines_atomically(path: Path, lines: Iterable[str]) -> None:
    """Writes lines, which end themselves, as ``write_atomically`` does; one at a time in memory.

    Side effects: creates the parent folder and replaces ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(lines)
        temporary.replace(path)
    except BaseException:
        # On a full disk the half of it would take up the last room.
        temporary.unlink(missing_ok=True)
        raise


def write_result(path: Path, result: Result, *, is_passing: bool = False) -> None:
    """Writes a result atomically, as JSON.

    Args:
        is_passing: It will soon be written again, and is not indented, which costs most of it.
    """
    indent = None if is_passing else 1
    write_atomically(path, json.dumps(to_json(result), ensure_ascii=False, indent=indent))


def read_result(path: Path) -> Result:
    """Reads a result that ``write_result`` wrote.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It does not parse, or another schema version wrote it.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        version = value["schema_version"]
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"{path} is not a result: {exc}") from exc
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"{path} has schema version {version}, this ftbench reads {SCHEMA_VERSION}"
        )
    try:
        result: Result = from_json(Result, value)
    except (TypeError, ValueError, KeyError, AttributeError) as exc:
        raise ValueError(f"{path} is not a result: {exc}") from exc
    return result


def write_samples(path: Path, samples: Iterable[Sample]) -> None:
    """Writes the samples of one subset atomically, a line each.

    Side effects: creates the parent folder and replaces ``path``.
    """
    encode = json.JSONEncoder(ensure_ascii=False).encode
    write_lines_atomically(path, (encode(vars(sample)) + "\n" for sample in samples))


def read_samples(path: Path) -> list[Sample]:
    """Reads the samples of one subset; an absent file gives an empty list."""
    return list(iterate_samples(path))


def iterate_samples(path: Path) -> Iterator[Sample]:
    """Reads the samples of one subset, one at a time; an absent file gives none.

    Raises:
        ValueError, TypeError, AttributeError: A line is no sample.
    """
    if not path.is_file():
        return
    names = set(_field_names(Sample))
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                value = json.loads(line)
                yield Sample(**{name: own for name, own in value.items() if name in names})
