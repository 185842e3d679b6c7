"""Makes the folders that training leaves: adapters, models, and damaged ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

Arrays = dict[str, npt.NDArray[Any]]

HIDDEN, INNER, VOCABULARY, LAYERS = 8, 16, 32, 2
"""Sizes of the tiny base; it has 2 heads of 4 and 1 key-value head."""

SHAPES = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (4, HIDDEN),
    "self_attn.v_proj": (4, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER),
}

LLAMA = {
    "architectures": ["Qwen2ForCausalLM"],
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_hidden_layers": LAYERS,
    "vocab_size": VOCABULARY,
}


def base_tensors() -> Arrays:
    tensors: Arrays = {"model.embed_tokens.weight": np.ones((VOCABULARY, HIDDEN), np.float32)}
    for layer in range(LAYERS):
        for module, shape in SHAPES.items():
            tensors[f"model.layers.{layer}.{module}.weight"] = np.ones(shape, np.float32)
    return tensors


def lora_tensors(rank: int = 2, prefix: str = "base_model.model.model.") -> Arrays:
    tensors: Arrays = {}
    for layer in range(LAYERS):
        for module in ("self_attn.q_proj", "self_attn.v_proj"):
            outputs, inputs = SHAPES[module]
            path = f"{prefix}layers.{layer}.{module}"
            tensors[f"{path}.lora_A.weight"] = np.full((rank, inputs), 0.5, np.float32)
            tensors[f"{path}.lora_B.weight"] = np.full((outputs, rank), 0.25, np.float32)
    return tensors


def make_adapter(folder: Path, tensors: Arrays | None = None, **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": 2,
        "base_model_name_or_path": "some/base",
        "target_modules": ["v_proj", "q_proj"],
    }
    write_json(folder / "adapter_config.json", settings | config)
    save_file(lora_tensors() if tensors is None else tensors, folder / "adapter_model.safetensors")
    return folder


def make_base(folder: Path, tensors: Arrays | None = None, **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", LLAMA | config)
    write_json(folder / "tokenizer.json", {})
    save_file(base_tensors() if tensors is None else tensors, folder / "model.safetensors")
    return folder


def make_shards(folder: Path) -> Path:
    """A base whose weights lie in two files."""
    make_base(folder).joinpath("model.safetensors").unlink()
    tensors = base_tensors()
    names = sorted(tensors)
    parts = {
        "model-00001-of-00002.safetensors": names[:3],
        "model-00002-of-00002.safetensors": names[3:],
    }
    for file, chosen in parts.items():
        save_file({name: tensors[name] for name in chosen}, folder / file)
    weight_map = {name: file for file, chosen in parts.items() for name in chosen}
    write_json(folder / "model.safetensors.index.json", {"weight_map": weight_map})
    return folder


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def write_raw(path: Path, header: Any, data: bytes = b"") -> Path:
    """A safetensors file with any header, right or wrong."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def cut(path: Path, num_bytes: int) -> None:
    """Cuts bytes off the end of a file."""
    path.write_bytes(path.read_bytes()[:-num_bytes])
