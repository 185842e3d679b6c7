"""Asks the canary about adapters of every kind; runs in the evaluation environment.

python canary_cases.py CHECKPOINTS WORK     prints one JSON object: what came of each case
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from ftbench_eval.canary import NoEffect, check_adapter
from ftbench_eval.merge import merge_adapter
from ftbench_eval.model_files import read_model_files
from ftbench_eval.model_load import load_model
from ftbench_eval.opencompass_config import use_real_python_root
from ftbench_eval.settings import read_settings
from safetensors.torch import load_file, save_file

CHECKPOINTS, WORK = map(Path, sys.argv[1:])

Change = Callable[[str, torch.Tensor], torch.Tensor]


def variant(name: str, change: Change, as_pickle: bool = False, **config: Any) -> Path:
    """The trained adapter with other weights or another configuration."""
    folder = WORK / name
    shutil.copytree(CHECKPOINTS / "adapter", folder)
    weights = folder / "adapter_model.safetensors"
    tensors = {key: change(key, value).contiguous() for key, value in load_file(weights).items()}
    if as_pickle:
        weights.unlink()
        torch.save(tensors, folder / "adapter_model.bin")
    else:
        save_file(tensors, weights)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return folder


def times_b(factor: float) -> Change:
    return lambda key, value: value * factor if "lora_B" in key else value


def cancelling(key: str, value: torch.Tensor) -> torch.Tensor:
    """The two halves of the rank undo each other: neither A nor B is zero, each product is."""
    if "lora_A" in key:
        return torch.cat([value[:4], value[:4]])
    return torch.cat([value[:, :4], -value[:, :4]], dim=1)


def model_config(kind: str, adapter: Path, dtype: str, **more: Any) -> dict[str, Any]:
    return {
        "type": f"opencompass.models.{kind}",
        "abbr": "m",
        "path": str(CHECKPOINTS / "base"),
        "tokenizer_path": str(CHECKPOINTS / "base"),
        "model_kwargs": {"device_map": "cpu", "torch_dtype": dtype, "trust_remote_code": False},
        "generation_kwargs": {"do_sample": True, "temperature": 1.0, "top_p": 1.0},
        "pad_token_id": 0,
        "max_seq_len": 1024,
        "max_out_len": 8,
        "peft_path": str(adapter),
        **more,
    }


def ask(
    adapter: Path, dtype: str = "float32", role: str = "generation", prepare: Any = None
) -> dict[str, Any]:
    """What the canary says of an adapter on the tiny base."""
    if role == "generation":
        config = model_config("HuggingFacewithChatTemplate", adapter, dtype)
    else:
        right = {"padding_side": "right"}
        config = model_config("HuggingFaceBaseModel", adapter, dtype, tokenizer_kwargs=right)
    model = load_model({role: config}, adapter)
    wrapper = model.wrappers[role]
    before = wrapper.generation_kwargs
    if prepare is not None:
        prepare(wrapper)
    said = outcome(lambda: check_adapter(model.wrappers, adapter, is_vllm=False))
    assert wrapper.generation_kwargs is before
    return said


def outcome(check: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"canary": asdict(check()), "refused": ""}
    except NoEffect as exc:
        return {"canary": asdict(exc.canary) if exc.canary else None, "refused": str(exc)}


def merge(name: str, adapter: Path) -> dict[str, Any]:
    """What merging says of an adapter."""
    variables = {
        "BENCHMARK_DATASETS": "race",
        "BASE_MODEL": str(CHECKPOINTS / "base"),
        "ADAPTER_PATH": str(adapter),
        "MODEL_ABBR": "m",
        "OUTPUT_PATH": str(WORK),
    }
    settings = read_settings(variables)
    files = read_model_files(settings)
    said = outcome(lambda: merge_adapter(settings, files, WORK / name).canary)
    return {**said, "written": (WORK / name).is_dir()}


def switch_off(wrapper: Any) -> None:
    wrapper.model.base_model.disable_adapter_layers()


def forget(wrapper: Any) -> None:
    wrapper.model = wrapper.model.unload()


def main() -> None:
    use_real_python_root()
    trained = CHECKPOINTS / "adapter"
    zero = variant("zero", times_b(0), as_pickle=True)
    nil = variant("nil", cancelling)
    faint = variant("faint", times_b(1e-4))
    lost = variant("lost", times_b(1e-6))
    cases = {
        "trained": ask(trained),
        "trained in bfloat16": ask(trained, "bfloat16"),
        "perplexity": ask(trained, role="likelihood"),
        "zero": ask(zero),
        "scale of zero": ask(variant("scale", times_b(1), lora_alpha=0)),
        "cancelling": ask(nil),
        "cancelling perplexity": ask(nil, role="likelihood"),
        "faint": ask(faint),
        "faint in bfloat16": ask(faint, "bfloat16"),
        "lost in rounding": ask(lost, "bfloat16"),
        "switched off": ask(trained, prepare=switch_off),
        "not put on": ask(trained, prepare=forget),
        "merged": merge("merged", trained),
        "merged cancelling": merge("merged-nil", nil),
    }
    print("\n" + json.dumps(cases))


if __name__ == "__main__":
    main()
