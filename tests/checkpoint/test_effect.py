from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ftbench.checkpoint import inspect_adapter, same_weights
from tests.checkpoint.folders import (
    Arrays,
    base_tensors,
    lora_tensors,
    make_adapter,
    make_base,
    make_shards,
)

NO_EFFECT = "evaluate a trained checkpoint, or the base itself with model.base=..."


def cancelling(scale: float = 1.0) -> Arrays:
    """LoRA matrices that are not zero, and whose products are: both halves of the rank cancel."""
    random = np.random.default_rng(0)
    tensors = lora_tensors()
    for name, array in tensors.items():
        half = random.normal(size=array.shape).astype(np.float32)
        if "lora_A" in name:
            half[1] = half[0]
        else:
            half[:, 1] = -half[:, 0] * scale
        tensors[name] = half
    return tensors


def problems_of(folder: Path) -> list[tuple[str, str]]:
    return [(p.happened, p.cure) for p in inspect_adapter(folder)[1]]


def test_inspect_adapter_refuses_products_that_are_nothing(tmp_path: Path) -> None:
    assert problems_of(make_adapter(tmp_path, cancelling())) == [
        (
            "each product of its lora_B and lora_A is zero, so the adapter would change nothing",
            NO_EFFECT,
        )
    ]


def test_inspect_adapter_takes_products_that_nearly_cancel(tmp_path: Path) -> None:
    assert problems_of(make_adapter(tmp_path, cancelling(scale=1.001))) == []


def test_inspect_adapter_takes_one_nil_product_among_others(tmp_path: Path) -> None:
    tensors = cancelling()
    own = lora_tensors()
    last = [name for name in tensors if "layers.1.self_attn.v_proj" in name]
    assert problems_of(make_adapter(tmp_path, tensors | {name: own[name] for name in last})) == []


@pytest.mark.parametrize("patterns", [{}, {"alpha_pattern": {"q_proj": 0}}])
def test_inspect_adapter_refuses_a_scale_of_zero(
    tmp_path: Path, patterns: dict[str, object]
) -> None:
    assert problems_of(make_adapter(tmp_path, lora_alpha=0, **patterns)) == [
        (
            "lora_alpha is 0, by which every change of the adapter is multiplied, "
            "so the adapter would change nothing",
            NO_EFFECT,
        )
    ]


def test_inspect_adapter_takes_a_scale_that_some_modules_have(tmp_path: Path) -> None:
    folder = make_adapter(tmp_path, lora_alpha=0, alpha_pattern={"q_proj": 16})
    assert problems_of(folder) == []


def test_inspect_adapter_takes_tiny_weights(tmp_path: Path) -> None:
    tensors = {
        name: array * np.float32(1e-8) if "lora_B" in name else array
        for name, array in lora_tensors().items()
    }
    assert problems_of(make_adapter(tmp_path, tensors)) == []


def test_same_weights_however_they_are_split(tmp_path: Path) -> None:
    assert same_weights(make_base(tmp_path / "one"), make_shards(tmp_path / "shards"))


def test_other_weights_are_not_the_same(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    changed = base_tensors()
    changed["model.layers.1.mlp.down_proj.weight"][0, 0] += 1
    assert not same_weights(base, make_base(tmp_path / "tuned", changed))
    halves = {name: array.astype(np.float16) for name, array in base_tensors().items()}
    assert not same_weights(base, make_base(tmp_path / "halves", halves))
    fewer = dict(list(base_tensors().items())[1:])
    assert not same_weights(base, make_base(tmp_path / "fewer", fewer))
