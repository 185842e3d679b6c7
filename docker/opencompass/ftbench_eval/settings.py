"""Turns the environment variables of the contract into one value; the only reader of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ftbench.judge_client import JudgeEndpoint
from ftbench.options import DatasetOptions, options_from_json

T = TypeVar("T")

MODEL_TYPES = ("auto", "chat", "base")
MERGE_CHOICES = ("auto", "always", "never")
DTYPES = ("auto", "float32", "float16", "bfloat16")
STREAM = "stream"
ORDERS = (STREAM, "stock")


class SettingsError(Exception):
    """The environment is not usable; ``problems`` has one line for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Settings:
    """What ``ftbench.schema.VARIABLES`` says, typed; names and units are those of the variables.

    Attributes:
        datasets: Dataset names as the user gave them, each once.
        adapter: Adapter folder, or None to evaluate the base (or full) model.
        batch_size: Samples per batch at most, or None for as many as have room.
        batch_tokens: Tokens per batch at most, or None: by free memory.
        data_parallel: Copies of the model, or None to choose.
        tensor_parallel: GPUs of each copy, or None to choose.
        max_seq_len: Input limit in tokens, or None for the model's own context.
        options: By dataset name; absent: the preset as it is.
        files: The user's own files, by dataset name.
        timeout_s: None: never.
        data_folder: Folder that contains ``data/``, or None for OpenCompass's own cache.
        judge: The judge model, or None.
        secrets_folder: Folder of secret files, or None.
        canary: The adapter has to show an effect before anything is asked.
    """

    datasets: tuple[str, ...]
    base_model: str
    adapter: Path | None
    model_abbr: str
    max_out_len: int
    batch_size: int | None
    batch_tokens: int | None
    order: str
    num_gpus: int
    data_parallel: int | None
    tensor_parallel: int | None
    temperature: float
    top_p: float
    max_seq_len: int | None
    use_vllm: bool
    custom_prompt: str
    model_type: str
    merge_adapter: str
    dtype: str
    trust_remote_code: bool
    seed: int
    options: dict[str, DatasetOptions]
    files: dict[str, Path]
    gpu_memory_utilization: float
    fingerprint: str
    output: Path
    timeout_s: float | None
    scoring_timeout_s: float
    scoring_workers: int
    data_folder: Path | None
    judge: JudgeEndpoint | None
    allow_outside_services: bool
    secrets_folder: Path | None
    canary: bool


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Reads the variables; those that may be absent have the defaults that stand here.

    Args:
        environ: Variables by name, such as ``os.environ``.

    Raises:
        SettingsError: With every problem at once.
    """
    read = _Reader(environ)
    names = [name.strip() for name in read.text("BENCHMARK_DATASETS", None).split(",")]
    datasets = tuple(dict.fromkeys(name for name in names if name))
    # Without a dataset there is nothing to load, so nothing about the model is asked for.
    needed = None if datasets else ""
    settings = Settings(
        datasets=datasets,
        base_model=read.filled("BASE_MODEL", needed),
        adapter=read.folder("ADAPTER_PATH"),
        model_abbr=read.abbr("MODEL_ABBR", needed),
        max_out_len=read.integer("MAX_OUT_LEN", 2048, at_least=1),
        batch_size=read.optional_integer("BATCH_SIZE", at_least=1),
        batch_tokens=read.optional_integer("BATCH_TOKENS", at_least=1),
        order=read.choice("INFERENCE_ORDER", "stream", ORDERS),
        num_gpus=read.integer("NUM_GPUS", 1, at_least=0),
        data_parallel=read.optional_integer("DATA_PARALLEL", at_least=1),
        tensor_parallel=read.optional_integer("TENSOR_PARALLEL", at_least=1),
        temperature=read.number("TEMPERATURE", 0.0, lambda v: v >= 0, "0 or more"),
        top_p=read.number("TOP_P", 1.0, lambda v: 0 < v <= 1, "above 0 and at most 1"),
        max_seq_len=read.optional_integer("MAX_SEQ_LEN", at_least=1),
        use_vllm=read.boolean("USE_VLLM", False),
        custom_prompt=read.text("CUSTOM_PROMPT", ""),
        model_type=read.choice("MODEL_TYPE", "auto", MODEL_TYPES),
        merge_adapter=read.choice("MERGE_ADAPTER", "auto", MERGE_CHOICES),
        dtype=read.choice("DTYPE", "auto", DTYPES),
        trust_remote_code=read.boolean("TRUST_REMOTE_CODE", False),
        seed=read.integer("SEED", 0, at_least=0),
        options=read.objects("DATASET_OPTIONS", datasets, options_from_json),
        files=read.objects("DATASET_FILES", datasets, _own_file),
        gpu_memory_utilization=read.number(
            "GPU_MEMORY_UTILIZATION", 0.9, lambda v: 0 < v <= 1, "above 0 and at most 1"
        ),
        fingerprint=read.text("FINGERPRINT", ""),
        output=read.folder("OUTPUT_PATH", needed=True) or Path(),
        timeout_s=read.number("TIMEOUT_S", 0.0, lambda v: v >= 0, "0 or more") or None,
        scoring_timeout_s=read.number("SCORING_TIMEOUT_S", 1800.0, lambda v: v > 0, "above 0"),
        scoring_workers=read.integer("SCORING_WORKERS", 2, at_least=1),
        data_folder=read.folder("COMPASS_DATA_CACHE"),
        judge=_read_judge(read),
        allow_outside_services=read.boolean("ALLOW_OUTSIDE_SERVICES", False),
        secrets_folder=read.folder("SECRETS_PATH"),
        canary=read.boolean("CANARY", True),
    )
    if settings.use_vllm and settings.num_gpus == 0:
        read.problems.append("USE_VLLM=true needs a GPU, and NUM_GPUS is 0")
    if read.problems:
        raise SettingsError(read.problems)
    return settings


def _own_file(value: Any) -> Path:
    if not isinstance(value, str) or not value.startswith("/"):
        raise ValueError("must be an absolute path")
    return Path(value)


def _read_judge(read: _Reader) -> JudgeEndpoint | None:
    endpoint = JudgeEndpoint(
        model=read.text("JUDGE_MODEL", ""),
        api_base=read.text("JUDGE_API_BASE", ""),
        temperature=read.number("JUDGE_TEMPERATURE", 0.0, lambda v: v >= 0, "0 or more"),
        max_out_len=read.integer("JUDGE_MAX_OUT_LEN", 4096, at_least=1),
        timeout_s=read.number("JUDGE_TIMEOUT_S", 120.0, lambda v: v > 0, "above 0"),
        retries=read.integer("JUDGE_RETRIES", 5, at_least=0),
        concurrency=read.integer("JUDGE_CONCURRENCY", 8, at_least=1),
    )
    if bool(endpoint.model) != bool(endpoint.api_base):
        read.problems.append("JUDGE_MODEL and JUDGE_API_BASE: one needs the other")
    return endpoint if endpoint.model else None


class _Reader:
    """Reads one variable at a time and remembers what was wrong with it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def text(self, name: str, default: str | None) -> str:
        value = self._environ.get(name, default)
        if value is None:
            self.problems.append(f"{name} is not set")
            return ""
        return value

    def filled(self, name: str, default: str | None) -> str:
        value = self.text(name, default)
        if default is None and name in self._environ and not value:
            self.problems.append(f"{name} is empty")
        return value

    def abbr(self, name: str, default: str | None) -> str:
        value = self.filled(name, default)
        if "/" in value or value in (".", ".."):
            self.problems.append(f"{name}={value}: it names a folder, so it cannot contain '/'")
        return value

    def folder(self, name: str, needed: bool = False) -> Path | None:
        value = self._environ.get(name, "")
        if not value:
            if needed:
                self.problems.append(f"{name} is not set")
            return None
        if not value.startswith("/"):
            self.problems.append(f"{name}={value}: must be an absolute path")
        return Path(value)

    def boolean(self, name: str, default: bool) -> bool:
        value = self._environ.get(name, "") or str(default)
        if value.lower() not in ("true", "false"):
            self.problems.append(f"{name}={value}: must be true or false")
        return value.lower() == "true"

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self._environ.get(name, "") or default
        if value not in choices:
            self.problems.append(f"{name}={value}: must be one of {', '.join(choices)}")
        return value

    def integer(self, name: str, default: int, at_least: int) -> int:
        rule = f"at least {at_least}"
        return self._parsed(name, int, default, lambda v: v >= at_least, rule)

    def optional_integer(self, name: str, at_least: int) -> int | None:
        if not self._environ.get(name):
            return None
        return self.integer(name, at_least, at_least)

    def number(self, name: str, default: float, holds: Callable[[float], bool], rule: str) -> float:
        return self._parsed(name, float, default, holds, rule)

    def objects(
        self, name: str, datasets: tuple[str, ...], parse: Callable[[Any], T]
    ) -> dict[str, T]:
        """A JSON object with an entry for some of the datasets."""
        try:
            value = json.loads(self._environ.get(name, "") or "{}")
        except ValueError:
            value = None
        if not isinstance(value, dict):
            self.problems.append(f"{name}: must be a JSON object")
            return {}
        parsed = {}
        for key, item in value.items():
            try:
                parsed[key] = parse(item)
            except ValueError as exc:
                self.problems.append(f"{name}: '{key}' {exc}")
            if key not in datasets:
                self.problems.append(f"{name}: '{key}' is not in BENCHMARK_DATASETS")
        return parsed

    def _parsed(
        self,
        name: str,
        parse: Callable[[str], T],
        default: T,
        holds: Callable[[T], bool],
        rule: str,
    ) -> T:
        value = self._environ.get(name, "")
        if not value:
            return default
        kind = "a whole number" if parse is int else "a number"
        try:
            parsed = parse(value)
        except ValueError:
            self.problems.append(f"{name}={value}: must be {kind}")
            return default
        if not holds(parsed):
            self.problems.append(f"{name}={value}: must be {rule}")
        return parsed
