"""Static checks of adapters and models, on the host: no torch, and no pickle is ever opened."""

from ftbench.checkpoint.adapter import Adapter, inspect_adapter
from ftbench.checkpoint.compare import compare_with_base
from ftbench.checkpoint.folders import (
    global_step_of,
    holds_adapter,
    holds_model,
    list_checkpoints,
    natural_key,
)
from ftbench.checkpoint.hashes import hash_folder, hash_model, hash_weights
from ftbench.checkpoint.identity import same_weights
from ftbench.checkpoint.model import has_chat_template, has_tokenizer, inspect_model
from ftbench.checkpoint.tensors import BadTensorFile, TensorInfo, read_header

__all__ = [
    "Adapter",
    "BadTensorFile",
    "TensorInfo",
    "compare_with_base",
    "global_step_of",
    "has_chat_template",
    "has_tokenizer",
    "hash_folder",
    "hash_model",
    "hash_weights",
    "holds_adapter",
    "holds_model",
    "inspect_adapter",
    "inspect_model",
    "list_checkpoints",
    "natural_key",
    "read_header",
    "same_weights",
]
