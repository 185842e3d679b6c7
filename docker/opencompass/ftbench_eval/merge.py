"""Merges an adapter into its base, for servers that cannot serve the adapter as it is."""

from __future__ import annotations

from pathlib import Path

from ftbench_eval.infer import set_seeds
from ftbench_eval.model_files import ModelFiles
from ftbench_eval.model_load import recorded_adapter_loading, verify_adapter
from ftbench_eval.settings import Settings


def merge_adapter(settings: Settings, files: ModelFiles, target: Path) -> int:
    """Writes base plus adapter as a full model.

    Args:
        settings: Names base and adapter, and whether their code may run.
        files: Says how large the vocabulary is.
        target: Folder to write.

    Returns:
        Tensors of the adapter that were merged.

    Raises:
        Refused: The adapter's tensors do not match the base model.

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
    with recorded_adapter_loading() as records:
        model = PeftModel.from_pretrained(model, str(settings.adapter), is_trainable=False)
    tensors = verify_adapter(records, settings.adapter)
    model.merge_and_unload().save_pretrained(str(target))
    return tensors
