"""Content hashes of adapters, models and data, remembered because models are big."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ftbench.schema import write_atomically
from ftbench.sidecar import SIDECAR

_CHUNK_BYTES = 1 << 20

_READERS = 4

_SETTLED_S = 2.0
"""A file changed so recently may change again within the clock's step: it is not remembered."""

_MAX_REMEMBERED = 20_000

_IRRELEVANT = {"base_model_name_or_path", "inference_mode", "lora_dropout", "peft_version"}
"""Fields of adapter_config.json that change no prediction; which base it is, is said elsewhere."""

_TOKENIZER_FILES = {
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
}

_ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")

_MODEL_SUFFIXES = {".safetensors", ".bin", ".json", ".model", ".txt", ".jinja", ".tiktoken", ".py"}

_OF_THE_TRAINER = {
    SIDECAR,
    "all_results.json",
    "eval_results.json",
    "train_results.json",
    "trainer_state.json",
    "training_args.bin",
}
"""What a trainer leaves beside a full model; it changes no prediction."""


def hash_weights(folder: Path, cache: Path) -> str:
    """sha256 over what decides an adapter's answers: configuration, weights, tokenizer.

    Args:
        folder: Adapter folder.
        cache: JSON file that remembers hashes of unchanged files.

    Returns:
        64 hex digits; the same for a copy in another folder.

    Raises:
        OSError: A file cannot be read.
        ValueError: ``adapter_config.json`` does not parse.
    """
    names = {path.name for path in folder.iterdir()}
    weights = next((name for name in _ADAPTER_WEIGHTS if name in names), None)
    chosen = (names & _TOKENIZER_FILES) | ({weights} if weights else set())
    known = _hash_files([folder / name for name in sorted(chosen)], cache)
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    lines = [f"{path.name}={digest}" for path, digest in known]
    return _sha256("\n".join([_deciding(config), *lines]))


def hash_model(folder: Path, cache: Path) -> str:
    """sha256 over a full model: weights, configuration, tokenizer, and code that comes with it.

    Args:
        folder: Model folder.
        cache: JSON file that remembers hashes of unchanged files.

    Raises:
        OSError: A file cannot be read.
    """
    files = [path for path in sorted(folder.iterdir()) if _is_model_file(path)]
    if any(path.suffix == ".safetensors" for path in files):
        files = [path for path in files if path.suffix != ".bin"]  # transformers reads them first
    return _sha256("\n".join(f"{path.name}={digest}" for path, digest in _hash_files(files, cache)))


def hash_folder(place: Path, cache: Path) -> str:
    """sha256 over all files of a folder, with their names, or over one file.

    Args:
        place: Folder or file.
        cache: JSON file that remembers hashes of unchanged files.

    Raises:
        OSError: A file cannot be read.
    """
    if place.is_file():
        return _hash_files([place], cache)[0][1]
    listed = _hash_files(_files_below(place), cache)
    return _sha256(
        "\n".join(f"{path.relative_to(place).as_posix()}={digest}" for path, digest in listed)
    )


def _files_below(folder: Path) -> list[Path]:
    """Files of a folder, through links too, each folder once; hidden ones are no data."""
    seen: set[str] = set()
    found: list[Path] = []
    for root, folders, names in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(root))
        folders[:] = [f for f in folders if os.path.realpath(Path(root) / f) not in seen]
        found += [Path(root) / name for name in names if not name.startswith(".")]
    return sorted(path for path in found if path.is_file())


def _is_model_file(path: Path) -> bool:
    if path.name in _OF_THE_TRAINER or path.name.startswith("."):
        return False
    return path.suffix in _MODEL_SUFFIXES and path.is_file()


def _deciding(config: Any) -> str:
    if not isinstance(config, dict):
        raise ValueError("adapter_config.json is not a table")
    kept = {key: _sorted(value) for key, value in config.items() if key not in _IRRELEVANT}
    return json.dumps(kept, sort_keys=True)


def _sorted(value: Any) -> Any:
    # peft writes target_modules from a set: the order differs from one save to the next.
    is_names = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return sorted(value) if is_names else value


def _hash_files(paths: Iterable[Path], cache: Path) -> list[tuple[Path, str]]:
    remembered = _read_cache(cache)
    fresh: dict[str, list[Any]] = {}

    def digest_of(path: Path) -> str:
        real = path.resolve()
        stat = real.stat()
        # Change time too: it cannot be set back by tools that keep the modification time.
        mark = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        known = remembered.get(str(real))
        if isinstance(known, list) and known[:-1] == mark:
            return str(known[-1])
        digest = _hash_file(real)
        if time.time() - max(stat.st_mtime, stat.st_ctime) > _SETTLED_S:
            fresh[str(real)] = [*mark, digest]
        return digest

    listed = list(paths)
    with ThreadPoolExecutor(_READERS) as readers:
        digests = list(readers.map(digest_of, listed))
    if fresh:
        _write_cache(cache, fresh)
    return list(zip(listed, digests, strict=True))


def _hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _read_cache(cache: Path) -> dict[str, Any]:
    try:
        value = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # a cache that cannot be read costs time, never correctness
    return value if isinstance(value, dict) else {}


def _write_cache(cache: Path, fresh: dict[str, list[Any]]) -> None:
    # Another process may have written meanwhile; what is lost then is only hashed again.
    merged = _read_cache(cache) | fresh
    kept = dict(list(merged.items())[-_MAX_REMEMBERED:])
    try:
        write_atomically(cache, json.dumps(kept))
    except OSError:
        return  # a cache folder that cannot be written must not stop an evaluation


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
