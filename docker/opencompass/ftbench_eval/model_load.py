"""Loads the weights once, proves that the adapter is in them, and shares them among roles."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftbench_eval.reasons import Refused
from ftbench_eval.stop_words import decode_ends_once


@dataclass(frozen=True)
class LoadedModel:
    """The model in memory.

    Attributes:
        wrappers: OpenCompass model by role; all hold the same weights.
        adapter_tensors: Tensors of the adapter that are in the model.
        load_seconds: Time it took.
    """

    wrappers: dict[str, Any]
    adapter_tensors: int
    device: str
    dtype: str
    load_seconds: float


def load_model(configs: Mapping[str, dict[str, Any]], adapter: Path | None) -> LoadedModel:
    """Builds the OpenCompass wrapper of every role around one set of weights.

    Args:
        configs: OpenCompass model config by role.
        adapter: The adapter that transformers loads; None when there is none, when it is merged,
            or when vLLM serves it.

    Raises:
        Refused: The adapter's tensors do not match the base model.
    """
    from mmengine.config import ConfigDict
    from opencompass.registry import MODELS
    from opencompass.utils import build_model_from_cfg

    started = time.monotonic()
    decode_ends_once()
    wrappers: dict[str, Any] = {}
    with recorded_adapter_loading() as records:
        for role, config in configs.items():
            built = ConfigDict(config)
            if wrappers:
                weights = next(iter(wrappers.values())).model
                with _sharing(MODELS.get(config["type"]), weights):
                    wrappers[role] = build_model_from_cfg(built)
            else:
                wrappers[role] = build_model_from_cfg(built)
    tensors = 0
    if adapter is not None:
        tensors = verify_adapter(records, adapter)
    weights = next(iter(wrappers.values())).model
    return LoadedModel(
        wrappers=wrappers,
        adapter_tensors=tensors,
        device=str(getattr(weights, "device", "cuda")),
        dtype=_dtype(weights),
        load_seconds=time.monotonic() - started,
    )


def prompt_wrapper(config: Mapping[str, Any]) -> Any:
    """An OpenCompass wrapper that has tokenizer and templates, but no weights."""
    from mmengine.config import ConfigDict
    from opencompass.registry import MODELS
    from opencompass.utils import build_model_from_cfg

    engine = config["model_kwargs"]
    if "tensor_parallel_size" not in engine:
        return build_model_from_cfg(ConfigDict({**config, "tokenizer_only": True}))
    # vLLM's wrappers take the tokenizer from the engine, and one knows no tokenizer_only.
    with _sharing(MODELS.get(config["type"]), _TokenizerOnly(engine)):
        return build_model_from_cfg(ConfigDict(config))


class _TokenizerOnly:
    """What vLLM's ``LLM`` has before it has an engine."""

    def __init__(self, model_kwargs: Mapping[str, Any]) -> None:
        from transformers import AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(
            model_kwargs["tokenizer"], trust_remote_code=model_kwargs["trust_remote_code"]
        )

    def get_tokenizer(self) -> Any:
        return self._tokenizer


def limit_gpus(num_gpus: int, visible: str | None) -> str:
    """CUDA_VISIBLE_DEVICES for a number of GPUs: the first of those that are visible.

    Args:
        num_gpus: GPUs to use; 0 hides them all.
        visible: The variable as it is, or None when it is not set.
    """
    if visible is None:
        return ",".join(map(str, range(num_gpus)))
    return ",".join(visible.split(",")[:num_gpus])


def check_gpus(num_gpus: int) -> None:
    """Makes sure that the GPUs that were asked for are there.

    Raises:
        Refused: There are fewer.
    """
    import torch

    if num_gpus and torch.cuda.device_count() < num_gpus:
        raise Refused(
            "gpu",
            f"NUM_GPUS={num_gpus}, and torch {torch.__version__} sees {torch.cuda.device_count()}",
        )


def adapter_tensor_names(adapter: Path) -> list[str]:
    """Names of the tensors in an adapter's weights file."""
    safe = adapter / "adapter_model.safetensors"
    if safe.is_file():
        from safetensors import safe_open

        with safe_open(safe, framework="pt") as tensors:
            return list(tensors.keys())
    import torch

    return list(torch.load(adapter / "adapter_model.bin", map_location="cpu", weights_only=True))


def _dtype(weights: Any) -> str:
    """Of a transformers model, or of a vLLM engine."""
    engine = getattr(getattr(weights, "llm_engine", None), "model_config", None)
    dtype = getattr(engine or weights, "dtype", "")
    return str(dtype).removeprefix("torch.")


@contextlib.contextmanager
def recorded_adapter_loading() -> Iterator[list[Any]]:
    """Keeps what peft finds out when it loads adapter weights, which it only warns about."""
    from peft import PeftModel

    records: list[Any] = []
    original: Callable[..., Any] = PeftModel.load_adapter

    def load_adapter(self: Any, *args: Any, **kwargs: Any) -> Any:
        loaded = original(self, *args, **kwargs)
        records.append(loaded)
        return loaded

    PeftModel.load_adapter = load_adapter
    try:
        yield records
    finally:
        PeftModel.load_adapter = original


@contextlib.contextmanager
def _sharing(wrapper_class: type, weights: Any) -> Iterator[None]:
    """Lets the next wrapper of a class take weights that are loaded already."""
    own = wrapper_class.__dict__.get("_load_model")

    def take(self: Any, *_args: Any, **_kwargs: Any) -> None:
        self.model = weights

    wrapper_class._load_model = take  # type: ignore[attr-defined]
    try:
        yield
    finally:
        if own is None:
            del wrapper_class._load_model  # type: ignore[attr-defined]
        else:
            wrapper_class._load_model = own  # type: ignore[attr-defined]


def verify_adapter(records: list[Any], adapter: Path) -> int:
    if not records:
        raise Refused("adapter", f"peft did not load the adapter {adapter}")
    missing = [key for record in records for key in record.missing_keys]
    names = adapter_tensor_names(adapter)
    # With a resized embedding peft 0.18 saves modules_to_save twice; only the plain name is loaded.
    twice = {name for name in names if name.replace(".modules_to_save", "") in set(names) - {name}}
    unexpected = [k for record in records for k in record.unexpected_keys if k not in twice]
    if missing or unexpected:
        parts = []
        if unexpected:
            parts.append(
                f"{len(unexpected)} of its tensors are not in the base, such as {unexpected[0]}"
            )
        if missing:
            parts.append(f"{len(missing)} that the base needs are missing, such as {missing[0]}")
        raise Refused(
            "adapter",
            f"the adapter {adapter} does not match the base model, which would be scored without "
            f"it: {'; '.join(parts)}",
        )
    return len(names) - len(twice)
