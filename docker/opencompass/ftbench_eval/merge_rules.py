"""When an adapter cannot be served as it is and must be merged into its base first; pure."""

from __future__ import annotations

from typing import Any

from ftbench_eval.model_files import ModelFiles
from ftbench_eval.reasons import Refused
from ftbench_eval.settings import Settings

VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Legal values of vLLM's max_lora_rank. Source: vllm/config/lora.py, 0.13."""


def merge_reason(settings: Settings, files: ModelFiles) -> str:
    """Why the adapter must be merged into the base before it is served; empty: it need not be.

    Raises:
        Refused: It must be, and MERGE_ADAPTER=never.
    """
    adapter = files.adapter
    if settings.adapter is None:
        return ""
    reasons = []
    rows = max(
        files.adapter_embedding_rows or 0,
        files.adapter_tokenizer.length if files.adapter_tokenizer else 0,
    )
    # Neither OpenCompass nor vLLM resizes the base's embedding to an adapter's.
    resized = files.adapter_embedding_rows not in (None, files.vocabulary)
    if files.vocabulary is not None and (rows > files.vocabulary or resized):
        reasons.append(f"its vocabulary has {rows} entries, the base's {files.vocabulary}")
    if settings.use_vllm:
        kind = adapter.get("peft_type", "LORA")
        if kind != "LORA":
            reasons.append(f"vLLM serves LoRA adapters only, this is {kind}")
        if adapter.get("modules_to_save"):
            reasons.append(f"it has modules_to_save {', '.join(adapter['modules_to_save'])}")
        if adapter.get("use_dora"):
            reasons.append("it uses DoRA")
        if adapter_rank(adapter) > VLLM_RANKS[-1]:
            reasons.append(f"its rank {adapter_rank(adapter)} is above {VLLM_RANKS[-1]}")
        if settings.merge_adapter == "always":
            reasons.append("MERGE_ADAPTER=always")
    if reasons and settings.merge_adapter == "never":
        raise Refused("adapter", f"it must be merged, and MERGE_ADAPTER=never: {reasons[0]}")
    return "; ".join(reasons)


def adapter_rank(adapter: dict[str, Any]) -> int:
    """The largest rank in an adapter config."""
    return max(
        [int(adapter.get("r") or 8), *map(int, (adapter.get("rank_pattern") or {}).values())]
    )
