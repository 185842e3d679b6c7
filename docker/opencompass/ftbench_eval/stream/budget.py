"""How large a batch may be: from what the user said, or from the memory that is free."""

from __future__ import annotations

import os
from typing import Any

from ftbench_eval.stream.batches import BatchLimit
from ftbench_eval.stream.requests import GENERATE, PERPLEXITY

_MOST_SAMPLES = 256
_MOST_TOKENS = 1 << 18
"""Larger batches make no model faster, and lose more when one is cut off."""

_CPU_SAMPLES = 64
_CPU_TOKENS = 1 << 15

_SHARE = 0.5
"""Of the free memory; an estimate that is wrong costs a batch that is asked again in halves."""


def batch_limits(
    batch_size: int | None, batch_tokens: int | None, model: Any, device: str, copies: int = 1
) -> dict[str, BatchLimit]:
    """The limits by method of the call.

    Args:
        batch_size: Samples, as the user said; None: as many as have room.
        batch_tokens: Tokens with padding and output, as the user said; None: by free memory.
        model: Transformers model.
        device: Where it lies, such as ``cuda:0``.
        copies: Models that share the memory of the CPU.
    """
    if batch_size is not None and batch_tokens is None:
        limit = BatchLimit(batch_size)
        return {GENERATE: limit, PERPLEXITY: limit}
    on_gpu = device.startswith("cuda")
    samples = batch_size or (_MOST_SAMPLES if on_gpu else _CPU_SAMPLES)
    if batch_tokens is not None:
        limit = BatchLimit(samples, batch_tokens)
        return {GENERATE: limit, PERPLEXITY: limit}
    free, gpus = _free_on_gpus(model) if on_gpu else (_free_memory() // copies, 1)
    most = _MOST_TOKENS if on_gpu else _CPU_TOKENS
    # A model for images too has its text model's sizes one level deeper.
    config = model.config.get_text_config()
    kept, passing, losses = token_bytes(config, _item_bytes(model))
    return {
        GENERATE: BatchLimit(samples, tokens_in(free, kept // gpus + passing, most)),
        PERPLEXITY: BatchLimit(samples, tokens_in(free, passing + losses, most)),
    }


def tokens_in(free: int, per_token: int, most: int) -> int:
    """A power of two, so that a little more or less memory gives the same batches."""
    tokens = max(1, min(most, int(free * _SHARE) // max(1, per_token)))
    return 1 << (tokens.bit_length() - 1)


def token_bytes(config: Any, item: int) -> tuple[int, int, int]:
    """Bytes that a token takes: kept in the cache, passing through a layer, in a loss.

    Args:
        config: Transformers config of the model.
        item: Bytes of one number.
    """
    hidden = int(config.hidden_size)
    heads = int(config.num_attention_heads)
    width = int(getattr(config, "head_dim", None) or hidden // heads)
    kept_heads = int(getattr(config, "num_key_value_heads", None) or heads)
    kept = 2 * int(config.num_hidden_layers) * kept_heads * width * item
    inner = int(getattr(config, "intermediate_size", None) or 4 * hidden)
    passing = (4 * hidden + 3 * inner) * item
    # Logits, a copy of them as 32-bit numbers, and their softmax (OpenCompass's get_ppl).
    losses = int(config.vocab_size) * (item + 8)
    return kept, passing, losses


def _item_bytes(model: Any) -> int:
    return int(getattr(getattr(model, "dtype", None), "itemsize", 2))


def _free_on_gpus(model: Any) -> tuple[int, int]:
    """What is free on the fullest of the GPUs that the model lies on, and how many these are.

    Where layers are spread over several, each keeps its share of the cache; what passes through a
    layer, or a loss, needs its room on one of them.
    """
    import torch

    placed = set((getattr(model, "hf_device_map", None) or {}).values())
    devices = [torch.device("cuda", d) if isinstance(d, int) else torch.device(d) for d in placed]
    used = [device for device in devices if device.type == "cuda"] or [model.device]
    return min(int(torch.cuda.mem_get_info(device)[0]) for device in used), len(used)


def _free_memory() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
