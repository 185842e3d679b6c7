"""Decides how the model is loaded: which OpenCompass wrapper, tokenizer, template and limits.

Pure: from settings and what the files say to OpenCompass model configs.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftbench_eval.merge_rules import VLLM_RANKS, adapter_rank, merge_reason
from ftbench_eval.model_files import ModelFiles, TokenizerFiles
from ftbench_eval.presets import GENERATION, LIKELIHOOD
from ftbench_eval.reasons import Refused
from ftbench_eval.settings import Settings

CHAT = "opencompass.models.HuggingFacewithChatTemplate"
BASE = "opencompass.models.HuggingFaceBaseModel"
VLLM_CHAT = "opencompass.models.VLLMwithChatTemplate"
VLLM_BASE = "opencompass.models.VLLM"

STOCK_BATCH = 8
"""Samples per batch in OpenCompass's own order, and for the stock command, where none is asked."""

VLLM_BATCH = 512
"""OpenCompass sends vLLM one batch at a time, so a small batch starves its scheduler."""


@dataclass(frozen=True)
class ModelDecision:
    """How the model is loaded.

    Attributes:
        configs: OpenCompass model config by role; both roles share one set of weights.
        chat_template: Whose template is used: ``adapter``, ``base`` or ``none``.
        merge_because: Why the adapter is merged first; empty: it is not.
        tokenizer_path: Folder or id of the tokenizer.
        unsupported: Roles that cannot be served, with the reason.
        notes: Decisions a reader should know.
    """

    configs: dict[str, dict[str, Any]]
    chat_template: str
    merge_because: str
    tokenizer_path: str
    unsupported: dict[str, str]
    notes: tuple[str, ...]


def decide(
    settings: Settings,
    files: ModelFiles,
    roles: Collection[str],
    merged_path: Path,
    gpus: int | None = None,
) -> ModelDecision:
    """Decides for the given roles.

    Args:
        settings: What was asked for.
        files: What the model's files say.
        roles: Forms of the model that the chosen datasets need.
        merged_path: Folder that the merged model would lie in.
        gpus: GPUs that one copy of the model is spread over; None: all.

    Raises:
        Refused: The model cannot be evaluated as asked.
    """
    tokenizer = files.adapter_tokenizer or files.base_tokenizer
    if tokenizer is None:
        raise Refused("tokenizer", f"neither the adapter nor {settings.base_model} has a tokenizer")
    choice = _choose_template(settings, files)
    if settings.custom_prompt and choice.whose == "none":
        raise Refused(
            "chat_template",
            "CUSTOM_PROMPT is a system message and needs a chat template, and none is used",
        )
    if choice.whose != "none" and files.generation_eos == "none" and GENERATION in roles:
        raise Refused(
            "model",
            f"generation_config.json of {settings.base_model} names no eos_token_id, and "
            f'OpenCompass cannot use it; add "eos_token_id": {tokenizer.eos_token_id}, or delete '
            "the file",
        )
    notes = [*choice.notes]
    if files.adapter_tokenizer is not None:
        notes.append("The tokenizer is the adapter's.")
    merge = merge_reason(settings, files)
    if merge:
        notes.append(f"The adapter is merged into the base first: {merge}.")
    build = _vllm_configs if settings.use_vllm else _transformers_configs
    path = str(merged_path) if merge else settings.base_model
    spread = settings.num_gpus if gpus is None else gpus
    common = _Common(settings, files, tokenizer, choice, path, bool(merge), spread)
    configs, unsupported = build(common)
    if LIKELIHOOD in roles and LIKELIHOOD in configs and choice.whose != "none":
        notes.append("Perplexity datasets use plain prompts, without the chat template.")
    return ModelDecision(
        configs={role: configs[role] for role in configs if role in roles},
        chat_template=choice.whose,
        merge_because=merge,
        tokenizer_path=common.tokenizer_path,
        unsupported=unsupported,
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Template:
    whose: str
    override: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Common:
    settings: Settings
    files: ModelFiles
    tokenizer: TokenizerFiles
    template: _Template
    path: str
    merged: bool
    gpus: int

    @property
    def tokenizer_path(self) -> str:
        own = self.files.adapter_tokenizer is not None
        return str(self.settings.adapter) if own else self.settings.base_model

    @property
    def context(self) -> int:
        """The input limit in tokens."""
        limit, own = self.settings.max_seq_len, self.files.context
        if limit is None and own is None:
            raise Refused("model", "the model's config names no context length; set MAX_SEQ_LEN")
        return min(value for value in (limit, own) if value is not None)

    @property
    def pad_token_id(self) -> int:
        """Passed always, lest OpenCompass look for generation_config.json in an adapter folder."""
        candidates = (
            self.tokenizer.pad_token_id,
            self.files.generation_pad,
            self.tokenizer.eos_token_id,
        )
        found = next((value for value in candidates if value is not None), None)
        if found is None:
            raise Refused("tokenizer", "the tokenizer has neither a padding nor an end token")
        return found

    @property
    def meta_template(self) -> dict[str, Any]:
        """A system message before every sample, or nothing."""
        if not self.settings.custom_prompt:
            return {}
        system = {"role": "SYSTEM", "api_role": "SYSTEM", "prompt": self.settings.custom_prompt}
        # Dataset prompts with a system role go to the user, as OpenCompass does without a template.
        turns = [
            {"role": "HUMAN", "api_role": "HUMAN"},
            {"role": "SYSTEM", "api_role": "HUMAN"},
            {"role": "BOT", "api_role": "BOT", "generate": True},
        ]
        return {"meta_template": {"begin": system, "round": turns}}


def _choose_template(settings: Settings, files: ModelFiles) -> _Template:
    base = files.base_tokenizer.template if files.base_tokenizer else None
    adapter = files.adapter_template
    if settings.model_type == "base":
        unused = ("MODEL_TYPE=base: the chat template is not used.",) if base or adapter else ()
        return _Template("none", notes=unused)
    if adapter is not None:
        own = files.adapter_tokenizer is not None and files.adapter_tokenizer.template == adapter
        return _Template("adapter", None if own else adapter)
    if base is not None:
        # An adapter's tokenizer without a template speaks the base's.
        return _Template("base", base if files.adapter_tokenizer is not None else None)
    if settings.model_type == "chat":
        raise Refused(
            "chat_template",
            f"MODEL_TYPE=chat, and neither the adapter's nor the base's tokenizer "
            f"({settings.base_model}) has a chat template; save one with the adapter, or set "
            "MODEL_TYPE=base",
        )
    return _Template("none", notes=("No chat template: prompts are plain text.",))


def _transformers_configs(common: _Common) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    settings, template = common.settings, common.template
    sampling: dict[str, Any] = {"do_sample": False}
    if settings.temperature > 0:
        sampling = {
            "do_sample": True,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
        }
    tokenizer_kwargs: dict[str, Any] = {"trust_remote_code": settings.trust_remote_code}
    shared = {
        "abbr": settings.model_abbr,
        "path": common.path,
        "tokenizer_path": common.tokenizer_path,
        "model_kwargs": {
            "device_map": "auto" if settings.num_gpus else "cpu",
            "torch_dtype": settings.dtype,
            "trust_remote_code": settings.trust_remote_code,
        },
        "generation_kwargs": sampling,
        "pad_token_id": common.pad_token_id,
        "max_seq_len": common.context,
        "max_out_len": settings.max_out_len,
        "batch_size": settings.batch_size or STOCK_BATCH,
        "run_cfg": {"num_gpus": common.gpus},
    }
    if settings.adapter is not None and not common.merged:
        shared["peft_path"] = str(settings.adapter)
    chat = template.whose != "none"
    own_template = {"chat_template": template.override} if template.override else {}
    generation = {
        **shared,
        "type": CHAT if chat else BASE,
        "tokenizer_kwargs": {**tokenizer_kwargs, **own_template},
        **common.meta_template,
    }
    likelihood = {
        **shared,
        "type": BASE,
        # With OpenCompass's left padding a loss depends on what else is in the batch (0.5.4).
        "tokenizer_kwargs": {**tokenizer_kwargs, "padding_side": "right"},
    }
    return {GENERATION: generation, LIKELIHOOD: likelihood}, {}


def _vllm_configs(common: _Common) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    settings, template = common.settings, common.template
    if template.override:
        raise Refused(
            "chat_template",
            "vLLM takes tokenizer and chat template from one folder, and here they lie apart; save "
            "the template with the adapter's tokenizer, or set USE_VLLM=false",
        )
    serves_lora = settings.adapter is not None and not common.merged
    model_kwargs: dict[str, Any] = {
        "tokenizer": common.tokenizer_path,
        "trust_remote_code": settings.trust_remote_code,
        "dtype": settings.dtype,
        "tensor_parallel_size": common.gpus,
        "gpu_memory_utilization": settings.gpu_memory_utilization,
        "seed": settings.seed,
    }
    if settings.max_seq_len is not None:
        own = common.files.context
        wanted = settings.max_seq_len + settings.max_out_len
        model_kwargs["max_model_len"] = wanted if own is None else min(wanted, own)
    if serves_lora:
        rank = adapter_rank(common.files.adapter)
        model_kwargs["enable_lora"] = True
        model_kwargs["max_lora_rank"] = next(legal for legal in VLLM_RANKS if legal >= rank)
    generation = {
        "type": VLLM_CHAT if template.whose != "none" else VLLM_BASE,
        "abbr": settings.model_abbr,
        "path": common.path,
        "model_kwargs": model_kwargs,
        # Always there: OpenCompass's plain wrapper would sample at vLLM's default of 1.0.
        "generation_kwargs": {"temperature": settings.temperature, "top_p": settings.top_p},
        "max_seq_len": common.context,
        "max_out_len": settings.max_out_len,
        "batch_size": max(settings.batch_size or 0, VLLM_BATCH),
        "run_cfg": {"num_gpus": common.gpus},
        **common.meta_template,
    }
    if serves_lora:
        generation["lora_path"] = str(settings.adapter)
        why = (
            "OpenCompass's vLLM wrapper ignores a LoRA adapter in perplexity datasets and would "
            "score the base; set USE_VLLM=false or MERGE_ADAPTER=always"
        )
        return {GENERATION: generation}, {LIKELIHOOD: why}
    likelihood = {
        **generation,
        "type": VLLM_BASE,
        # A loss needs no new token; vLLM would make 16.
        "generation_kwargs": {"temperature": 0.0, "max_tokens": 1},
    }
    likelihood.pop("meta_template", None)
    return {GENERATION: generation, LIKELIHOOD: likelihood}, {}
