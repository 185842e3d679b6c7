"""Says why an adapter's own weights cannot change any model, by its files alone.

The host's preflight says the same of safetensors files; this also opens what torch's own loader
takes for plain weights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_LORA = re.compile(r"(?P<module>.+)\.lora_(embedding_)?(?P<part>A|B)(\.weight)?$")

NIL_SHARE = 1e-6
"""A product of B and A below this share of what their sizes allow is what rounding leaves of a sum
that cancels: 1e-7 in float32. Of matrices that do not cancel it is near 1 / rank."""


def why_nil(adapter: Path) -> str:
    """Why the weights of an adapter change nothing; empty when they change something.

    Also empty where they bring more than LoRA matrices (whole modules, biases, magnitudes), or
    cannot be read: then only the answers tell.
    """
    try:
        config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
        with _tensors(adapter) as (names, tensor):
            return _why_nil(config, names, tensor)
    except Exception:  # what cannot be read here was read by peft or vLLM, or they said why not
        return ""


def _why_nil(config: dict[str, Any], names: list[str], tensor: Callable[[str], Any]) -> str:
    pairs: dict[str, dict[str, str]] = {}
    for name in names:
        match = _LORA.match(name)
        if match is None:
            return ""
        pairs.setdefault(match["module"], {})[match["part"]] = name
    scales = [config.get("lora_alpha", 8), *(config.get("alpha_pattern") or {}).values()]
    if not any(scales):
        return "its lora_alpha is 0, by which every change is multiplied"
    zero = {"A": True, "B": True}
    for parts in pairs.values():
        if len(parts) != 2:
            return ""
        down, up = tensor(parts["A"]).double(), tensor(parts["B"]).double()
        if _changes(down, up):
            return ""
        zero = {"A": zero["A"] and not down.any(), "B": zero["B"] and not up.any()}
    if zero["B"]:
        return "every lora_B is zero, as before the first step of training"
    if zero["A"]:
        return "every lora_A is zero"
    return "each product of its lora_B and lora_A is zero"


def _changes(down: Any, up: Any) -> bool:
    """Whether the product of two matrices is more than rounding, by their small Gram matrices."""
    if down.ndim != 2 or up.ndim != 2 or up.shape[1] != down.shape[0]:
        return bool(down.any()) and bool(up.any())
    squared = float(((up.T @ up) * (down @ down.T)).sum())
    limit = float((up**2).sum()) * float((down**2).sum())
    return squared > limit * NIL_SHARE**2


@contextmanager
def _tensors(adapter: Path) -> Iterator[tuple[list[str], Callable[[str], Any]]]:
    safe = adapter / "adapter_model.safetensors"
    if safe.is_file():
        from safetensors import safe_open

        with safe_open(safe, framework="pt") as file:
            yield list(file.keys()), file.get_tensor
        return
    import torch

    loaded = torch.load(adapter / "adapter_model.bin", map_location="cpu", weights_only=True)
    yield list(loaded), loaded.__getitem__
