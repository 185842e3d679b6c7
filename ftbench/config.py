"""The typed configuration: what a user may say, with its meaning, unit and default.

Hydra composes ``conf/`` and the command line into these classes. Checking a composed config
(unknown keys, missing values, values out of range) is here too, so that every problem of one
command is reported at once. Nothing here reads files or the environment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class ModelConf:
    """What is evaluated. Options: ``conf/model/*.yaml``."""

    adapter: str | None = None
    """Folder of the LoRA adapter (adapter_config.json and weights); null: the base model itself."""
    base: str | None = None
    """Base (or full) model: a folder or a Hugging Face id; null: the one the adapter names."""
    type: str = "auto"
    """auto; chat: format prompts with the tokenizer's chat template; base: plain text."""
    dtype: str = "auto"
    """auto (the model's own), float32, float16 or bfloat16."""
    max_seq_len: int | None = None
    """Input limit in tokens; null: the model's own."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model."""


@dataclass
class SuiteConf:
    """A named list of datasets. Options: ``conf/suite/*.yaml``."""

    name: str = ""
    """Name of the suite, empty when none is chosen."""
    datasets: list[str] = field(default_factory=list)
    """Dataset names, evaluated before those of ``datasets=[...]``."""


@dataclass
class BackendConf:
    """How the model answers. Options: ``conf/backend/*.yaml``."""

    name: str = "transformers"
    """transformers or vllm."""
    max_out_len: int = 2048
    """Generation limit in tokens, for presets that set none of their own."""
    batch_size: int = 8
    """Samples per inference batch, at least 1."""
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
    """GPU indices or UUIDs to use, instead of the first num_gpus."""
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
    """docker: auto (on only when something must be downloaded), none, or a network's name."""
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
    """MLflow run that trained the adapter; scores are linked to it both ways."""
    nest: bool = False
    """Make the benchmark run a child of the training run (the UI then folds it away)."""
    write_back: str = "metrics"
    """What the training run receives: metrics, tags or none."""
    request_timeout: int = 30
    """Seconds that one request to the tracker may take."""


@dataclass
class Config:
    """One evaluation."""

    datasets: list[str] = MISSING
    """Dataset names, such as [mmlu,gsm8k]; an empty list is a success with nothing to do."""
    suite: SuiteConf = field(default_factory=SuiteConf)
    model: ModelConf = field(default_factory=ModelConf)
    backend: BackendConf = field(default_factory=BackendConf)
    runtime: RuntimeConf = field(default_factory=RuntimeConf)
    tracking: TrackingConf = field(default_factory=TrackingConf)
    limit: int | None = None
    """First N rows of each subset; null: all."""
    timeout: int = 3600
    """Seconds for the whole evaluation; then it is stopped and what is finished is kept."""
    workspace: str | None = None
    """Folder for everything the run writes; null: ftbench_workspace/<model name>."""
    data_dir: str | None = None
    """Folder that contains data/ in OpenCompass's layout; null: COMPASS_DATA_CACHE, else
    ~/.cache/opencompass."""
    reuse: str = "auto"
    """auto: a complete result of the same fingerprint answers at once, an unfinished one goes on;
    never: evaluate again."""
    dry_run: bool = False
    """Print exactly what would be launched, and stop."""


_CHOICES = {
    "model.type": ("auto", "chat", "base"),
    "model.dtype": ("auto", "float32", "float16", "bfloat16"),
    "backend.name": ("transformers", "vllm"),
    "backend.merge_adapter": ("auto", "always", "never"),
    "runtime.name": ("docker", "local"),
    "tracking.name": ("mlflow", "none"),
    "tracking.write_back": ("metrics", "tags", "none"),
    "reuse": ("auto", "never"),
}
