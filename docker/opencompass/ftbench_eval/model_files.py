"""Reads what the model's and the adapter's files say, without loading weights."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftbench_eval.reasons import Refused, reason_of
from ftbench_eval.settings import Settings

_EMBEDDING = re.compile(r"(embed_tokens|lm_head|wte|embed_in|embed_out)(\.base_layer)?\.weight$")

_CONTEXT_KEYS = ("max_position_embeddings", "seq_length", "model_max_length", "n_positions")


@dataclass(frozen=True)
class TokenizerFiles:
    """A tokenizer as its folder has it.

    Attributes:
        template: Chat template, or None.
        length: Tokens, with added ones.
    """

    template: str | None
    length: int
    pad_token_id: int | None
    eos_token_id: int | None


@dataclass(frozen=True)
class ModelFiles:
    """What the files say.

    Attributes:
        base_tokenizer, adapter_tokenizer: None where there is none.
        adapter_template: The template of an adapter folder, with or without a tokenizer there.
        context: Tokens the model was made for, or None when its config does not say.
        vocabulary: Rows of the input embedding.
        generation_eos: ``named``, ``none`` (a generation_config.json without eos_token_id) or
            ``no file``.
        generation_pad: pad_token_id of generation_config.json.
        adapter: adapter_config.json; empty without an adapter.
        adapter_embedding_rows: Rows of an embedding inside the adapter, or None.
    """

    base_tokenizer: TokenizerFiles | None
    adapter_tokenizer: TokenizerFiles | None
    adapter_template: str | None
    context: int | None
    vocabulary: int | None
    generation_eos: str
    generation_pad: int | None = None
    adapter: dict[str, Any] = field(default_factory=dict)
    adapter_embedding_rows: int | None = None


def read_model_files(settings: Settings) -> ModelFiles:
    """Reads config, generation config, tokenizers and adapter config.

    Raises:
        Refused: The base model's config or every tokenizer is unreadable.
    """
    from transformers import AutoConfig

    trust = settings.trust_remote_code
    try:
        config = AutoConfig.from_pretrained(settings.base_model, trust_remote_code=trust)
    except Exception as exc:
        raise Refused("model", reason_of(exc, "model").message) from exc
    text_config = config.get_text_config()
    eos, pad = _generation(settings.base_model)
    adapter = settings.adapter
    own_tokenizer = adapter is not None and any(
        (adapter / name).is_file() for name in ("tokenizer_config.json", "tokenizer.json")
    )
    adapter_tokenizer = _tokenizer(str(adapter), trust) if own_tokenizer else None
    try:
        base_tokenizer = _tokenizer(settings.base_model, trust)
    except Refused:
        if adapter_tokenizer is None:
            raise
        base_tokenizer = None
    return ModelFiles(
        base_tokenizer=base_tokenizer,
        adapter_tokenizer=adapter_tokenizer,
        adapter_template=_adapter_template(adapter, adapter_tokenizer),
        context=next((int(v) for k in _CONTEXT_KEYS if (v := getattr(text_config, k, None))), None),
        vocabulary=getattr(text_config, "vocab_size", None),
        generation_eos=eos,
        generation_pad=pad,
        adapter=_adapter_config(adapter),
        adapter_embedding_rows=_embedding_rows(adapter),
    )


def _tokenizer(path: str, trust: bool) -> TokenizerFiles:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=trust)
    except Exception as exc:
        line = reason_of(exc, "tokenizer").message
        raise Refused("tokenizer", f"the tokenizer of {path} does not load: {line}") from exc
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    return TokenizerFiles(template, len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id)


def _generation(path: str) -> tuple[str, int | None]:
    from transformers import GenerationConfig

    try:
        generation = GenerationConfig.from_pretrained(path)
    except Exception:  # OpenCompass also takes any failure here for "there is none"
        return "no file", None
    return ("none" if generation.eos_token_id is None else "named"), generation.pad_token_id


def _adapter_template(adapter: Path | None, tokenizer: TokenizerFiles | None) -> str | None:
    if tokenizer is not None and tokenizer.template:
        return tokenizer.template
    template = adapter / "chat_template.jinja" if adapter is not None else None
    if template is not None and template.is_file():
        return template.read_text(encoding="utf-8")
    return None


def _adapter_config(adapter: Path | None) -> dict[str, Any]:
    if adapter is None:
        return {}
    try:
        value = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise Refused("adapter", f"adapter_config.json of {adapter} is unreadable: {exc}") from exc
    if not isinstance(value, dict):
        raise Refused("adapter", f"adapter_config.json of {adapter} is not an object")
    return value


def _embedding_rows(adapter: Path | None) -> int | None:
    """Rows of the embedding or output layer that the adapter carries whole, if it does."""
    weights = adapter / "adapter_model.safetensors" if adapter is not None else None
    if weights is None or not weights.is_file():
        return None
    from safetensors import safe_open

    try:
        with safe_open(weights, framework="pt") as tensors:
            return max(
                (
                    tensors.get_slice(name).get_shape()[0]
                    for name in tensors.keys()  # noqa: SIM118 - not a dict
                    if _EMBEDDING.search(name)
                ),
                default=None,
            )
    except Exception as exc:
        raise Refused("adapter", f"{weights.name} is unreadable: {exc}") from exc
