"""Checks a full model folder (a base model, or a fully fine-tuned one) before the launch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ftbench.checkpoint.adapter import CONFIG as ADAPTER_CONFIG
from ftbench.checkpoint.tensors import BadTensorFile, TensorInfo, looks_truncated, read_header
from ftbench.errors import Problem

_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")

_SINGLE = ("model.safetensors", "pytorch_model.bin")

_TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)

_AGAIN = "copy or download the model again"


def inspect_model(folder: Path, tokenizer_folder: Path | None = None) -> list[Problem]:
    """Checks that a model folder is complete.

    Args:
        folder: What the user gave as ``model.base``.
        tokenizer_folder: An adapter's folder, whose tokenizer would be used if it has one.

    Returns:
        Everything that is wrong; empty when it is complete.
    """
    tried = f"model.base={folder}"
    if not folder.is_dir():
        happened = "it is a file" if folder.is_file() else "there is no such folder"
        return [Problem(tried, happened, "model.base=DIR_OR_NAME")]
    if not (folder / "config.json").is_file():
        return [_no_model(folder, tried)]
    problems = []
    try:
        if not isinstance(read_json(folder / "config.json"), dict):
            raise ValueError("it is not a table of settings")
    except (OSError, ValueError) as exc:
        problems.append(Problem(f"reading {folder / 'config.json'}", str(exc), _AGAIN))
    problems += _check_weights(folder, tried)
    if not any(has_tokenizer(place) for place in (folder, tokenizer_folder) if place):
        happened = f"it has no tokenizer (none of {', '.join(_TOKENIZERS)})"
        cure = f"save the tokenizer there: tokenizer.save_pretrained({str(folder)!r})"
        problems.append(Problem(tried, happened, cure))
    return problems


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds a tokenizer that transformers can load."""
    if any((folder / name).is_file() for name in _TOKENIZERS):
        return True
    # Tokenizers of their own code keep their vocabulary under any name, such as qwen.tiktoken.
    return (folder / "tokenizer_config.json").is_file() and any(folder.glob("*.tiktoken"))


def has_chat_template(folder: Path) -> bool:
    """Whether the tokenizer of a folder can format a conversation."""
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    try:
        config = read_json(folder / "tokenizer_config.json")
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and bool(config.get("chat_template"))


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        OSError: It cannot be read.
        ValueError: It does not parse.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"it does not parse: {exc}") from exc


def read_tensors(folder: Path) -> dict[str, TensorInfo]:
    """The tensors of a model by name, of all shards; empty when its weights are pickles.

    Raises:
        BadTensorFile: A file is damaged.
        OSError: A file cannot be read.
    """
    return {name: tensor for name, (_, tensor) in read_tensors_of(folder).items()}


def read_tensors_of(folder: Path) -> dict[str, tuple[Path, TensorInfo]]:
    """As ``read_tensors``, each with the file that holds it."""
    return {
        name: (path, tensor)
        for path in sorted(folder.glob("*.safetensors"))
        if path.name.startswith("model")
        for name, tensor in read_header(path).items()
    }


def _no_model(folder: Path, tried: str) -> Problem:
    if (folder / ADAPTER_CONFIG).is_file():
        happened = "it is an adapter, not a full model"
        return Problem(tried, happened, f"model.adapter={folder}, and model.base for its base")
    steps = {}
    for path in folder.glob("checkpoint-*"):
        number = path.name.removeprefix("checkpoint-")
        if number.isdecimal() and (path / "config.json").is_file():
            steps[int(number)] = path
    if steps:
        happened = "it is a trainer's output folder with checkpoints, not a model"
        return Problem(tried, happened, f"model.base={steps[max(steps)]}")
    return Problem(tried, "it has no config.json, so it is no model", "model.base=DIR_OR_NAME")


def _check_weights(folder: Path, tried: str) -> list[Problem]:
    for name in _INDEXES:
        if (folder / name).is_file():
            return _check_shards(folder, folder / name)
    for name in _SINGLE:
        if (folder / name).is_file():
            _, problems = _check_file(folder / name)
            return problems
    happened = f"it has no weights (none of {', '.join(_SINGLE)}, whole or in shards)"
    if any(folder.glob("*.gguf")):
        happened += "; GGUF files cannot be evaluated here"
    return [Problem(tried, happened, _AGAIN)]


def _check_shards(folder: Path, index: Path) -> list[Problem]:
    try:
        shard_of = read_json(index)["weight_map"]
        wanted = {str(shard): set() for shard in shard_of.values()}  # type: dict[str, set[str]]
        for tensor, shard in shard_of.items():
            wanted[shard].add(tensor)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        return [Problem(f"reading {index}", f"it lists no shards: {exc}", _AGAIN)]
    missing = sorted(shard for shard in wanted if not (folder / shard).is_file())
    problems = []
    if missing:
        happened = f"{len(missing)} of its {len(wanted)} shards are missing, first {missing[0]}"
        problems.append(Problem(str(index), happened, _AGAIN))
    for shard in sorted(set(wanted) - set(missing)):
        tensors, found = _check_file(folder / shard)
        problems += found
        lost = sorted(wanted[shard] - set(tensors)) if tensors else []
        if lost:
            happened = f"{len(lost)} tensors are missing in {shard}, first {lost[0]}"
            problems.append(Problem(str(index), happened, _AGAIN))
    return problems


def _check_file(path: Path) -> tuple[dict[str, TensorInfo], list[Problem]]:
    try:
        if path.suffix == ".bin":
            wrong = looks_truncated(path)
            return {}, [Problem(f"reading {path}", wrong, _AGAIN)] if wrong else []
        return read_header(path), []
    except (BadTensorFile, OSError) as exc:
        return {}, [Problem(f"reading {path}", str(exc), _AGAIN)]
