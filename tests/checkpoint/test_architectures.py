"""Adapters against bases whose weights cannot be read: config.json, or the names of packed ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.checkpoint.folders import Arrays, base_tensors, lora_tensors, make_adapter, make_base
from tests.checkpoint.test_compare import compare, complaint, without_weights

MIXTURE = {"num_experts": 4, "moe_intermediate_size": 4}
LATENT = {"kv_lora_rank": 4}


def lora(path: str, inputs: int, outputs: int) -> Arrays:
    return {
        f"base_model.model.{path}.lora_A.weight": np.ones((2, inputs), np.float32),
        f"base_model.model.{path}.lora_B.weight": np.ones((outputs, 2), np.float32),
    }


@pytest.mark.parametrize("prefix", ["base_model.model.", "base_model.model._orig_mod.model."])
def test_compare_with_base_names_another_prefix_by_the_architecture(
    tmp_path: Path, prefix: str
) -> None:
    base = without_weights(make_base(tmp_path / "base", model_type="qwen2"))
    module = f"{prefix.removeprefix('base_model.model.')}layers.0.self_attn.q_proj"
    assert complaint(tmp_path, lora_tensors(prefix=prefix), base) == (
        f"it adapts {module}, and the layers of such a base stand below model.layers "
        "(and 3 more like it)"
    )


def test_compare_with_base_takes_any_prefix_of_an_unknown_architecture(tmp_path: Path) -> None:
    base = without_weights(make_base(tmp_path / "base", model_type="brand_new"))
    folder = make_adapter(tmp_path / "adapter", lora_tensors(prefix="base_model.model.trunk."))
    assert compare(folder, base, "base") == ([], [])


def test_compare_with_base_reads_the_names_of_packed_weights(tmp_path: Path) -> None:
    packed = {
        name.replace(".weight", ".qweight"): np.ones((2, 2), np.int32) for name in base_tensors()
    }
    config = {"model_type": "qwen2", "quantization_config": {"quant_method": "gptq"}}
    base = make_base(tmp_path / "base", packed, **config)
    assert compare(make_adapter(tmp_path / "adapter"), base, "base") == ([], [])
    assert complaint(tmp_path, lora("model.layers.0.mlp.router", 8, 4), base) == (
        "it adapts model.layers.0.mlp.router, which the base does not have"
    )


@pytest.mark.parametrize(
    ("config", "tensors"),
    [
        (MIXTURE, lora("model.layers.0.mlp.experts.3.gate_proj", 8, 4)),
        (MIXTURE, lora("model.layers.0.mlp.shared_expert.down_proj", 12, 8)),
        (LATENT, lora("model.layers.0.self_attn.o_proj", 24, 8)),
    ],
)
def test_compare_with_base_refuses_no_shape_that_the_configuration_does_not_tell(
    tmp_path: Path, config: dict[str, object], tensors: Arrays
) -> None:
    base = without_weights(make_base(tmp_path / "base", **config))
    folder = make_adapter(tmp_path / "adapter", tensors)
    assert compare(folder, base, "base") == ([], [])


def test_compare_with_base_knows_the_shapes_of_gpt2(tmp_path: Path) -> None:
    config = {"model_type": "gpt2", "n_embd": 8, "n_layer": 2}
    base = without_weights(make_base(tmp_path / "base", **config))
    for path, inputs, outputs in (
        ("transformer.h.1.attn.c_attn", 8, 24),
        ("transformer.h.1.attn.c_proj", 8, 8),
        ("transformer.h.1.mlp.c_proj", 32, 8),
    ):
        tensors = lora(path, inputs, outputs)
        folder = make_adapter(tmp_path / path, tensors, fan_in_fan_out=True)
        assert compare(folder, base, "base") == ([], [])
    wider = lora("transformer.h.0.attn.c_attn", 12, 36)
    assert complaint(tmp_path, wider, base, fan_in_fan_out=True) == (
        "transformer.h.0.attn.c_attn takes 12 inputs to 36 outputs in the adapter, "
        "and 8 inputs to 24 outputs in the base"
    )
