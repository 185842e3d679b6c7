"""What a token takes, for published models, and what happens when a batch had no room."""

import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest
from ftbench_eval.stream.answering import is_out_of_memory
from ftbench_eval.stream.budget import token_bytes
from ftbench_eval.stream.journal import Journal
from ftbench_eval.stream.requests import GENERATE, Answer, Batch, Call, Request
from ftbench_eval.stream.stream import Stream

KIB = 1024

# config.json of Qwen/Qwen2.5-1.5B-Instruct and meta-llama/Meta-Llama-3-8B.
QWEN = SimpleNamespace(
    hidden_size=1536,
    num_attention_heads=12,
    num_key_value_heads=2,
    num_hidden_layers=28,
    intermediate_size=8960,
    vocab_size=151936,
)
LLAMA = SimpleNamespace(
    hidden_size=4096,
    num_attention_heads=32,
    num_key_value_heads=8,
    num_hidden_layers=32,
    intermediate_size=14336,
    vocab_size=128256,
)


@pytest.mark.parametrize(
    ("config", "kept", "passing", "losses"),
    [
        # 2 x 28 layers x 2 heads x 128 x 2 bytes; (4 x 1536 + 3 x 8960) x 2; 151936 x 10.
        (QWEN, 28 * KIB, 66_048, 1_519_360),
        (LLAMA, 128 * KIB, 118_784, 1_282_560),
    ],
    ids=["Qwen2.5-1.5B", "Llama-3-8B"],
)
def test_token_bytes_of_published_models(
    config: SimpleNamespace, kept: int, passing: int, losses: int
) -> None:
    assert token_bytes(config, 2) == (kept, passing, losses)


def test_token_bytes_takes_the_head_size_that_the_config_names() -> None:
    # Qwen3-0.6B: heads of 128, though 1024 / 16 is 64.
    config = SimpleNamespace(
        hidden_size=1024,
        num_attention_heads=16,
        num_key_value_heads=8,
        num_hidden_layers=28,
        head_dim=128,
        intermediate_size=3072,
        vocab_size=151936,
    )
    assert token_bytes(config, 2)[0] == 112 * KIB


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate "
                "memory: you tried to allocate 1 bytes. Error code 12 (Cannot allocate memory)"
            ),
            True,
        ),
        (RuntimeError("std::bad_alloc"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_is_out_of_memory_knows_what_torch_says(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


class Tensor:
    """Something large."""


def test_what_a_batch_held_is_released_before_its_halves_are_asked(tmp_path: Path) -> None:
    held: list[weakref.ref[Tensor]] = []
    sizes: list[tuple[int, int]] = []

    class Full:
        def answer(self, batch: Batch) -> list[Answer]:
            sizes.append((len(batch.requests), sum(ref() is not None for ref in held)))
            large = Tensor()
            held.append(weakref.ref(large))
            if len(batch.requests) > 2:
                self.run_out(large)
            return [Answer("fine") for _ in batch.requests]

        def run_out(self, large: Tensor) -> None:
            raise RuntimeError(f"CUDA out of memory with {type(large).__name__}")

    journal = Journal(tmp_path / "answers.jsonl", "f" * 64)
    journal.start({})
    call = Call("generation", GENERATE, 8)
    requests = tuple(Request("a", i, call, str(i), 4, None, "d") for i in range(5))
    failed: list[str] = []
    stream = Stream(
        [Full()],
        journal,
        lambda _b, _s: None,
        lambda abbr, _r: failed.append(abbr),
        lambda _l: None,
    )
    stream.run([Batch(requests)])
    # 5 have no room, nor have 3 of them; nothing of either is left when the next is asked.
    assert sizes == [(5, 0), (3, 0), (2, 0), (1, 0), (2, 0)]
    assert failed == []
    assert all(journal.answer(request) for request in requests)
