"""Compares an adapter with the base model that it shall be put on, by shapes alone.

peft only warns when an adapter's keys do not match, and the scores are then those of the base.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ftbench.checkpoint.adapter import PREFIX, Adapter
from ftbench.checkpoint.architectures import (
    configured_shape,
    configured_shapes,
    layers_below,
    number_of_layers,
)
from ftbench.checkpoint.model import read_json, read_tensors
from ftbench.checkpoint.tensors import BadTensorFile
from ftbench.errors import Problem

_EMBEDDINGS = ("embed_tokens", "lm_head", "wte", "embed_in", "embed_out", "word_embeddings")

_OMITTED_PREFIXES = ("model.", "transformer.", "gpt_neox.", "backbone.")
"""What transformers adds by itself to the keys of a model saved without its head."""

_SEVERAL_PARTS = ("vision_config", "audio_config", "text_config", "thinker_config")
"""In config.json of models whose modules transformers renames when it loads them."""


@dataclass(frozen=True)
class _Base:
    """Shapes of the base's weights: (outputs, inputs) by module path.

    Attributes:
        is_complete: Every module of the base is listed.
        renames: transformers gives its modules other paths than the file.
        modules: Paths of all modules where only these are known, as of packed weights; else empty.
        layers_below: Where the layers stand, such as ``model.layers``; empty when not known.
    """

    shapes: dict[str, tuple[int, int]]
    num_layers: int | None
    is_complete: bool
    renames: bool
    modules: frozenset[str] = frozenset()
    layers_below: str = ""


def compare_with_base(
    adapter: Adapter, base_folder: Path, configured_base: str
) -> tuple[list[Problem], list[str]]:
    """Says whether an adapter fits a base.

    Args:
        adapter: From ``inspect_adapter``.
        base_folder: Local folder of the base.
        configured_base: The base as the user or the adapter names it.

    Returns:
        What keeps it from fitting, and what is merely odd.
    """
    notes = []
    if adapter.base_model and not _same_name(adapter.base_model, configured_base):
        notes.append(
            f"the adapter names {adapter.base_model} as its base, it is put on {configured_base}"
        )
    if adapter.is_pickle:
        notes.append(
            f"{adapter.weights.name} is a pickle, which is not opened here: "
            "whether it fits shows when it is loaded"
        )
        return [], notes
    try:
        base = _read_base(base_folder)
    except (BadTensorFile, OSError, ValueError) as exc:
        return [Problem(f"reading {base_folder}", str(exc), "copy the model again")], notes
    wrong = list(_differences(adapter, base))
    resized, remarks = _embeddings(adapter, base)
    notes += remarks
    if not (wrong or resized):
        return [], notes
    first = (wrong + resized)[0]
    more = len(wrong) + len(resized) - 1
    happened = first + (f" (and {more} more like it)" if more else "")
    named = adapter.base_model if adapter.base_model != configured_base else ""
    cure = (
        f"model.base={named}, which it names as its base"
        if named
        else "model.base=DIR_OR_NAME of the model that it was trained on"
    )
    tried = f"model.adapter={adapter.folder} on {configured_base}"
    return [Problem(tried, happened, cure)], notes


def _same_name(first: str, second: str) -> bool:
    def last(name: str) -> str:
        return name.rstrip("/").rpartition("/")[2].lower()

    return last(first) == last(second)


def _read_base(folder: Path) -> _Base:
    config = read_json(folder / "config.json")
    config = config if isinstance(config, dict) else {}
    renames = any(part in config for part in _SEVERAL_PARTS)
    tensors = read_tensors(folder)
    if tensors and "quantization_config" not in config:
        shapes = {
            name.removesuffix(".weight"): (tensor.shape[0], tensor.shape[1])
            for name, tensor in tensors.items()
            if name.endswith(".weight") and len(tensor.shape) == 2
        }
        return _Base(shapes, None, is_complete=True, renames=renames)
    # Quantized weights have packed shapes, and pickles are not opened: the configuration must do.
    return _Base(
        configured_shapes(config),
        number_of_layers(config),
        is_complete=False,
        renames=renames,
        modules=frozenset(name.rpartition(".")[0] for name in tensors),
        layers_below="" if renames else layers_below(config),
    )


def _differences(adapter: Adapter, base: _Base) -> Iterator[str]:
    if adapter.has_parameter_targets:
        return  # stacked experts have no module of their own to compare with
    for path, parts in adapter.pairs().items():
        is_embedding = "embedding_A" in parts
        down = parts.get("embedding_A" if is_embedding else "A")
        up = parts.get("embedding_B" if is_embedding else "B")
        if down is None or up is None or len(down.shape) != 2 or len(up.shape) != 2:
            continue
        found, complaint = _find(path, base)
        if complaint:
            yield complaint
        elif found:
            # The base stores tokens x width for embeddings, outputs x inputs for linear layers.
            is_turned = is_embedding or adapter.is_transposed
            outputs, inputs = found[::-1] if is_turned else found
            if (outputs, inputs) != (up.shape[0], down.shape[1]):
                unit = "tokens" if is_embedding else "inputs"
                yield (
                    f"{path.removeprefix(PREFIX)} takes {down.shape[1]} {unit} "
                    f"to {up.shape[0]} outputs in the adapter, "
                    f"and {inputs} {unit} to {outputs} outputs in the base"
                )


def _find(path: str, base: _Base) -> tuple[tuple[int, int] | None, str]:
    """The base's shape of an adapted module, or what is wrong with its path."""
    if not path.startswith(PREFIX):
        return None, f"its key {path} does not begin with {PREFIX}, as peft expects"
    module = path.removeprefix(PREFIX)
    if not base.is_complete:
        complaint = _misplaced(module, base)
        return (None, complaint) if complaint else (configured_shape(module, base.shapes), "")
    if module in base.shapes:
        return base.shapes[module], ""
    for prefix in _OMITTED_PREFIXES:
        bare = module.removeprefix(prefix)
        if bare in base.shapes and not any(name.startswith(prefix) for name in base.shapes):
            return base.shapes[bare], ""
    if module.rpartition(".")[2] in _EMBEDDINGS:
        return None, ""  # lm_head is often tied to the embeddings and not in the file
    namesake = _namesake(module, base)
    if namesake and base.renames:
        return base.shapes[namesake], ""
    if namesake:
        return None, f"it adapts {module}, which the base calls {namesake}"
    return None, f"it adapts {module}, which the base does not have"


def _misplaced(module: str, base: _Base) -> str:
    """What is wrong with a module's path where the base is known by its configuration alone."""
    layer = re.search(r"(?:^|\.)(\d+)\.", module)
    if not layer:
        return ""
    if base.num_layers is not None and int(layer[1]) >= base.num_layers:
        return f"it adapts {module}, the base has {base.num_layers} layers"
    below = base.layers_below
    if below and not module.startswith(f"{below}."):
        return f"it adapts {module}, and the layers of such a base stand below {below}"
    is_listed = any(name.startswith(f"{below}.") for name in base.modules)
    if below and is_listed and module not in base.modules:
        return f"it adapts {module}, which the base does not have"
    return ""


def _namesake(module: str, base: _Base) -> str:
    """The module of the base with the longest common end, from the layer number on."""
    end = re.search(r"[^.]+\.\d+\..+$", module)
    if not end:
        return ""
    found = [name for name in base.shapes if name == end[0] or name.endswith(f".{end[0]}")]
    return found[0] if len(found) == 1 else ""


def _embeddings(adapter: Adapter, base: _Base) -> tuple[list[str], list[str]]:
    """Whole modules that the adapter brings: they may be longer than the base's, never wider."""
    wrong: list[str] = []
    resized: list[str] = []
    for name, tensor in adapter.tensors.items():
        module = re.sub(r"\.(modules_to_save\.|base_layer\.)?weight$", "", name)
        module = module.removeprefix(PREFIX)
        own = base.shapes.get(module) if base.is_complete else None
        if own is None or ".lora_" in name or len(tensor.shape) != 2 or tensor.shape == own:
            continue
        is_embedding = module.rpartition(".")[2] in _EMBEDDINGS
        if is_embedding and tensor.shape[1] == own[1]:
            resized.append(
                f"the adapter resizes the vocabulary of {module} "
                f"from {own[0]} to {tensor.shape[0]} tokens"
            )
        else:
            wrong.append(
                f"{module} is {list(tensor.shape)} in the adapter and {list(own)} in the base"
            )
    return wrong, resized
