from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ftbench.checkpoint import compare_with_base, inspect_adapter
from ftbench.errors import Problem
from tests.checkpoint.folders import (
    Arrays,
    base_tensors,
    lora_tensors,
    make_adapter,
    make_base,
    make_shards,
)


def compare(adapter_folder: Path, base: Path, name: str) -> tuple[list[Problem], list[str]]:
    adapter, problems = inspect_adapter(adapter_folder)
    assert adapter is not None
    assert problems == []
    return compare_with_base(adapter, base, name)


def complaint(tmp_path: Path, tensors: Arrays, base: Path, **config: object) -> str:
    folder = make_adapter(tmp_path / "adapter", tensors, **config)
    problems, _ = compare(folder, base, str(base))
    assert len(problems) == 1
    return problems[0].happened


def test_compare_with_base_takes_a_fitting_adapter(weird_tmp_path: Path) -> None:
    adapter = make_adapter(weird_tmp_path / "adapter")
    base = make_base(weird_tmp_path / "base")
    assert compare(adapter, base, "/other/place/base") == ([], [])
    assert compare(adapter, make_shards(weird_tmp_path / "shards"), "some/base") == ([], [])


def test_compare_with_base_notes_another_name(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    note = "the adapter names some/base as its base, it is put on Qwen/Qwen2-1.5B"
    assert compare(make_adapter(tmp_path / "adapter"), base, "Qwen/Qwen2-1.5B") == ([], [note])


def test_compare_with_base_refuses_other_shapes(tmp_path: Path) -> None:
    tensors = base_tensors()
    for name in tensors:
        if "q_proj" in name:
            tensors[name] = np.ones((12, 12), np.float32)
    base = make_base(tmp_path / "other", tensors)
    adapter = make_adapter(tmp_path / "adapter")
    problems, notes = compare(adapter, base, "other")
    assert problems == [
        Problem(
            f"model.adapter={adapter} on other",
            "model.layers.0.self_attn.q_proj takes 8 inputs to 8 outputs in the adapter, "
            "and 12 inputs to 12 outputs in the base (and 1 more like it)",
            "model.base=some/base, which it names as its base",
        )
    ]
    assert notes == ["the adapter names some/base as its base, it is put on other"]


def test_compare_with_base_refuses_modules_that_the_base_lacks(tmp_path: Path) -> None:
    tensors = {n.replace("q_proj", "qkv_proj"): a for n, a in lora_tensors().items()}
    assert complaint(tmp_path, tensors, make_base(tmp_path / "base")) == (
        "it adapts model.layers.0.self_attn.qkv_proj, which the base does not have "
        "(and 1 more like it)"
    )


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        (
            "base_model.model.",
            "it adapts layers.0.self_attn.q_proj, "
            "which the base calls model.layers.0.self_attn.q_proj (and 3 more like it)",
        ),
        (
            "base_model.model._orig_mod.model.",
            "it adapts _orig_mod.model.layers.0.self_attn.q_proj, "
            "which the base calls model.layers.0.self_attn.q_proj (and 3 more like it)",
        ),
        (
            "model.",
            "its key model.layers.0.self_attn.q_proj does not begin with base_model.model., "
            "as peft expects (and 3 more like it)",
        ),
    ],
)
def test_compare_with_base_names_another_prefix(tmp_path: Path, prefix: str, message: str) -> None:
    assert complaint(tmp_path, lora_tensors(prefix=prefix), make_base(tmp_path / "base")) == message


def test_compare_with_base_knows_that_transformers_renames_multimodal_models(
    tmp_path: Path,
) -> None:
    adapter = make_adapter(
        tmp_path / "adapter", lora_tensors(prefix="base_model.model.model.language_model.")
    )
    base = make_base(tmp_path / "base", vision_config={})
    assert compare(adapter, base, "base") == ([], [])


def test_compare_with_base_knows_that_transformers_adds_an_omitted_prefix(tmp_path: Path) -> None:
    tensors = {name.removeprefix("model."): array for name, array in base_tensors().items()}
    base = make_base(tmp_path / "base", tensors)
    assert compare(make_adapter(tmp_path / "adapter"), base, "base") == ([], [])


def test_compare_with_base_turns_the_shapes_of_transposed_layers(tmp_path: Path) -> None:
    path = "base_model.model.transformer.h.0.attn.c_attn"
    tensors = {
        f"{path}.lora_A.weight": np.ones((2, 8), np.float32),
        f"{path}.lora_B.weight": np.ones((24, 2), np.float32),
    }
    base = make_base(tmp_path / "base", {"h.0.attn.c_attn.weight": np.ones((8, 24), np.float32)})
    turned = make_adapter(tmp_path / "adapter", tensors, fan_in_fan_out=True)
    assert compare(turned, base, "base") == ([], [])
    assert complaint(tmp_path, tensors, base) == (
        "transformer.h.0.attn.c_attn takes 8 inputs to 24 outputs in the adapter, "
        "and 24 inputs to 8 outputs in the base"
    )


def without_weights(base: Path) -> Path:
    (base / "model.safetensors").unlink()
    return base


def test_compare_with_base_falls_back_on_the_configuration(tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "adapter")
    fitting = without_weights(make_base(tmp_path / "base"))
    assert compare(adapter, fitting, "base") == ([], [])

    wider = without_weights(make_base(tmp_path / "wider", num_key_value_heads=2))
    assert complaint(tmp_path, lora_tensors(), wider) == (
        "model.layers.0.self_attn.v_proj takes 8 inputs to 4 outputs in the adapter, "
        "and 8 inputs to 8 outputs in the base (and 1 more like it)"
    )
    shorter = without_weights(make_base(tmp_path / "shorter", num_hidden_layers=1))
    assert complaint(tmp_path, lora_tensors(), shorter) == (
        "it adapts model.layers.1.self_attn.q_proj, the base has 1 layers (and 1 more like it)"
    )


def test_compare_with_base_does_not_trust_packed_shapes(tmp_path: Path) -> None:
    tensors = {n: np.ones((3, 1), np.uint8) for n in base_tensors()}
    base = make_base(tmp_path / "base", tensors, quantization_config={"quant_method": "bnb"})
    assert compare(make_adapter(tmp_path / "adapter"), base, "base") == ([], [])


def test_compare_with_base_notes_a_resized_vocabulary(tmp_path: Path) -> None:
    tensors = lora_tensors()
    tensors["base_model.model.model.embed_tokens.weight"] = np.ones((40, 8), np.float32)
    adapter = make_adapter(tmp_path / "adapter", tensors, modules_to_save=["embed_tokens"])
    note = "the adapter resizes the vocabulary of model.embed_tokens from 32 to 40 tokens"
    assert compare(adapter, make_base(tmp_path / "base"), "base") == ([], [note])


def test_compare_with_base_refuses_embeddings_of_another_width(tmp_path: Path) -> None:
    tensors = lora_tensors()
    tensors["base_model.model.model.embed_tokens.weight"] = np.ones((32, 9), np.float32)
    assert complaint(tmp_path, tensors, make_base(tmp_path / "base")) == (
        "model.embed_tokens is [32, 9] in the adapter and [32, 8] in the base"
    )


def test_compare_with_base_compares_lora_on_embeddings(tmp_path: Path) -> None:
    path = "base_model.model.model.embed_tokens"
    fitting = lora_tensors() | {
        f"{path}.lora_embedding_A": np.ones((2, 32), np.float32),
        f"{path}.lora_embedding_B": np.ones((8, 2), np.float32),
    }
    base = make_base(tmp_path / "base")
    assert compare(make_adapter(tmp_path / "adapter", fitting), base, "base") == ([], [])
    fitting[f"{path}.lora_embedding_A"] = np.ones((2, 33), np.float32)
    assert complaint(tmp_path, fitting, base) == (
        "model.embed_tokens takes 33 tokens to 8 outputs in the adapter, "
        "and 32 tokens to 8 outputs in the base"
    )


def test_compare_with_base_notes_that_a_pickle_is_not_opened(tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "adapter")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    problems, notes = compare(folder, make_base(tmp_path / "base"), "base")
    assert problems == []
    assert notes == [
        "adapter_model.bin is a pickle, which is not opened here: "
        "whether it fits shows when it is loaded"
    ]


def test_compare_with_base_reports_a_damaged_base(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    (base / "model.safetensors").write_bytes(b"abc")
    problems, _ = compare(make_adapter(tmp_path / "adapter"), base, "base")
    assert [(problem.tried, problem.happened) for problem in problems] == [
        (f"reading {base}", "it is 3 bytes long, shorter than any safetensors file")
    ]
