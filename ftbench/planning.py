"""Builds the plan: from a configuration and the surroundings to exactly what will happen.

Reads files (to fingerprint them and to find earlier runs) and starts nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftbench.aggregates import own_groups
from ftbench.choosing import Chosen, ChosenDataset, with_subsets
from ftbench.config import Config, flatten, num_gpus
from ftbench.data import linked_data
from ftbench.fingerprints import (
    data_hashes,
    dataset_fingerprints,
    model_parts,
    options_json,
    question_parts,
    ready_environment,
    variant,
)
from ftbench.host import Host
from ftbench.image import image_name
from ftbench.judge import KEY_NAME, uses_judge, uses_services
from ftbench.model_source import ModelSource
from ftbench.plan import DatasetPlan, ModelPlan, Mount, Plan, TrackingPlan, fingerprint_of
from ftbench.reuse import find_earlier
from ftbench.uris import strip_credentials
from ftbench.workspace import find_run, new_run_dir


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
    data, of_model = data_hashes(chosen, host), model_parts(config, source, host, gpus)
    parts = of_model | question_parts(config, chosen, data)
    fingerprint = fingerprint_of(parts)
    abbr = model_abbr(source, fingerprint_of(of_model))
    workspace = host.path(config.workspace or f"ftbench_workspace/{abbr}").resolve()
    found = find_run(workspace, fingerprint) if config.reuse == "auto" else None
    run_dir = found.run_dir if found else new_run_dir(workspace, now)
    own = dataset_fingerprints(config, chosen, of_model, data)
    datasets = tuple(_dataset_plan(dataset, own[dataset.name]) for dataset in chosen.datasets)
    if config.reuse == "auto" and not (found and found.is_complete):
        datasets = _with_earlier(datasets, chosen, workspace, run_dir, abbr)
    # What is taken over from earlier runs needs neither data nor judge nor network.
    asked = chosen.only(d.name for d in datasets if d.earlier is None)
    network = _network(config, asked)
    runtime = config.runtime
    return Plan(
        runtime=runtime.name,
        workspace=workspace,
        run_dir=run_dir,
        model=ModelPlan(source.base, source.base_folder, source.adapter),
        model_abbr=abbr,
        datasets=datasets,
        fingerprint=fingerprint,
        fingerprint_parts=parts,
        parameters=_parameters(config),
        command=tuple(strip_credentials(argument)[0] for argument in host.command),
        tracking=plan_tracking(config, host),
        environment=_environment(config, host, source, asked, run_dir, abbr, fingerprint),
        secrets=_secrets(config, host, asked),
        mounts=_mounts(source, asked, host, run_dir),
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
        environment_folder=ready_environment(config, host),
        flag_above=config.flag_above,
        gpu_pool=tuple(runtime.gpu_pool or ()),
    )


def model_abbr(source: ModelSource, fingerprint: str) -> str:
    """A readable unique name: base, kind, 8 hex digits, such as ``qwen2-1.5b-ft-abc12345``.

    Args:
        source: The model.
        fingerprint: Of the model and how it answers, whatever it is asked: all its evaluations
            have one name and, unless the user says otherwise, one workspace.
    """
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


def _with_earlier(
    planned: tuple[DatasetPlan, ...], chosen: Chosen, workspace: Path, run_dir: Path, abbr: str
) -> tuple[DatasetPlan, ...]:
    """The datasets, with the run folders that some are taken over from."""
    if not all(dataset.subsets for dataset in planned):
        # A Python config of the user's: which subsets it has, only its evaluation tells, and one
        # may be called as a subset that is taken over.
        return planned
    earlier = find_earlier(workspace, run_dir, abbr, planned)
    rest = chosen.only(d.name for d in planned if d.name not in earlier)
    if not _is_named_alike(rest, planned):
        return planned
    return tuple(replace(d, earlier=earlier.get(d.name)) for d in planned)


def _is_named_alike(rest: Chosen, planned: Sequence[DatasetPlan]) -> bool:
    """Whether the subsets of some datasets have the same names when nothing else is asked."""
    names = {dataset.name: dataset.subsets for dataset in planned}
    alone = with_subsets(rest.datasets)
    return all(dataset.subsets == names[dataset.name] for dataset in alone)


def _dataset_plan(dataset: ChosenDataset, fingerprint: str) -> DatasetPlan:
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
        fingerprint=fingerprint,
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
        "DATASET_OPTIONS": options_json(chosen),
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
