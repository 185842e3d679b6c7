"""How large a batch may be: what the user said, else a power of two below the free memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ftbench_eval.stream import budget
from ftbench_eval.stream.batches import BatchLimit
from ftbench_eval.stream.budget import batch_limits, token_bytes, tokens_in
from ftbench_eval.stream.requests import GENERATE, PERPLEXITY

QWEN = SimpleNamespace(
    hidden_size=1536,
    intermediate_size=8960,
    num_attention_heads=12,
    num_key_value_heads=2,
    num_hidden_layers=28,
    vocab_size=151936,
)
"""Qwen2.5-1.5B."""

GIB = 1 << 30


def model(config: Any = QWEN) -> Any:
    config.get_text_config = lambda: config
    return SimpleNamespace(config=config, dtype=SimpleNamespace(itemsize=2))


def test_token_bytes_without_grouped_heads() -> None:
    config = SimpleNamespace(
        hidden_size=64, num_attention_heads=4, num_hidden_layers=2, vocab_size=100
    )
    kept, passing, _ = token_bytes(config, 4)
    assert kept == 2 * 2 * 64 * 4
    assert passing == (4 * 64 + 3 * 256) * 4


@pytest.mark.parametrize(
    ("free", "per_token", "tokens"),
    [(0, 10, 1), (100, 10, 4), (16 * 20, 10, 16), (31 * 20, 10, 16), (10**15, 1, 4096)],
)
def test_tokens_in(free: int, per_token: int, tokens: int) -> None:
    assert tokens_in(free, per_token, most=4096) == tokens


def test_the_user_has_the_word() -> None:
    assert set(batch_limits(8, None, None, "cuda:0").values()) == {BatchLimit(8)}
    assert set(batch_limits(8, 100, None, "cpu").values()) == {BatchLimit(8, 100)}


def test_the_free_memory_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "_free_on_gpus", lambda model: (20 * GIB, 1))
    limits = batch_limits(None, None, model(), "cuda:0")
    assert limits[GENERATE] == BatchLimit(256, 1 << 16)
    # A loss needs the logits of every token.
    assert limits[PERPLEXITY] == BatchLimit(256, 1 << 12)


def test_a_processor_gets_smaller_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "_free_memory", lambda: 20 * GIB)
    limits = batch_limits(None, None, model(), "cpu")
    assert limits[GENERATE].samples < 256
    assert limits[GENERATE].tokens == 1 << 15
