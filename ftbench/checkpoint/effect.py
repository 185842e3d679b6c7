"""Says whether LoRA matrices can change a model at all, by their values alone.

Whether an effect reaches the answers, the canary shows when the model is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ftbench.checkpoint.tensors import TensorInfo, read_values

_NIL_SHARE = 1e-6
"""A product of B and A below this share of what their sizes allow is what rounding leaves of a sum
that cancels: 1e-7 in float32. Of matrices that do not cancel it is near 1 / rank."""

Pairs = Mapping[str, Mapping[str, TensorInfo]]
"""``A`` and ``B`` tensors by module, as ``Adapter.pairs`` gives them."""


def why_no_effect(weights: Path, pairs: Pairs, config: Mapping[str, Any]) -> str:
    """Why LoRA matrices that are not zero change nothing; empty when they do, or it is not known.

    Args:
        weights: The safetensors file.
        pairs: Its matrices.
        config: ``adapter_config.json``.

    Raises:
        BadTensorFile, OSError: The file cannot be read.
    """
    scales = [config.get("lora_alpha", 8), *(config.get("alpha_pattern") or {}).values()]
    if not any(scales):
        return "lora_alpha is 0, by which every change of the adapter is multiplied"
    if not pairs or any(_changes(weights, parts) for parts in pairs.values()):
        return ""
    return "each product of its lora_B and lora_A is zero"


def _changes(weights: Path, parts: Mapping[str, TensorInfo]) -> bool:
    """Whether the product of two matrices is more than rounding, by their small Gram matrices."""
    down = parts.get("A", parts.get("embedding_A"))
    up = parts.get("B", parts.get("embedding_B"))
    if down is None or up is None or len(down.shape) != 2 or len(up.shape) != 2:
        return True
    first, last = read_values(weights, down), read_values(weights, up)
    if first is None or last is None or last.shape[1] != first.shape[0]:
        return True
    squared = float(np.sum((last.T @ last) * (first @ first.T)))
    limit = float(np.sum(last**2)) * float(np.sum(first**2))
    return squared > limit * _NIL_SHARE**2
