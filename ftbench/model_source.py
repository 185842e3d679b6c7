"""Where the model is: its folders, identity and everything statically wrong with it.

Needs no torch and opens no pickle. Downloading a base model is a step of its own, before the
evaluation, which then needs no network.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
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
        base_identity: sha256 of its files, 64 hex digits; empty when there is no folder.
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


def locate_model(conf: ModelConf, host: Host, may_download: bool = True) -> ModelSource:
    """Finds and checks the adapter and its base (or the full model).

    Args:
        conf: The model part of the configuration.
        host: The surroundings.
        may_download: An unfinished download in the cache counts as not there, so that it goes on;
            False after the download: what is still wrong then is a problem.

    Returns:
        Always a value; what is wrong is in its ``problems``.
    """
    cache = host.cache_dir / "hashes.json"
    adapter = host.path(conf.adapter).resolve() if conf.adapter else None
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
    named = _named_folder(base, host, adapter)
    cached = None if named or not base else _cached_snapshot(base, host.hub_dir)
    folder = named or cached
    found = checkpoint.inspect_model(folder) if folder is not None else []
    if cached and found and may_download and not host.hub_offline:
        folder, found = None, []
    if base and folder is None:
        problems += _why_no_base(base, conf, host)
    if folder is not None:
        problems += found
        if inspected is not None and not found:
            differences, remarks = checkpoint.compare_with_base(inspected, folder, base)
            problems += differences
            notes += remarks
        problems += _check_template(conf, folder, adapter)
    return ModelSource(
        base=str(named or base),
        base_folder=folder,
        base_identity=checkpoint.hash_model(folder, cache) if folder and not problems else "",
        adapter=adapter,
        adapter_sha256=checkpoint.hash_weights(adapter, cache) if adapter and not problems else "",
        problems=tuple(problems),
        notes=tuple(notes),
    )


def base_source(source: ModelSource, conf: ModelConf) -> ModelSource:
    """The base model alone, of an adapter that was found and checked with it.

    Args:
        source: The adapter.
        conf: The model part of its configuration.
    """
    folder = source.base_folder
    problems = tuple(_check_template(conf, folder, None)) if folder else ()
    return replace(source, adapter=None, adapter_sha256="", problems=problems, notes=())


def _base_of(adapter: Path | None) -> str | None:
    try:
        config = json.loads((adapter / "adapter_config.json").read_text()) if adapter else {}
        return str(config.get("base_model_name_or_path") or "") or None
    except (OSError, ValueError, AttributeError):
        return None


def _named_folder(base: str, host: Host, adapter: Path | None) -> Path | None:
    """The base as a path from where the command was given, else from the adapter."""
    starts = [start for start in (host.cwd, adapter) if start is not None and base]
    return next(
        (p.resolve() for start in starts if (p := start / Path(base).expanduser()).is_dir()), None
    )


def _why_no_base(base: str, conf: ModelConf, host: Host) -> list[Problem]:
    """Why a base that is not on this machine cannot be downloaded; empty when it can."""
    named_by = "model.base" if conf.base else "base_model_name_or_path of the adapter"
    if not _HUB_ID.fullmatch(base) or base.startswith("."):
        return [
            Problem(
                f"{named_by}: {base}",
                "there is no such folder, and it is no Hugging Face id",
                "model.base=DIR_OR_NAME",
            )
        ]
    if host.hub_offline:
        return [
            Problem(
                f"{named_by}: {base}",
                f"it is not in the cache {host.hub_dir}, and HF_HUB_OFFLINE forbids a download",
                "model.base=DIR, or unset HF_HUB_OFFLINE",
            )
        ]
    return []


def _cached_snapshot(model_id: str, hub_dir: Path) -> Path | None:
    """The snapshot of a hub model's main branch. Source: huggingface_hub's cache layout."""
    repo = hub_dir / f"models--{model_id.replace('/', '--')}"
    try:
        revision = (repo / "refs" / "main").read_text().strip()
    except OSError:
        return None
    snapshot = repo / "snapshots" / revision
    # Resolved: its files are relative links, which lead elsewhere when the cache itself is a link.
    return snapshot.resolve() if (snapshot / "config.json").is_file() else None


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
        cause, cure = _explain_download(exc)
        return [
            Problem(
                f"downloading {source.base}",
                f"it is neither a folder here nor in {host.hub_dir}, and {cause}",
                cure,
            )
        ]
    return []


def _explain_download(error: Exception) -> tuple[str, str]:
    """What kept a model from being downloaded, and the cure."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        cure = "ask for access on the model's page, then set HF_TOKEN; or model.base=DIR"
        return "the hub gives it only to those with access", cure
    if isinstance(error, RepositoryNotFoundError):
        cure = "model.base=DIR_OR_NAME, or set HF_TOKEN for a private model"
        return "the hub has no model of this name", cure
    # The hub's client puts "Got: ConnectError: [Errno 111]" before what happened.
    lines = str(error).strip().splitlines() or [type(error).__name__]
    cause = re.sub(r"^(Got: )?(\w+Error: )?(\[Errno -?\d+\] )?", "", lines[0])
    return f"the hub cannot be asked: {cause}", "model.base=DIR, or set HF_ENDPOINT for a mirror"
