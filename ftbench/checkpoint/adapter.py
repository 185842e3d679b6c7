"""Checks a LoRA adapter folder before anything is started: no torch, and no pickle is opened."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftbench.checkpoint.effect import why_no_effect
from ftbench.checkpoint.tensors import (
    BadTensorFile,
    TensorInfo,
    inspect_values,
    looks_truncated,
    read_header,
)
from ftbench.errors import Problem

CONFIG = "adapter_config.json"

WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
"""The only names that peft reads, in its order."""

PREFIX = "base_model.model."
"""What peft puts before every module path of the base."""

_LORA = re.compile(r"(?P<module>.+)\.lora_(?P<part>embedding_A|embedding_B|A|B)(\.weight)?$")

_NO_EFFECT = "evaluate a trained checkpoint, or the base itself with model.base=..."

_NO_GENERATION = ("SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS", "FEATURE_EXTRACTION")


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter as its files describe it.

    Attributes:
        base_model: ``base_model_name_or_path``; empty when the adapter does not say.
        rank: ``r`` of its configuration; modules in ``rank_pattern`` have their own.
        max_rank: The largest rank of any module.
        target_modules: As configured: names, or one regular expression.
        modules_to_save: Modules that it replaces as a whole.
        uses_dora: It has DoRA magnitudes.
        weights: The weights file.
        tensors: Of the weights by name; empty for a pickle, which is not opened.
        is_transposed: ``fan_in_fan_out``: the base stores weights as inputs x outputs.
        has_parameter_targets: It adapts stacked parameters, such as experts, too.
    """

    folder: Path
    base_model: str
    rank: int
    max_rank: int
    target_modules: tuple[str, ...]
    modules_to_save: tuple[str, ...]
    uses_dora: bool
    weights: Path
    tensors: dict[str, TensorInfo]
    is_transposed: bool = False
    has_parameter_targets: bool = False

    @property
    def is_pickle(self) -> bool:
        return self.weights.suffix == ".bin"

    def pairs(self) -> dict[str, dict[str, TensorInfo]]:
        """Module path, as the adapter spells it, to its ``A`` and ``B`` tensors."""
        found: dict[str, dict[str, TensorInfo]] = {}
        for name, tensor in self.tensors.items():
            match = _LORA.match(name)
            if match:
                part = match["part"]
                found.setdefault(match["module"], {})[part] = tensor
        return found


def inspect_adapter(folder: Path) -> tuple[Adapter | None, list[Problem]]:
    """Reads and checks an adapter folder.

    Args:
        folder: What the user gave as ``model.adapter``.

    Returns:
        The adapter, None when too little of it can be read; and everything that is wrong with it.
    """
    tried = f"model.adapter={folder}"
    unfit = _wrong_folder(folder, tried)
    if unfit:
        return None, [unfit]
    config, problems = _read_config(folder, tried)
    weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if weights is None:
        problems.append(_no_weights(folder, tried))
    tensors: dict[str, TensorInfo] = {}
    if weights is not None:
        tensors, found = _read_weights(weights)
        problems += found
    if config is None or weights is None:
        return None, problems
    adapter = _adapter(folder, config, weights, tensors)
    if tensors:
        problems += _check_shapes(adapter, config) + _check_values(adapter, config)
    return adapter, problems


def _wrong_folder(folder: Path, tried: str) -> Problem | None:
    if folder.is_file():
        return Problem(tried, "it is a file", f"model.adapter={folder.parent}")
    if not folder.is_dir():
        return Problem(tried, "there is no such folder", "model.adapter=DIR with a trained adapter")
    if (folder / CONFIG).is_file() or any((folder / name).is_file() for name in WEIGHTS):
        return None
    checkpoint = _newest_checkpoint(folder)
    if checkpoint:
        return Problem(
            tried,
            "it is a trainer's output folder with checkpoints, not an adapter",
            f"model.adapter={checkpoint}",
        )
    if (folder / "config.json").is_file():
        return Problem(
            tried,
            f"it is a full model, not an adapter: it has config.json and no {CONFIG}",
            f"model.base={folder} without model.adapter",
        )
    inner = sorted(path.parent for path in folder.glob(f"*/{CONFIG}"))
    cure = f"model.adapter={inner[0]}" if inner else "train first, or name the adapter's folder"
    return Problem(tried, f"it has neither {CONFIG} nor {' nor '.join(WEIGHTS)}", cure)


def _newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the most training steps, in the layout of transformers' Trainer."""
    steps = {}
    for path in folder.glob("checkpoint-*"):
        number = path.name.removeprefix("checkpoint-")
        if number.isdecimal() and (path / CONFIG).is_file():
            steps[int(number)] = path
    return steps[max(steps)] if steps else None


def _no_weights(folder: Path, tried: str) -> Problem:
    shards = sorted(path.name for path in folder.glob("adapter_model-*-of-*"))
    if shards:
        return Problem(
            tried,
            f"its weights are in {len(shards)} shards ({shards[0]} ...), and peft reads one file",
            "save the adapter again with save_pretrained(DIR, max_shard_size='100GB')",
        )
    happened = f"it has {CONFIG} but no {' or '.join(WEIGHTS)}"
    return Problem(tried, happened, "save the adapter with model.save_pretrained(DIR)")


def _read_config(folder: Path, tried: str) -> tuple[dict[str, Any] | None, list[Problem]]:
    path = folder / CONFIG
    resave = "save the adapter with model.save_pretrained(DIR)"
    if not path.is_file():
        return None, [Problem(tried, f"it has weights but no {CONFIG}", resave)]
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as exc:
        return None, [Problem(f"reading {path}", f"it does not parse: {exc}", resave)]
    if not isinstance(config, dict):
        return None, [Problem(f"reading {path}", "it is not a table of settings", resave)]
    problems = []
    kind = config.get("peft_type")
    if kind != "LORA":
        happened = f"peft_type is {kind!r}; only LORA can be evaluated"
        cure = "merge it into its base and give the result as model.base=DIR"
        problems.append(Problem(str(path), happened, cure))
    elif type(config.get("r")) is not int or config["r"] < 1:
        problems.append(Problem(str(path), f"r is {config.get('r')!r}, not a rank", resave))
    if config.get("task_type") in _NO_GENERATION:
        happened = f"task_type is {config['task_type']}: that model gives no text to score"
        problems.append(Problem(str(path), happened, "train with task_type=CAUSAL_LM"))
    return (None if problems else config), problems


def _read_weights(path: Path) -> tuple[dict[str, TensorInfo], list[Problem]]:
    again = "copy the file again, or save the adapter again"
    try:
        if path.suffix == ".bin":
            wrong = looks_truncated(path)
            return {}, [Problem(f"reading {path}", wrong, again)] if wrong else []
        tensors = read_header(path)
    except (BadTensorFile, OSError) as exc:
        return {}, [Problem(f"reading {path}", str(exc), again)]
    if not any(_LORA.match(name) for name in tensors):
        happened = f"none of its {len(tensors)} tensors is a LoRA tensor"
        return {}, [Problem(f"reading {path}", happened, "save with peft's save_pretrained")]
    return tensors, []


def _adapter(
    folder: Path, config: dict[str, Any], weights: Path, tensors: dict[str, TensorInfo]
) -> Adapter:
    patterns = config.get("rank_pattern") or {}
    ranks = [rank for rank in patterns.values() if isinstance(rank, int)]
    return Adapter(
        folder=folder,
        base_model=str(config.get("base_model_name_or_path") or ""),
        rank=config["r"],
        max_rank=max([config["r"], *ranks]),
        target_modules=_names(config.get("target_modules")),
        modules_to_save=_names(config.get("modules_to_save")),
        uses_dora=bool(config.get("use_dora")),
        weights=weights,
        tensors=tensors,
        is_transposed=bool(config.get("fan_in_fan_out")),
        has_parameter_targets=bool(config.get("target_parameters")),
    )


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(sorted(map(str, value))) if isinstance(value, list) else ()


def _check_shapes(adapter: Adapter, config: dict[str, Any]) -> list[Problem]:
    wrong: list[str] = []
    for module, parts in adapter.pairs().items():
        downs = parts.get("A", parts.get("embedding_A"))
        ups = parts.get("B", parts.get("embedding_B"))
        if downs is None or ups is None:
            wrong.append(f"{module} has only one of lora_A and lora_B")
        elif not downs.num_bytes or not ups.num_bytes:
            wrong.append(f"{module} is empty, as DeepSpeed ZeRO-3 leaves it when not gathered")
        elif len(downs.shape) == len(ups.shape) == 2 and not adapter.has_parameter_targets:
            rank = _rank_of(module, adapter.rank, config.get("rank_pattern") or {})
            if (downs.shape[0], ups.shape[1]) != (rank, rank):
                wrong.append(
                    f"{module} has lora_A {list(downs.shape)} and lora_B {list(ups.shape)}, "
                    f"its rank in {CONFIG} is {rank}"
                )
    return _first(wrong, str(adapter.weights), "save configuration and weights from the same run")


def _rank_of(module: str, rank: int, patterns: dict[str, Any]) -> int:
    # As peft 0.21 looks it up (utils/other.py, get_pattern_key).
    plain = module.removeprefix(PREFIX)
    for pattern, own in patterns.items():
        try:
            if isinstance(own, int) and re.match(rf"(.*\.)?({pattern})$", plain):
                return own
        except re.error:
            continue
    return rank


def _check_values(adapter: Adapter, config: dict[str, Any]) -> list[Problem]:
    spoilt: list[str] = []
    zero: dict[str, list[bool]] = {"A": [], "B": []}
    try:
        for name, tensor in adapter.tensors.items():
            values = inspect_values(adapter.weights, tensor)
            match = _LORA.match(name)
            if match and values:
                zero[match["part"][-1]].append(values.is_zero)
            if values and (values.num_nan or values.num_inf):
                spoilt.append(
                    f"{name} has {values.num_nan} NaN and {values.num_inf} infinite values"
                )
    except (BadTensorFile, OSError) as exc:
        return [Problem(f"reading {adapter.weights}", str(exc), "copy the file again")]
    cure = "the training diverged; evaluate an earlier checkpoint, or train with a lower rate"
    problems = _first(spoilt, str(adapter.weights), cure)
    for part, found in zero.items():
        # Other trained tensors may change the model all the same.
        if found and all(found) and _only_lora(adapter, config):
            happened = f"every lora_{part} is zero, so the adapter would change nothing"
            problems.append(Problem(str(adapter.weights), happened, _NO_EFFECT))
    if not problems and _only_lora(adapter, config):
        problems += _check_effect(adapter, config)
    return problems


def _check_effect(adapter: Adapter, config: dict[str, Any]) -> list[Problem]:
    try:
        why = why_no_effect(adapter.weights, adapter.pairs(), config)
    except (BadTensorFile, OSError) as exc:
        return [Problem(f"reading {adapter.weights}", str(exc), "copy the file again")]
    happened = f"{why}, so the adapter would change nothing"
    return [Problem(str(adapter.weights), happened, _NO_EFFECT)] if why else []


def _only_lora(adapter: Adapter, config: dict[str, Any]) -> bool:
    return not config.get("use_dora") and all(_LORA.match(name) for name in adapter.tensors)


def _first(wrong: list[str], tried: str, cure: str) -> list[Problem]:
    """One problem for many of a kind: the first, and how many more."""
    if not wrong:
        return []
    more = f" (and {len(wrong) - 1} more like it)" if len(wrong) > 1 else ""
    return [Problem(tried, f"{wrong[0]}{more}", cure)]
