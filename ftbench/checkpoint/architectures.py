"""What config.json alone says of a base: its layers, where they stand, and their shapes.

For weights that are packed or pickled. Only what is certain: a module that is not known has no
shape, and an architecture that is not known no place for its layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LAYERS_BELOW = {
    "model.layers": (
        *("llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "gemma"),
        *("gemma2", "phi", "phi3", "olmo", "olmo2", "granite", "starcoder2", "cohere", "smollm3"),
    ),
    "transformer.h": ("gpt2", "gptj", "gpt_neo", "gpt_bigcode", "bloom", "falcon"),
    "gpt_neox.layers": ("gpt_neox",),
    "model.decoder.layers": ("opt",),
}
"""By ``model_type``. Source: the attribute names in transformers 4.57, src/transformers/models."""

_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")

_OTHER_ATTENTION = ("kv_lora_rank", "attn_output_gate")
"""In config.json of models whose projections have other shapes (DeepSeek's latent attention)."""

Shapes = dict[str, tuple[int, int]]


def number_of_layers(config: Mapping[str, Any]) -> int | None:
    """Layers that config.json says; None when it does not."""
    layers = config.get("num_hidden_layers", config.get("n_layer"))
    return layers if isinstance(layers, int) else None


def layers_below(config: Mapping[str, Any]) -> str:
    """Path of what holds the layers, such as ``model.layers``; empty when it is not known."""
    kind = config.get("model_type")
    return next((path for path, kinds in _LAYERS_BELOW.items() if kind in kinds), "")


def configured_shape(module: str, shapes: Shapes) -> tuple[int, int] | None:
    """The shape of a module; the end of its path tells which it is. None: not known."""
    for end in (".".join(module.split(".")[-2:]), module.rpartition(".")[2]):
        if end in shapes:
            return shapes[end]
    return None


def configured_shapes(config: Mapping[str, Any]) -> Shapes:
    """Shapes of a layer, outputs x inputs (GPT-2's: inputs x outputs), by the end of the path."""
    if config.get("model_type") == "gpt2":
        return _gpt2(config)
    keys = ("hidden_size", "num_attention_heads", "intermediate_size")
    if not all(isinstance(config.get(key), int) and config[key] > 0 for key in keys):
        return {}
    hidden, heads, inner = (config[key] for key in keys)
    head = config.get("head_dim") or hidden // heads
    queries, keys_ = heads * head, (config.get("num_key_value_heads") or heads) * head
    shapes: Shapes = {}
    if not any(config.get(key) for key in _OTHER_ATTENTION):
        shapes |= {
            "q_proj": (queries, hidden),
            "k_proj": (keys_, hidden),
            "v_proj": (keys_, hidden),
            "o_proj": (hidden, queries),
        }
    # Experts are of another size, and so is what they share.
    if not any(config.get(key) for key in _EXPERTS):
        shapes |= {
            "gate_proj": (inner, hidden),
            "up_proj": (inner, hidden),
            "down_proj": (hidden, inner),
        }
    return shapes


def _gpt2(config: Mapping[str, Any]) -> Shapes:
    hidden = config.get("n_embd")
    if not isinstance(hidden, int) or hidden < 1:
        return {}
    inner = config.get("n_inner") or 4 * hidden
    return {
        "attn.c_attn": (hidden, 3 * hidden),
        "attn.c_proj": (hidden, hidden),
        "mlp.c_fc": (hidden, inner),
        "mlp.c_proj": (inner, hidden),
    }
