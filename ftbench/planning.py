"""Builds the plan: from a configuration and the surroundings to exactly what will happen.

Reads files (to fingerprint them and to find earlier runs) and starts nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ftbench.aggregates import own_groups
from ftbench.checkpoint import hash_folder
from ftbench.choosing import Chosen, ChosenDataset
from ftbench.config import Config, flatten, num_gpus
from ftbench.data import contents_of, linked_data
from ftbench.host import Host
from ftbench.image import image_name
from ftbench.judge import KEY_NAME, uses_judge, uses_services
from ftbench.model_source import ModelSource
from ftbench.plan import DatasetPlan, ModelPlan, Mount, Plan, TrackingPlan
from ftbench.preset import Preset
from ftbench.program import lock_hash, program_hash
from ftbench.schema import SCHEMA_VERSION
from ftbench.uris import strip_credentials
from ftbench.workspace import find_run, new_run_dir

_GENERATION_KEYS = (
    "model.type",
    "model.dtype",
    "model.max_seq_len",
    "model.trust_remote_code",
    "backend.name",
    "backend.max_out_len",
    "backend.batch_size",
    "backend.batch_tokens",
    "backend.order",
    "backend.tensor_parallel",
    "backend.temperature",
    "backend.top_p",
    "backend.custom_prompt",
    "backend.seed",
    "backend.merge_adapter",
)
"""Settings that can change a prediction; a change of any other key reuses what is there.

``backend.tensor_parallel`` is one: parts of a sum that come from several GPUs are added in another
order. ``backend.data_parallel`` is none: batches are planned before any copy is asked, each copy
gets whole ones, and sampling is seeded by the batch (on vLLM by the request), so that it does not
matter which copy answers.
"""

_JUDGE_KEYS = ("judge.model", "judge.api_base", "judge.temperature", "judge.max_out_len")
"""Settings that can change a verdict, where a chosen dataset has one."""


def make_plan(config: Config, host: Host, source: ModelSource, chosen: Chosen, now: float) -> Plan:
    """Decides everything that a launch needs.

    Args:
        config: A checked configuration.
        host: The surroundings.
        source: The model; with problems in it the plan can be shown, never launched.
        chosen: The datasets.
        now: Seconds since the epoch, for the run folder's name.
    """
    gpus = num_gpus(config.runtime)
    parts = fingerprint_parts(config, source, chosen, host, gpus)
    fingerprint = fingerprint_of(parts)
    abbr = model_abbr(source, fingerprint)
    workspace = host.path(config.workspace or f"ftbench_workspace/{abbr}").resolve()
    found = find_run(workspace, fingerprint) if config.reuse == "auto" else None
    run_dir = found.run_dir if found else new_run_dir(workspace, now)
    network = _network(config, chosen)
    runtime = config.runtime
    return Plan(
        runtime=runtime.name,
        workspace=workspace,
        run_dir=run_dir,
        model=ModelPlan(source.base, source.base_folder, source.adapter),
        model_abbr=abbr,
        datasets=tuple(map(_dataset_plan, chosen.datasets)),
        fingerprint=fingerprint,
        fingerprint_parts=parts,
        parameters=_parameters(config),
        command=tuple(strip_credentials(argument)[0] for argument in host.command),
        tracking=plan_tracking(config, host),
        environment=_environment(config, host, source, chosen, run_dir, abbr, fingerprint),
        secrets=_secrets(config, host, chosen),
        mounts=_mounts(source, chosen, host, run_dir),
        timeout_s=config.timeout,
        stop_grace_s=runtime.stop_grace,
        image=runtime.image or image_name(variant(gpus)),
        num_gpus=gpus,
        gpu_ids=tuple(runtime.gpu_ids or ()),
        memory=runtime.memory,
        shm_size=runtime.shm_size,
        tmp_size=runtime.tmp_size,
        pids_limit=runtime.pids_limit,
        network=network,
        user=host.user,
        python=runtime.python,
        environment_folder=_ready_environment(config, host),
        flag_above=config.flag_above,
        gpu_pool=tuple(runtime.gpu_pool or ()),
    )


def variant(gpus: int) -> str:
    """Name of the evaluation environment for a number of GPUs."""
    return "cuda" if gpus else "cpu"


def fingerprint_parts(
    config: Config, source: ModelSource, chosen: Chosen, host: Host, gpus: int
) -> dict[str, str]:
    """Everything that decides the scores, by name.

    The image is stood for by what it is made from (lock file and program), which preflight compares
    with the image's labels: the same evaluation in the local runtime has the same fingerprint, and
    a rebuilt image of equal content does not throw results away. Its digest is recorded as a tag.
    """
    flat = flatten(config)
    parts = {
        "schema": str(SCHEMA_VERSION),
        "program": program_hash(),
        "lock": _packages_hash(config, host, gpus),
        "num_gpus": str(gpus),
        "base": source.base_identity or source.base,
        "adapter_sha256": source.adapter_sha256,
        "datasets": json.dumps(
            [[d.name, _identity(d, preset)] for d in chosen.datasets for preset in d.presets]
        ),
        "data_sha256": _data_hash(chosen, host),
        "options": _options_json(chosen),
    }
    keys = _GENERATION_KEYS + (_JUDGE_KEYS if uses_judge(config, chosen) else ())
    return parts | {key: flat[key] for key in keys if key in flat}


def _identity(dataset: ChosenDataset, preset: Preset) -> str:
    # A file is its content: neither its folder nor the user's way to write it changes a score.
    return f"{dataset.own.path.suffix} {dataset.own.sha256}" if dataset.own else preset.path


def _options_json(chosen: Chosen) -> str:
    """What DATASET_OPTIONS says: the same whether said for all datasets or for each."""
    given = {dataset.name: dataset.options.given() for dataset in chosen.datasets}
    given = {name: options for name, options in given.items() if options}
    return json.dumps(given, ensure_ascii=False) if given else ""


def _ready_environment(config: Config, host: Host) -> Path | None:
    folder = config.runtime.environment
    return host.path(folder) if folder else None


def _packages_hash(config: Config, host: Host, gpus: int) -> str:
    """Stands for the packages: the lock's, or those in the environment that the user made."""
    folder = _ready_environment(config, host)
    if folder is None or config.runtime.name != "local":
        return lock_hash(variant(gpus))
    installed = sorted(p.name for p in folder.glob("lib/python3*/site-packages/*.dist-info"))
    return hashlib.sha256("\n".join(installed).encode()).hexdigest()


def fingerprint_of(parts: dict[str, str]) -> str:
    """sha256 of the parts, 64 hex digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _data_hash(chosen: Chosen, host: Host) -> str:
    cache = host.cache_dir / "hashes.json"
    digest = hashlib.sha256()
    places = {
        source.path: contents_of(source, chosen.data_dir, host.hub_dir)
        for _, source in chosen.sources
        if source.kind != "bundled"
    }
    for path, contents in sorted(places.items()):
        found = "+".join(hash_folder(place, cache) for place in contents) or "missing"
        digest.update(f"{path}={found}\n".encode())
    return digest.hexdigest()


def model_abbr(source: ModelSource, fingerprint: str) -> str:
    """A readable unique name: base, kind, 8 hex digits, such as ``qwen2-1.5b-ft-abc12345``."""
    name = re.sub(r"[^a-z0-9.]+", "-", Path(source.base).name.lower()).strip("-.") or "model"
    kind = "ft" if source.adapter else "base"
    return f"{name[:48]}-{kind}-{fingerprint[:8]}"


def plan_tracking(config: Config, host: Host) -> TrackingPlan:
    """Where the scores go, with the default store and without credentials."""
    conf = config.tracking
    if conf.name == "none":
        return TrackingPlan(kind="none")
    return TrackingPlan(
        kind=conf.name,
        uri=host.tracking_store(conf.uri),
        experiment=conf.experiment,
        training_run_id=conf.training_run_id,
        nest=conf.nest,
        write_back=conf.write_back,
        request_timeout_s=conf.request_timeout,
        step=conf.step,
        sweep_id=conf.sweep_id,
    )


def _dataset_plan(dataset: ChosenDataset) -> DatasetPlan:
    sources = dict.fromkeys(source for preset in dataset.presets for source in preset.sources)
    modes = {preset.mode for preset in dataset.presets}
    return DatasetPlan(
        name=dataset.name,
        presets=tuple(preset.path for preset in dataset.presets),
        mode=modes.pop() if len(modes) == 1 else "mixed",
        subsets=dataset.subsets,
        data_paths=tuple(s.path for s in sources if s.kind in ("download", "local")),
        groups=own_groups((p.groups, abbrs) for p, abbrs in dataset.abbrs),
        options=dataset.options,
    )


def _parameters(config: Config) -> dict[str, str]:
    return {key: strip_credentials(value)[0] for key, value in flatten(config).items()}


def _network(config: Config, chosen: Chosen) -> str | None:
    asked = config.runtime.network
    if asked != "auto":
        return None if asked == "none" else asked
    return "bridge" if uses_judge(config, chosen) or uses_services(config, chosen) else None


def _secrets(config: Config, host: Host, chosen: Chosen) -> tuple[str, ...]:
    """Each secret goes only where it is needed."""
    named = config.runtime.network not in ("auto", "none")
    needed = {KEY_NAME: uses_judge(config, chosen), "HF_TOKEN": named}
    return tuple(sorted(name for name in host.secrets if needed[name]))


def _judge_environment(config: Config, chosen: Chosen) -> dict[str, Any]:
    judge, judged = config.judge, uses_judge(config, chosen)
    return {
        "JUDGE_MODEL": (judge.model or "") if judged else "",
        "JUDGE_API_BASE": (judge.api_base or "") if judged else "",
        "JUDGE_TEMPERATURE": judge.temperature,
        "JUDGE_MAX_OUT_LEN": judge.max_out_len,
        "JUDGE_TIMEOUT_S": judge.request_timeout,
        "JUDGE_RETRIES": judge.retries,
        "JUDGE_CONCURRENCY": judge.concurrency,
        "ALLOW_OUTSIDE_SERVICES": str(config.allow_outside_services).lower(),
    }


def _environment(
    config: Config,
    host: Host,
    source: ModelSource,
    chosen: Chosen,
    run_dir: Path,
    abbr: str,
    fingerprint: str,
) -> dict[str, str]:
    model, backend, runtime = config.model, config.backend, config.runtime
    contract = {
        "BENCHMARK_DATASETS": ",".join(dataset.name for dataset in chosen.datasets),
        "BASE_MODEL": str(source.base_folder or source.base),
        "ADAPTER_PATH": str(source.adapter or ""),
        "MODEL_ABBR": abbr,
        "MAX_OUT_LEN": backend.max_out_len,
        "BATCH_SIZE": backend.batch_size or "",
        "BATCH_TOKENS": backend.batch_tokens or "",
        "INFERENCE_ORDER": backend.order,
        "NUM_GPUS": num_gpus(runtime),
        "DATA_PARALLEL": backend.data_parallel or "",
        "TENSOR_PARALLEL": backend.tensor_parallel or "",
        "TEMPERATURE": backend.temperature,
        "TOP_P": backend.top_p,
        "MAX_SEQ_LEN": model.max_seq_len or "",
        "USE_VLLM": str(backend.name == "vllm").lower(),
        "CUSTOM_PROMPT": backend.custom_prompt or "",
        "MODEL_TYPE": model.type,
        "MERGE_ADAPTER": backend.merge_adapter,
        "DTYPE": model.dtype,
        "TRUST_REMOTE_CODE": str(model.trust_remote_code).lower(),
        "SEED": backend.seed,
        "DATASET_OPTIONS": _options_json(chosen),
        "DATASET_FILES": _files_json(chosen),
        "GPU_MEMORY_UTILIZATION": backend.gpu_memory_utilization,
        "FINGERPRINT": fingerprint,
        "OUTPUT_PATH": str(run_dir),
        "TIMEOUT_S": config.timeout,
        "SCORING_TIMEOUT_S": runtime.scoring_timeout,
        "SCORING_WORKERS": runtime.scoring_workers,
        "COMPASS_DATA_CACHE": str(chosen.data_dir),
    }
    # As many numeric threads as processors made a run six times slower on a busy machine.
    threads = runtime.cpu_threads or max(1, host.processors // 2)
    libraries = {
        "OMP_NUM_THREADS": threads,
        "HF_HUB_CACHE": str(host.hub_dir),
        "HF_HUB_OFFLINE": 1,
        "HF_DATASETS_OFFLINE": 1,
        "TRANSFORMERS_OFFLINE": 1,
    }
    contract |= _judge_environment(config, chosen)
    return {name: str(value) for name, value in (contract | libraries).items()}


def _files_json(chosen: Chosen) -> str:
    files = {d.name: str(d.own.path) for d in chosen.datasets if d.own}
    return json.dumps(files, ensure_ascii=False) if files else ""


def _mounts(source: ModelSource, chosen: Chosen, host: Host, run_dir: Path) -> tuple[Mount, ...]:
    """Every folder keeps its path, so that the written config and the logs hold outside as well."""
    uses_hub = any(source.is_on_hub for _, source in chosen.sources)
    folders = (source.base_folder, source.adapter)
    read_only = [folder for folder in folders if folder is not None and folder.exists()]
    read_only += [linked for folder in list(read_only) for linked in linked_folders(folder)]
    read_only += linked_data(chosen.sources, chosen.data_dir, host.hub_dir)
    read_only += [chosen.data_dir] if chosen.data_dir.is_dir() else []
    read_only += [host.hub_dir] if uses_hub and host.hub_dir.is_dir() else []
    read_only += [dataset.own.path for dataset in chosen.datasets if dataset.own]
    mounts = {folder: Mount(folder, str(folder)) for folder in read_only}
    mounts[run_dir] = Mount(run_dir, str(run_dir), read_only=False)
    return tuple(mounts.values())


def linked_folders(folder: Path) -> Iterable[Path]:
    """Folders outside ``folder`` that its links lead to, such as the blobs of a hub snapshot."""
    if not folder.is_dir():
        return []
    targets = {entry.resolve().parent for entry in folder.iterdir() if entry.is_symlink()}
    return sorted(t for t in targets if t != folder and folder not in t.parents)
