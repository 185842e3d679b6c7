"""The typed configuration: what a user may say, with its meaning, unit and default.

Hydra composes ``conf/`` and the command line into these classes; ``config_checks`` says what is
wrong with them. Nothing here reads files or the environment.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbench.own_rows import own_name

if TYPE_CHECKING:
    from omegaconf import DictConfig

MISSING: Any = "???"
"""OmegaConf's mark of a value that must be given; importing OmegaConf takes half a second, which
``--help`` need not wait for."""


@dataclass
class ModelConf:
    """What is evaluated. Options: ``conf/model/*.yaml``."""

    adapter: str | None = None
    """Folder of the LoRA adapter (adapter_config.json and weights), or runs:/RUN_ID, the adapter
    that an MLflow run trained (runs:/RUN_ID/checkpoint-500: one of its checkpoints); null: the base
    model itself."""
    base: str | None = None
    """Base (or full) model: a folder, a Hugging Face id or runs:/RUN_ID; null: the one the adapter
    names."""
    type: str = "auto"
    """auto; chat: format prompts with the tokenizer's chat template; base: plain text."""
    dtype: str = "auto"
    """auto (the model's own), float32, float16 or bfloat16."""
    max_seq_len: int | None = None
    """Input limit in tokens; null: the model's own."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model."""


@dataclass
class DatasetConf:
    """Options of one dataset, as those of the same name for all; null: those for all."""

    limit: int | None = None
    test_range: str | None = None
    split: str | None = None
    num_runs: int | None = None
    pass_k: list[int] | None = None
    num_shots: int | None = None


@dataclass
class SuiteConf:
    """A named list of datasets. Options: ``conf/suite/*.yaml``."""

    name: str = ""
    """Name of the suite, empty when none is chosen."""
    datasets: list[str] = field(default_factory=list)
    """Dataset names, evaluated before those of ``datasets=[...]``."""
    per_dataset: dict[str, DatasetConf] = field(default_factory=dict)
    """Options of single datasets of it; ``per_dataset`` goes before them."""


@dataclass
class BackendConf:
    """How the model answers. Options: ``conf/backend/*.yaml``."""

    name: str = "transformers"
    """transformers or vllm."""
    max_out_len: int = 2048
    """Generation limit in tokens, for presets that set none of their own."""
    batch_size: int | None = None
    """Samples per inference batch at most; null: as many as the memory has room for."""
    batch_tokens: int | None = None
    """Tokens per batch at most, with padding and room for the output; null: by the free memory."""
    order: str = "stream"
    """stream: one stream of batches across all subsets, sorted by length; stock: one subset after
    the other in OpenCompass's own batches, 8 samples where batch_size is null."""
    data_parallel: int | None = None
    """Copies of the model that share the work, each on GPUs of its own; null: as many as
    runtime.num_gpus has room for."""
    tensor_parallel: int | None = None
    """GPUs that one copy of the model is spread over; null: as few as hold it."""
    temperature: float = 0.0
    """Sampling temperature; 0 is greedy and repeatable."""
    top_p: float = 1.0
    """Nucleus sampling mass, above 0 up to 1; used when temperature is above 0."""
    custom_prompt: str | None = None
    """System prompt put before every sample."""
    seed: int = 0
    """Seed of every random generator."""
    merge_adapter: str = "auto"
    """auto, always or never: merge the adapter into the base before vLLM serves it."""
    gpu_memory_utilization: float = 0.9
    """Share of GPU memory that vLLM may take, above 0 up to 1."""


@dataclass
class RuntimeConf:
    """Where the evaluation program runs. Options: ``conf/runtime/*.yaml``."""

    name: str = "docker"
    """docker: an isolated container; local: a process in an environment of its own."""
    num_gpus: int = 1
    """GPUs to use; 0: CPU."""
    gpu_ids: list[str] | None = None
    """GPU indices or UUIDs to use: exactly these, instead of any num_gpus of the pool."""
    gpu_pool: list[str] | None = None
    """GPU indices or UUIDs that jobs share, each held by one evaluation at a time; null: those of
    CUDA_VISIBLE_DEVICES, else all."""
    cpu_threads: int | None = None
    """Threads of one numeric operation; null: half of the processors."""
    scoring_workers: int = 2
    """Scoring processes at a time."""
    scoring_timeout: int = 1800
    """Seconds that scoring one subset may take."""
    image: str | None = None
    """docker: image name; null: ftbench-opencompass:<version>-cuda or -cpu."""
    memory: str | None = None
    """docker: memory limit such as 32g; null: the machine's."""
    shm_size: str = "8g"
    """docker: size of /dev/shm."""
    tmp_size: str = "8g"
    """docker: size of the writable /tmp."""
    pids_limit: int = 4096
    """docker: processes and threads at most."""
    network: str = "auto"
    """docker: auto (none: data is brought before), none, or a network's name."""
    stop_grace: int = 30
    """Seconds between the request to stop and the kill."""
    python: str | None = None
    """local: interpreter (3.11 or 3.12) of the environment; null: a fitting one is looked for."""
    environment: str | None = None
    """local: a ready environment's folder, instead of the one ftbench builds and caches."""


@dataclass
class TrackingConf:
    """Where scores are recorded. Options: ``conf/tracking/*.yaml``."""

    name: str = "mlflow"
    """mlflow or none."""
    uri: str | None = None
    """Tracking server or sqlite URI; null: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db here."""
    experiment: str | None = None
    """Experiment; null: the training run's, else ftbench."""
    training_run_id: str | None = None
    """MLflow run that trained the adapter; scores are linked to it both ways. null: the one that
    ftbench_training.json beside the adapter names."""
    step: int | None = None
    """Training step at which the training run receives the scores; null: the checkpoint's own, else
    the last of the training run's loss."""
    sweep_id: str | None = None
    """The sweep that this evaluation is a job of; a sweep sets it by itself."""
    nest: bool = False
    """Make the benchmark run a child of the training run (the UI then folds it away)."""
    write_back: str = "metrics"
    """What the training run receives: metrics, tags or none."""
    request_timeout: int = 30
    """Seconds that one request to the tracker may take."""


@dataclass
class JudgeConf:
    """The model that judges answers where rules cannot. Options: ``conf/judge/*.yaml``.

    Its key comes from the environment variable OC_JUDGE_API_KEY and from nowhere else.
    """

    model: str | None = None
    """Name of the judge model at its endpoint; null: no judge."""
    api_base: str | None = None
    """OpenAI-compatible endpoint, such as http://gpu-box:8000/v1 (without /chat/completions)."""
    temperature: float = 0.0
    """Sampling temperature; 0 is greedy."""
    max_out_len: int = 4096
    """Limit of one reply in tokens; a reply that is cut is no verdict."""
    request_timeout: int = 120
    """Seconds that one request may take."""
    retries: int = 5
    """Further tries, with growing pauses, of a request that is not answered."""
    concurrency: int = 8
    """Requests at a time."""


@dataclass
class GateRuleConf:
    """What the score of a dataset must hold; null: what ``gate.rule`` says, else the default."""

    tier: str | None = None
    """critical, supporting or advisory; default critical."""
    floor: float | None = None
    """The least score, in its own unit (most: percent)."""
    max_drop: float | None = None
    """How far it may lie below the baseline's score, in the same unit."""
    max_drop_share: float | None = None
    """The same as a share of the baseline's score, 0 to 1. A dataset that has a limit of its own
    for the drop, of either kind, has only that one."""
    min_coverage: float | None = None
    """Share of the samples that must stand behind the score, 0 to 1; default 1."""
    min_samples: int | None = None
    """Rows that must stand behind it; default 1."""
    max_truncated: float | None = None
    """Share of answers, 0 to 1, that may have reached the generation limit; default 0.05."""
    max_empty: float | None = None
    """Share of answers that may be empty; default 0.05."""
    max_unextracted: float | None = None
    """Share of answers from which the evaluator may have taken nothing; default 0.05."""


@dataclass
class GateConf:
    """What must hold of the scores before a model goes on. Options: ``conf/gate/*.yaml``."""

    name: str = ""
    """Name of the policy, empty when none is chosen."""
    evidence: str = "interval"
    """interval: a limit is kept, or broken, where the whole 95 % interval lies on that side of it,
    and else it is inconclusive; score: the score alone decides, whatever chance may have done."""
    rule: GateRuleConf = field(default_factory=GateRuleConf)
    """What every evaluated dataset must hold."""
    per_dataset: dict[str, GateRuleConf] = field(default_factory=dict)
    """What single datasets must hold, in place of the same key of gate.rule."""
    allowed_supporting: int = 0
    """Supporting datasets that may break a limit without a breach."""
    registered_model: str | None = None
    """Registered model of MLflow whose alias moves to this model when it passes; null: none."""
    alias: str | None = None
    """The alias that moves, such as champion."""


@dataclass
class TrainingConf:
    """A training that ftbench starts first; what it writes is then evaluated."""

    command: Any = None
    """Command that trains: a text, split as a shell would, or a list; never run by a shell. It
    writes into model.adapter (a full model: into model.base). null: nothing is trained."""
    cwd: str | None = None
    """Folder that the command runs in; null: this one."""
    timeout: int | None = None
    """Seconds that the training may take; null: no limit."""


@dataclass
class FeedbackConf:
    """Wrong answers in ``feedback.json``, for programs that improve the model or its prompts."""

    samples: int = 20
    """Wrong answers in feedback.json, evenly from all datasets and subsets; 0: none. What was asked
    with split=test is never among them."""
    seed: int = 0
    """Seed of their choice: another one shows other answers of the same run."""


@dataclass
class Config:
    """One evaluation."""

    datasets: list[str] = MISSING
    """Dataset names, such as [mmlu,gsm8k], and your own files, such as [./quiz.jsonl]; an empty
    list is a success with nothing to do."""
    suite: SuiteConf = field(default_factory=SuiteConf)
    model: ModelConf = field(default_factory=ModelConf)
    backend: BackendConf = field(default_factory=BackendConf)
    runtime: RuntimeConf = field(default_factory=RuntimeConf)
    tracking: TrackingConf = field(default_factory=TrackingConf)
    judge: JudgeConf = field(default_factory=JudgeConf)
    gate: GateConf = field(default_factory=GateConf)
    training: TrainingConf = field(default_factory=TrainingConf)
    feedback: FeedbackConf = field(default_factory=FeedbackConf)
    limit: int | None = None
    """First N rows of each subset; null: all."""
    test_range: str | None = None
    """Slice of the rows of each subset, such as [10:20] or [-5:]."""
    split: str | None = None
    """validation or test: the first or the last half of each subset's rows, at most 100."""
    num_runs: int | None = None
    """How often every row is asked; the score is the mean of the runs."""
    pass_k: list[int] = field(default_factory=list)
    """The k of pass@k, such as [1,4]; each at most num_runs."""
    num_shots: int | None = None
    """Examples before each question, where the preset lets choose; null: the preset's."""
    per_dataset: dict[str, DatasetConf] = field(default_factory=dict)
    """Options of one dataset in place of those above: per_dataset.mmlu.limit=20; a key of its own
    for each of limit, test_range, split, num_runs, pass_k and num_shots."""
    flag_above: float = 0.05
    """A score is flagged where more than this share of its answers, 0 to 1, is truncated, empty or
    unextracted (the evaluator took no answer from it)."""
    timeout: int = 3600
    """Seconds for the whole evaluation; then it is stopped and what is finished is kept. The base
    model's evaluation has as many of its own."""
    workspace: str | None = None
    """Folder for everything the run writes; null: ftbench_workspace/<model name>, which one
    model in one setting has for all its evaluations."""
    data_dir: str | None = None
    """Folder that contains data/ in OpenCompass's layout; null: COMPASS_DATA_CACHE, else
    ~/.cache/opencompass."""
    download: bool = True
    """Download data that is not on this machine before anything is started; false: never."""
    baseline: str | None = "base"
    """What the scores are compared with, each difference with its interval. base: the base model,
    which is evaluated the same way after the adapter, once for all its adapters; best: the best
    run in MLflow that can be compared; or a run: its id, name or folder; none."""
    reuse: str = "auto"
    """auto: what the workspace or MLflow has complete, of the same fingerprint, is not evaluated
    again, dataset by dataset, and an unfinished run goes on; never: evaluate everything."""
    allow_outside_services: bool = False
    """Let scoring send what the model wrote to services outside (bigcodebench, multipl_e, ...)."""
    canary: bool = True
    """Show on a few fixed prompts, before the benchmarks, that the adapter changes what the model
    answers, and stop where it does not; false: evaluate all the same."""
    dry_run: bool = False
    """Print exactly what would be launched, and stop."""


def num_gpus(runtime: RuntimeConf | DictConfig) -> int:
    """GPUs that a run takes: as many as ``gpu_ids`` names, else ``num_gpus``."""
    return int(runtime.num_gpus) if runtime.gpu_ids is None else len(runtime.gpu_ids)


def dataset_names(cfg: Config | DictConfig) -> tuple[str, ...]:
    """The suite's datasets, then those of ``datasets=[...]``, each once, in that order."""
    if isinstance(cfg, Config):
        chosen = list(cfg.datasets)
    else:
        from omegaconf import OmegaConf

        chosen = [] if OmegaConf.is_missing(cfg, "datasets") else list(cfg.datasets)
    return tuple(dict.fromkeys([*cfg.suite.datasets, *chosen]))


def looks_like_a_file(name: str) -> bool:
    """Whether a dataset name is the path of a user's own file; a bare ``.py`` may be a preset."""
    return name.endswith((".jsonl", ".csv")) or (
        name.endswith(".py") and name.startswith(("./", "../", "/", "~"))
    )


def shown_names(cfg: Config | DictConfig) -> tuple[str, ...]:
    """The dataset names as tables show them: a file's is its stem."""
    names = map(str, dataset_names(cfg))
    return tuple(own_name(Path(n)) if looks_like_a_file(n) else n for n in names)


def own_options(cfg: Config | DictConfig) -> list[tuple[str, Any]]:
    """The options of single datasets, those of the suite first: what comes later wins."""
    return [*cfg.suite.per_dataset.items(), *cfg.per_dataset.items()]


def flatten(config: Config, keep_unset: bool = False) -> dict[str, str]:
    """The configuration as flat ``group.key`` text, in the order of the fields.

    Args:
        config: A complete configuration.
        keep_unset: Keep keys without a value, as empty text.
    """
    flat: dict[str, str] = {}

    def walk(value: Any, prefix: str) -> None:
        for key, item in value.items():
            if isinstance(item, dict) and (item or not keep_unset):
                walk(item, f"{prefix}{key}.")
            elif item is not None or keep_unset:
                is_many = isinstance(item, list | dict)
                flat[f"{prefix}{key}"] = ",".join(map(str, item)) if is_many else str(item)

    walk(dataclasses.asdict(config), "")
    return flat
