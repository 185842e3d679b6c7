"""Finds everything that is wrong with a composed configuration, all of it at once.

Reads nothing but the configuration: what is on this machine is for preflight.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ftbench.config import (
    Config,
    dataset_names,
    flatten,
    looks_like_a_file,
    num_gpus,
    own_options,
    shown_names,
)
from ftbench.dataset_options import option_problems, option_values
from ftbench.errors import Problem
from ftbench.gate_checks import gate_problems
from ftbench.options import OPTION_NAMES
from ftbench.training_command import KEY as TRAINING
from ftbench.training_command import command_problem

if TYPE_CHECKING:
    from omegaconf import DictConfig

_CHOICES = {
    "model.type": ("auto", "chat", "base"),
    "model.dtype": ("auto", "float32", "float16", "bfloat16"),
    "backend.name": ("transformers", "vllm"),
    "backend.merge_adapter": ("auto", "always", "never"),
    "backend.order": ("stream", "stock"),
    "runtime.name": ("docker", "local"),
    "tracking.name": ("mlflow", "none"),
    "tracking.write_back": ("metrics", "tags", "none"),
    "gate.evidence": ("interval", "score"),
    "reuse": ("auto", "never"),
}

_AT_LEAST = {
    "timeout": 1,
    "model.max_seq_len": 1,
    "backend.max_out_len": 1,
    "backend.batch_size": 1,
    "backend.batch_tokens": 1,
    "backend.data_parallel": 1,
    "backend.tensor_parallel": 1,
    "backend.temperature": 0,
    "backend.seed": 0,
    "runtime.num_gpus": 0,
    "runtime.cpu_threads": 1,
    "runtime.scoring_workers": 1,
    "runtime.scoring_timeout": 1,
    "runtime.pids_limit": 16,
    "runtime.stop_grace": 1,
    "tracking.request_timeout": 1,
    "tracking.step": 0,
    "judge.temperature": 0,
    "judge.max_out_len": 1,
    "judge.request_timeout": 1,
    "judge.retries": 0,
    "judge.concurrency": 1,
    "gate.allowed_supporting": 0,
    "training.timeout": 1,
    "feedback.samples": 0,
    "feedback.seed": 0,
}

_SHARES = ("backend.top_p", "backend.gpu_memory_utilization")

_SHARES_OR_NONE = ("flag_above",)

_SIZES = ("runtime.memory", "runtime.shm_size", "runtime.tmp_size")

_MAX_PROMPT = 100_000
"""One environment variable holds less than 128 KiB."""

HELP = "python -m ftbench.run --help lists every key"


def validate(cfg: DictConfig) -> list[Problem]:
    """Finds everything that is wrong with a composed configuration.

    Args:
        cfg: What Hydra composed, with ``Config`` as its schema.

    Returns:
        One problem per unknown key, missing value or value out of range; empty when it is usable.
    """
    problems = list(_unknown_keys(cfg, ""))
    problems += _missing(cfg)
    problems += _out_of_range(cfg)
    problems += _contradictions(cfg)
    own = [(str(key), option_values(conf)) for key, conf in own_options(cfg)]
    problems += option_problems(option_values(cfg), own, shown_names(cfg))
    return problems


def closest(word: str, known: Iterable[str]) -> str:
    """A hint such as ``; did you mean 'quick'?``, or an empty string."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""


def closest_key(name: str) -> str:
    """A hint at the key that was meant, wherever in the configuration it stands."""
    if name.startswith("per_dataset."):
        dataset, _, option = name.rpartition(".")
        return closest(option, OPTION_NAMES).replace("'", f"'{dataset}.", 1)
    keys = list(flatten(Config(datasets=[]), keep_unset=True))
    if "." not in name:
        keys += [f.name for f in dataclasses.fields(Config) if f.name not in keys]
    leaf = name.rpartition(".")[2]
    same_leaf = [key for key in keys if key.rpartition(".")[2] == leaf]
    return f"; did you mean '{same_leaf[0]}'?" if same_leaf else closest(name, keys)


def _unknown_keys(node: DictConfig, prefix: str) -> Iterator[Problem]:
    # Hydra's "+key=value" gets past the schema (measured on 1.3.8): the fields are compared here.
    from omegaconf import DictConfig, OmegaConf

    cls = OmegaConf.get_type(node)
    if cls is None or not dataclasses.is_dataclass(cls):
        return
    known = [f.name for f in dataclasses.fields(cls)]
    for key in map(str, node):
        name = f"{prefix}{key}"
        if is_key_of_judge(name):
            yield key_problem(name)
        elif key not in known:
            yield Problem(name, f"unknown key '{name}'{closest_key(name)}", HELP)
        elif not OmegaConf.is_missing(node, key) and isinstance(node._get_node(key), DictConfig):
            yield from _unknown_keys(node[key], f"{name}.")


def _missing(cfg: DictConfig) -> list[Problem]:
    from omegaconf import OmegaConf

    problems = []
    if OmegaConf.is_missing(cfg, "datasets") and not cfg.suite.datasets:
        problems.append(
            Problem(
                "datasets", "nothing says what to evaluate", "datasets=[mmlu,gsm8k] or suite=quick"
            )
        )
    if not cfg.model.adapter and not cfg.model.base:
        happened, base = "neither model.adapter nor model.base is set", "DIR_OR_NAME"
        if cfg.training.command is not None:
            happened, base = f"{happened}, so nothing says where {TRAINING} writes", "DIR"
        cure = f"model.adapter=DIR for a LoRA adapter, model.base={base} for a full model"
        problems.append(Problem("model", happened, cure))
    return problems


def _out_of_range(cfg: DictConfig) -> Iterator[Problem]:
    from omegaconf import OmegaConf

    for key, choices in _CHOICES.items():
        value = OmegaConf.select(cfg, key)
        if value not in choices:
            yield Problem(f"{key}={value}", f"must be one of {', '.join(choices)}")
    for key, least in _AT_LEAST.items():
        value = OmegaConf.select(cfg, key)
        if value is not None and not value >= least:
            yield Problem(f"{key}={value}", f"must be at least {least}")
    for key in _SHARES:
        value = OmegaConf.select(cfg, key)
        if not 0 < value <= 1:
            yield Problem(f"{key}={value}", "must be above 0 and at most 1")
    for key in _SHARES_OR_NONE:
        value = OmegaConf.select(cfg, key)
        if not 0 <= value <= 1:
            yield Problem(f"{key}={value}", "must be between 0 and 1")
    for key in _SIZES:
        value = OmegaConf.select(cfg, key)
        if value is not None and not re.fullmatch(r"[1-9]\d*[bkmgBKMG]?", value):
            yield Problem(f"{key}={value}", "must be a size such as 512m or 8g")


def _contradictions(cfg: DictConfig) -> Iterator[Problem]:
    runtime, backend = cfg.runtime, cfg.backend
    if backend.name == "vllm" and num_gpus(runtime) == 0:
        yield Problem("backend=vllm", "needs a GPU, and none is asked for", "runtime.num_gpus=1")
    yield from _gpu_contradictions(runtime)
    yield from _parallel_contradictions(backend, num_gpus(runtime))
    if backend.custom_prompt and len(backend.custom_prompt.encode()) > _MAX_PROMPT:
        yield Problem("backend.custom_prompt", f"is longer than {_MAX_PROMPT} bytes")
    if cfg.baseline is not None and not cfg.baseline.strip():
        yield Problem("baseline=", "it names nothing", "baseline=none, base, best or a run")
    yield from _judge_contradictions(cfg.judge)
    yield from _training_contradictions(cfg)
    yield from gate_problems(cfg)
    for name in dataset_names(cfg):
        # A list inside the list gets here as it is.
        is_name = str(name).strip() and not re.search(r"[,\s\[\]]", str(name))
        if not is_name and not (isinstance(name, str) and looks_like_a_file(name)):
            happened = "a dataset name has no comma, space or bracket"
            yield Problem(f"datasets: '{name}'", happened, "datasets=[mmlu,gsm8k]")


def _gpu_contradictions(runtime: DictConfig) -> Iterator[Problem]:
    for key in ("gpu_ids", "gpu_pool"):
        names = runtime[key]
        if names is not None and len(set(names)) != len(names):
            yield Problem(f"runtime.{key}={list(names)}", "names a GPU twice")
    pool = runtime.gpu_pool
    if pool is None:
        return
    if runtime.gpu_ids is not None:
        happened = "runtime.gpu_ids says exactly which GPUs are used"
        yield Problem(f"runtime.gpu_pool={list(pool)}", happened, "leave one of the two out")
    elif len(pool) < runtime.num_gpus:
        happened = f"holds {len(pool)} GPUs, and one evaluation needs {runtime.num_gpus}"
        cure = "name more, or runtime.num_gpus=N"
        yield Problem(f"runtime.gpu_pool={list(pool)}", happened, cure)


def _parallel_contradictions(backend: DictConfig, gpus: int) -> Iterator[Problem]:
    data, tensor = backend.data_parallel, backend.tensor_parallel
    if gpus == 0:
        if tensor is not None:
            yield Problem(f"backend.tensor_parallel={tensor}", "needs GPUs, and none is used")
        return
    wanted = max(data or 1, 1) * max(tensor or 1, 1)
    if wanted <= gpus:
        return
    named = {"data_parallel": data, "tensor_parallel": tensor}
    keys = " ".join(f"backend.{key}={value}" for key, value in named.items() if value is not None)
    happened = f"takes {wanted} GPUs, and one evaluation has {gpus}"
    yield Problem(keys, happened, f"runtime.num_gpus={wanted}")


def _training_contradictions(cfg: DictConfig) -> Iterator[Problem]:
    if problem := command_problem(cfg.training.command):
        yield problem
    written = "adapter" if cfg.model.adapter else "base"
    named = cfg.model[written] or ""
    if cfg.training.command is not None and named.startswith("runs:/"):
        happened = f"{TRAINING} writes into a folder, and this is what another training wrote"
        yield Problem(f"model.{written}={named}", happened, f"model.{written}=DIR")


def is_key_of_judge(name: str) -> bool:
    """Whether a setting's name means the judge's key, which is no setting."""
    return bool(
        re.fullmatch(r"(?i)(judge\.)?((oc_)?judge_)?(api|secret|access)?_?(key|token)", name)
    )


def key_problem(name: str) -> Problem:
    """What to say of it; its value is never repeated."""
    happened = "the judge's key is taken from the environment only: others see a command line"
    return Problem(name, happened, f"export OC_JUDGE_API_KEY=... and leave {name} out")


def _judge_contradictions(judge: DictConfig) -> Iterator[Problem]:
    if bool(judge.model) != bool(judge.api_base):
        there, absent = ("model", "api_base") if judge.model else ("api_base", "model")
        example = "http://HOST:8000/v1" if judge.model else "NAME"
        happened = f"judge.{absent} is not set, and one needs the other"
        yield Problem(f"judge.{there}", happened, f"judge.{absent}={example}")
    if not judge.api_base:
        return
    try:
        parts = urlsplit(judge.api_base)
        # Reading the port raises ValueError where it is none.
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    # The value may hold a secret by mistake: it is not repeated.
    if is_url and (parts.username or parts.password):
        yield key_problem("judge.api_base")
    elif not is_url or parts.query or parts.fragment:
        happened = "must be an http or https address without a query"
        yield Problem("judge.api_base", happened, "judge.api_base=http://HOST:8000/v1")
    elif parts.path.rstrip("/").endswith("/chat/completions"):
        base = judge.api_base.rstrip("/").removesuffix("/chat/completions")
        yield Problem(
            "judge.api_base", "/chat/completions is put behind it", f"judge.api_base={base}"
        )
