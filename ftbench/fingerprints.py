"""What decides the scores, and its hashes: of the model, of an evaluation, of each of its datasets.

Equal fingerprint, equal result: nothing is reused by any other sign. Reads files; on the line it
stands before the plan.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from ftbench.checkpoint import hash_folder
from ftbench.choosing import Chosen, ChosenDataset
from ftbench.config import Config, flatten
from ftbench.data import contents_of
from ftbench.host import Host
from ftbench.judge import uses_judge
from ftbench.model_source import ModelSource
from ftbench.plan import fingerprint_of
from ftbench.preset import Preset
from ftbench.program import lock_hash, program_hash
from ftbench.schema import SCHEMA_VERSION

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


def variant(gpus: int) -> str:
    """Name of the evaluation environment for a number of GPUs."""
    return "cuda" if gpus else "cpu"


def model_parts(config: Config, source: ModelSource, host: Host, gpus: int) -> dict[str, str]:
    """The model and how it answers, by name: what all its evaluations have in common.

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
    }
    return parts | {key: flat[key] for key in _GENERATION_KEYS if key in flat}


def question_parts(config: Config, chosen: Chosen, data: Mapping[str, str]) -> dict[str, str]:
    """What is asked and how it is scored, by name.

    Args:
        config: A checked configuration.
        chosen: The datasets: all of an evaluation, or one of them.
        data: What ``data_hashes`` gave for these datasets, or for more.
    """
    flat = flatten(config)
    parts = {
        "datasets": json.dumps(
            [[d.name, _identity(d, preset)] for d in chosen.datasets for preset in d.presets]
        ),
        "data_sha256": _data_hash(chosen, data),
        "options": options_json(chosen),
    }
    keys = _JUDGE_KEYS if uses_judge(config, chosen) else ()
    return parts | {key: flat[key] for key in keys if key in flat}


def dataset_fingerprints(
    config: Config, chosen: Chosen, model: Mapping[str, str], data: Mapping[str, str]
) -> dict[str, str]:
    """The fingerprint that each dataset would have if it were evaluated alone.

    Args:
        config: A checked configuration.
        chosen: All datasets of an evaluation.
        model: What ``model_parts`` gave.
        data: What ``data_hashes`` gave.
    """
    return {
        dataset.name: fingerprint_of(
            {**model, **question_parts(config, chosen.only([dataset.name]), data)}
        )
        for dataset in chosen.datasets
    }


def options_json(chosen: Chosen) -> str:
    """What DATASET_OPTIONS says: the same whether said for all datasets or for each."""
    given = {dataset.name: dataset.options.given() for dataset in chosen.datasets}
    given = {name: options for name, options in given.items() if options}
    return json.dumps(given, ensure_ascii=False) if given else ""


def data_hashes(chosen: Chosen, host: Host) -> dict[str, str]:
    """sha256 over the files of each source of data, by its path; ``missing`` where there are none.

    Side effects: remembers hashes of unchanged files in ftbench's cache.
    """
    cache = host.cache_dir / "hashes.json"
    places = {
        source.path: contents_of(source, chosen.data_dir, host.hub_dir)
        for _, source in chosen.sources
        if source.kind != "bundled"
    }
    return {
        path: "+".join(hash_folder(place, cache) for place in contents) or "missing"
        for path, contents in places.items()
    }


def ready_environment(config: Config, host: Host) -> Path | None:
    """Folder of the evaluation environment that the user made, or None."""
    folder = config.runtime.environment
    return host.path(folder) if folder else None


def _identity(dataset: ChosenDataset, preset: Preset) -> str:
    # A file is its content: neither its folder nor the user's way to write it changes a score.
    return f"{dataset.own.path.suffix} {dataset.own.sha256}" if dataset.own else preset.path


def _packages_hash(config: Config, host: Host, gpus: int) -> str:
    """Stands for the packages: the lock's, or those in the environment that the user made."""
    folder = ready_environment(config, host)
    if folder is None or config.runtime.name != "local":
        return lock_hash(variant(gpus))
    installed = sorted(p.name for p in folder.glob("lib/python3*/site-packages/*.dist-info"))
    return hashlib.sha256("\n".join(installed).encode()).hexdigest()


def _data_hash(chosen: Chosen, data: Mapping[str, str]) -> str:
    paths = {source.path for _, source in chosen.sources if source.kind != "bundled"}
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path}={data[path]}\n".encode())
    return digest.hexdigest()
