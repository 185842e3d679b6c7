"""Asks the model one batch at a time, through OpenCompass's wrapper."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from ftbench_eval.infer import set_seeds
from ftbench_eval.stream.prompts import arguments
from ftbench_eval.stream.requests import GENERATE, Answer, Batch


class WrapperAnswerer:
    """Answers with the wrapper's own methods, so that what comes out is what OpenCompass would get.

    Args:
        wrappers: OpenCompass models by role.
        seed: Of sampling. A batch is seeded by its first request, so that neither the batches
            before it nor a restart change what it gives.
    """

    def __init__(self, wrappers: Mapping[str, Any], seed: int) -> None:
        self._wrappers = wrappers
        self._seed = seed
        self._outputs = _watch_outputs(next(iter(wrappers.values())).model)

    def answer(self, batch: Batch) -> list[Answer]:
        """One answer for each request of the batch, in order.

        Raises:
            Exception: Whatever the wrapper raises; see ``is_out_of_memory``.
        """
        import torch

        call, first = batch.call, batch.requests[0]
        wrapper = self._wrappers[call.role]
        inputs = [request.input for request in batch.requests]
        set_seeds(self._seed + zlib.crc32(f"{first.abbr} {first.position}".encode()))
        self._outputs.clear()
        with torch.no_grad():
            if call.method == GENERATE:
                options = arguments(call)
                texts = wrapper.generate(inputs, max_out_len=call.max_out_len, **options)
                return self._measured(wrapper, texts, call.max_out_len, options)
            masks = [request.masked for request in batch.requests]
            masked = None if masks[0] is None else masks
            return [Answer(float(loss)) for loss in wrapper.get_ppl(inputs, masked)]

    def _measured(
        self, wrapper: Any, texts: Sequence[str], limit: int, options: Mapping[str, Any]
    ) -> list[Answer]:
        if len(self._outputs) != 1 or len(self._outputs[0]) != len(texts):
            return [Answer(text) for text in texts]
        stops = {*options.get("stopping_criteria", ()), *wrapper.stop_words}
        ends = _end_tokens(wrapper)
        rows = self._outputs[0].tolist()
        written = wrapper.tokenizer.batch_decode(rows)
        return [
            Answer(text, *_ending(row, ends, limit, any(stop in whole for stop in stops)))
            for text, row, whole in zip(texts, rows, written, strict=True)
        ]


_NO_ROOM = ("out of memory", "can't allocate memory", "bad_alloc", "_alloc_failed")
"""What torch says, of GPU (its allocator; cuBLAS and cuDNN, which have their own) and CPU."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a batch had no room in the memory of GPU or machine."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in text for words in _NO_ROOM)
    )


def release_memory() -> None:
    """Gives back what the GPU allocator keeps for later."""
    import gc
    import sys

    gc.collect()
    torch = sys.modules.get("torch")  # where it was never imported it holds nothing
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _watch_outputs(model: Any) -> list[Any]:
    """Receives the new tokens of each call of a transformers model's ``generate``.

    Side effects: puts a function before ``generate`` of this one object.
    """
    outputs: list[Any] = []
    original = getattr(model, "generate", None)
    if original is None or not hasattr(model, "generation_config"):
        return outputs

    def generate(*args: Any, **kwargs: Any) -> Any:
        given = original(*args, **kwargs)
        if "input_ids" in kwargs and hasattr(given, "shape"):
            outputs.append(given[:, kwargs["input_ids"].shape[1] :])
        return given

    model.generate = generate
    return outputs


def _end_tokens(wrapper: Any) -> set[int]:
    named = wrapper.model.generation_config.eos_token_id
    ends = {named} if isinstance(named, int) else set(named or ())
    return ends | {wrapper.tokenizer.eos_token_id} - {None}


def _ending(
    row: Sequence[int], ends: set[int], limit: int, has_stop: bool
) -> tuple[int | None, bool]:
    """Tokens of a text, and whether the limit ended it.

    A row goes on behind a stop word until the whole batch is done, so that its text has to be
    counted again.
    """
    for position, token in enumerate(row):
        if token in ends:
            return position, False
    return (None, False) if has_stop else (len(row), len(row) >= limit)
