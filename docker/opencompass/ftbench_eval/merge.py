"""Merges an adapter into its base, for servers that cannot serve the adapter as it is."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftbench.schema import Canary
from ftbench_eval.adapter_weights import why_nil
from ftbench_eval.canary import NoEffect
from ftbench_eval.infer import set_seeds
from ftbench_eval.model_files import ModelFiles
from ftbench_eval.model_load import recorded_adapter_loading, verify_adapter
from ftbench_eval.settings import Settings

_DIGESTING = 4
"""Tensors hashed at a time: reading memory is most of it."""


@dataclass(frozen=True)
class Merged:
    """What merging did.

    Attributes:
        tensors: Tensors of the adapter that were merged.
        canary: Which of the base's weights it changed; None where that was not asked for.
    """

    tensors: int
    canary: Canary | None = None


def merge_adapter(settings: Settings, files: ModelFiles, target: Path) -> Merged:
    """Writes base plus adapter as a full model.

    Args:
        settings: Names base and adapter, and whether their code may run.
        files: Says how large the vocabulary is.
        target: Folder to write.

    Raises:
        Refused: The adapter's tensors do not match the base model.
        NoEffect: The merged weights are the base's, bit by bit, and it is to be checked.

    Side effects: needs memory for the whole model, on the CPU.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    assert settings.adapter is not None
    set_seeds(settings.seed)  # rows that a larger vocabulary adds are drawn at random
    dtype = "auto" if settings.dtype == "auto" else getattr(torch, settings.dtype)
    model = AutoModelForCausalLM.from_pretrained(
        settings.base_model,
        torch_dtype=dtype,
        device_map="cpu",
        trust_remote_code=settings.trust_remote_code,
    )
    rows = files.adapter_embedding_rows
    if rows is None and files.adapter_tokenizer is not None:
        rows = max(files.adapter_tokenizer.length, files.vocabulary or 0)
    if rows is not None and rows != files.vocabulary:
        model.resize_token_embeddings(rows)
    before = _digests(model) if settings.canary else {}
    with recorded_adapter_loading() as records:
        model = PeftModel.from_pretrained(model, str(settings.adapter), is_trainable=False)
    tensors = verify_adapter(records, settings.adapter)
    model = model.merge_and_unload()
    canary = _compare(before, model, settings.adapter) if settings.canary else None
    model.save_pretrained(str(target))
    return Merged(tensors, canary)


def _digests(model: Any) -> dict[str, bytes]:
    """A digest of every weight tensor, by name."""
    import torch

    def digest(tensor: Any) -> bytes:
        plain = tensor.detach().contiguous().view(-1).view(torch.uint8).numpy()
        return hashlib.blake2b(plain, digest_size=16).digest()

    named = dict(model.named_parameters())
    with ThreadPoolExecutor(_DIGESTING) as pool:
        return dict(zip(named, pool.map(digest, named.values()), strict=True))


def _compare(before: Mapping[str, bytes], model: Any, adapter: Path) -> Canary:
    started = time.monotonic()
    after = _digests(model)
    changed = sum(before.get(name) != digest for name, digest in after.items())
    seconds = 2 * (time.monotonic() - started)
    canary = Canary(weights=len(after), changed_weights=changed, seconds=seconds)
    nil = why_nil(adapter)
    if nil or not changed:
        rounded = "its weights are so small that the base's number format rounds them away"
        raise NoEffect(
            f"merging it changed {changed} of {len(after)} weight tensors of the base. "
            f"Likely cause: {nil or rounded}. CANARY=false (canary=false) evaluates all the same",
            canary,
        )
    return canary
