"""Where the model is: its folders, identity and everything statically wrong with it.

Needs no torch and opens no pickle. Downloading a base model is a step of its own, before the
evaluation, which then needs no network.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path

from ftbench import checkpoint
from ftbench.config import ModelConf
from ftbench.errors import Problem
from ftbench.host import Host

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True)
class ModelSource:
    """The model as it lies on this machine.

    Attributes:
        base: Hugging Face id or absolute path.
        base_folder: Its local folder; None when it must be downloaded first.
        base_identity: ``sha256:...`` of its files; empty when there is no folder.
        adapter: Absolute folder, or None.
        adapter_sha256: Of the files that decide its behaviour; empty when it cannot be read.
        problems: Everything that would keep it from being evaluated.
        notes: What is odd but no obstacle.
    """

    base: str
    base_folder: Path | None
    base_identity: str
    adapter: Path | None
    adapter_sha256: str
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def must_be_downloaded(self) -> bool:
        return not self.base_folder and bool(self.base) and not self.problems


def locate_model(conf: ModelConf, host: Host) -> ModelSource:
    """Finds and checks the adapter and its base (or the full model).

    Args:
        conf: The model part of the configuration.
        host: The surroundings.

    Returns:
        Always a value; what is wrong is in its ``problems``.
    """
    cache = host.cache_dir / "hashes.json"
    adapter = (host.cwd / conf.adapter).resolve() if conf.adapter else None
    problems: list[Problem] = []
    notes: list[str] = []
    inspected = None
    if adapter is not None:
        inspected, found = checkpoint.inspect_adapter(adapter)
        problems += found
    base = conf.base or _base_of(adapter) or ""
    if not base and not problems:
        problems.append(
            Problem(
                f"model.adapter={conf.adapter}",
                "its adapter_config.json names no base model",
                "model.base=DIR_OR_NAME",
            )
        )
    folder, found = _locate_base(base, conf, host, adapter) if base else (None, [])
    problems += found
    if folder is not None:
        found = checkpoint.inspect_model(folder)
        problems += found
        if inspected is not None and not found:
            differences, remarks = checkpoint.compare_with_base(inspected, folder, base)
            problems += differences
            notes += remarks
        problems += _check_template(conf, folder, adapter)
    return ModelSource(
        base=str(folder) if folder and _is_path(base, host) else base,
        base_folder=folder,
        base_identity=checkpoint.hash_model(folder, cache) if folder and not problems else "",
        adapter=adapter,
        adapter_sha256=checkpoint.hash_weights(adapter, cache) if adapter and not problems else "",
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _base_of(adapter: Path | None) -> str | None:
    try:
        config = json.loads((adapter / "adapter_config.json").read_text()) if adapter else {}
        return str(config.get("base_model_name_or_path") or "") or None
    except (OSError, ValueError, AttributeError):
        return None


def _is_path(base: str, host: Host) -> bool:
    return (host.cwd / base).is_dir()


def _locate_base(
    base: str, conf: ModelConf, host: Host, adapter: Path | None
) -> tuple[Path | None, list[Problem]]:
    for folder in (host.cwd / base, adapter / base if adapter else None):
        if folder is not None and folder.is_dir():
            return folder.resolve(), []
    cached = _cached_snapshot(base, host.hub_dir)
    if cached is not None:
        return cached, []
    named_by = "model.base" if conf.base else "base_model_name_or_path of the adapter"
    if not _HUB_ID.fullmatch(base) or base.startswith("."):
        return None, [
            Problem(
                f"{named_by}: {base}",
                "there is no such folder, and it is no Hugging Face id",
                "model.base=DIR_OR_NAME",
            )
        ]
    if host.hub_offline:
        return None, [
            Problem(
                f"{named_by}: {base}",
                f"it is not in the cache {host.hub_dir}, and HF_HUB_OFFLINE forbids a download",
                "model.base=DIR, or unset HF_HUB_OFFLINE",
            )
        ]
    return None, []


def _cached_snapshot(model_id: str, hub_dir: Path) -> Path | None:
    """The newest complete snapshot of a hub model. Source: huggingface_hub's cache layout."""
    repo = hub_dir / f"models--{model_id.replace('/', '--')}"
    try:
        revision = (repo / "refs" / "main").read_text().strip()
    except OSError:
        return None
    snapshot = repo / "snapshots" / revision
    return snapshot if (snapshot / "config.json").is_file() else None


def _check_template(conf: ModelConf, base: Path, adapter: Path | None) -> list[Problem]:
    folders = [folder for folder in (adapter, base) if folder is not None]
    if conf.type != "chat" or any(checkpoint.has_chat_template(folder) for folder in folders):
        return []
    looked = " nor ".join(str(folder) for folder in folders)
    return [
        Problem(
            "model.type=chat",
            f"there is no chat template in {looked}",
            "model.type=base for plain text prompts, or save a chat_template with the tokenizer",
        )
    ]


def download_base(source: ModelSource, host: Host) -> list[Problem]:
    """Downloads a base model into the Hugging Face cache.

    Args:
        source: A model whose base ``must_be_downloaded``.
        host: The surroundings; its HF_TOKEN is used.

    Returns:
        What went wrong; empty when the folder is there now.
    """
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(
            source.base,
            cache_dir=host.hub_dir,
            token=host.secrets.get("HF_TOKEN"),
            ignore_patterns=["*.pth", "*.gguf", "original/*", "*.h5", "*.msgpack", "*.onnx"],
        )
    except Exception as exc:  # requests, httpx, hub and file errors alike end here as one problem
        cause = str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
        return [
            Problem(
                f"downloading {source.base}",
                f"it is neither a folder nor in {host.hub_dir}, and the hub says: {cause}",
                "model.base=DIR, or set HF_TOKEN for a gated model, or HF_ENDPOINT for a mirror",
            )
        ]
    return []


def without_identity(source: ModelSource) -> ModelSource:
    """The same model before its download: nothing can be said about its bytes."""
    return dataclasses.replace(source, base_identity="", adapter_sha256="")
