"""Measures what the number of copies is decided by: the weights, the cache, the GPUs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftbench_eval.parallel.choice import Need
from ftbench_eval.settings import Settings
from ftbench_eval.stream.budget import token_bytes

_ITEMS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Bytes of the formats that loading turns into the one asked for; others stay as they are."""

_ASKED = {"float32": 4, "float16": 2, "bfloat16": 2}

_LONGEST = 8192
"""Tokens that are planned for where the model could take more: few prompts of a benchmark do, and a
longer one still fits, alone."""


def measure_need(settings: Settings) -> Need:
    """What one copy of the model takes.

    Raises:
        Exception: Whatever transformers raises on the model's config.
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(
        settings.base_model, trust_remote_code=settings.trust_remote_code
    )
    text = config.get_text_config()
    item = _ASKED.get(settings.dtype) or int(getattr(config.torch_dtype, "itemsize", 4))
    if settings.use_vllm and settings.dtype == "auto":
        item = min(item, 2)  # vLLM runs a 32-bit model in 16 bits unless told otherwise
    folder = _folder(settings.base_model)
    weights = None if folder is None else weight_bytes(folder, item)
    if weights is not None and settings.adapter is not None:
        weights += weight_bytes(settings.adapter, item) or 0
    own = getattr(text, "max_position_embeddings", None) or _LONGEST
    asked = settings.max_seq_len or own
    longest = min(asked + settings.max_out_len, own, _LONGEST)
    heads = int(getattr(text, "num_attention_heads", 1))
    return Need(weights, token_bytes(text, item)[0], longest, heads)


def weight_bytes(folder: Path, item: int) -> int | None:
    """Bytes of a model's or an adapter's tensors in memory; None where there are none.

    Args:
        item: Bytes of one number in the format asked for; quantised tensors keep their own.
    """
    files = sorted(folder.glob("*.safetensors"))
    named = _indexed(folder / "model.safetensors.index.json")
    if named is not None:  # other files may lie beside, such as a consolidated copy
        files = [folder / name for name in sorted(named)]
    if files:
        return sum(_safetensors_bytes(file, item) for file in files if file.is_file())
    pickled = [*folder.glob("*_model.bin"), *folder.glob("*_model-*-of-*.bin")]
    if not pickled:
        return None
    # Their format stands inside them: 16 bits, as most do, unless the config says otherwise.
    stored = _stored_item(folder)
    return sum(f.stat().st_size for f in pickled) * item // stored


def gpu_memory(environ: Mapping[str, str]) -> list[int]:
    """Bytes of each GPU of CUDA_VISIBLE_DEVICES; empty where torch cannot tell.

    Side effects: runs a process that looks, since CUDA keeps memory of every GPU that a process
    has looked at.
    """
    command = (
        "import torch; c = torch.cuda; "
        "print([c.get_device_properties(i).total_memory for i in range(c.device_count())])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", command],
        env=dict(environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    lines = ran.stdout.strip().splitlines()
    if ran.returncode or not lines:
        print(ran.stderr, file=sys.stderr)
        return []
    return [int(size) for size in json.loads(lines[-1])]


def _folder(base_model: str) -> Path | None:
    if Path(base_model).is_dir():
        return Path(base_model)
    from transformers.utils import cached_file

    found = cached_file(base_model, "config.json", _raise_exceptions_for_missing_entries=False)
    return Path(found).parent.absolute() if found else None


def _indexed(index: Path) -> set[str] | None:
    try:
        return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None


def _safetensors_bytes(file: Path, item: int) -> int:
    """From the header: 8 bytes of its length, then JSON. Source: safetensors' README, 0.5."""
    with file.open("rb") as tensors:
        header = json.loads(tensors.read(int.from_bytes(tensors.read(8), "little")))
    total = 0
    for name, tensor in header.items():
        if name != "__metadata__":
            start, end = tensor["data_offsets"]
            own = _ITEMS.get(tensor["dtype"])
            total += (end - start) * item // own if own else end - start
    return total


def _stored_item(folder: Path) -> int:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = {}
    named = str(config.get("torch_dtype") or config.get("dtype") or "float16")
    return _ASKED.get(named, 2)
