"""Requests and answers for tests of the stream."""

from __future__ import annotations

from ftbench_eval.presets import GENERATION, LIKELIHOOD
from ftbench_eval.stream.requests import (
    GENERATE,
    PERPLEXITY,
    Answer,
    Batch,
    Call,
    Request,
    digest_of,
)

SHORT = Call(GENERATION, GENERATE, 8)
LONG = Call(GENERATION, GENERATE, 64)
LOSS = Call(LIKELIHOOD, PERPLEXITY)


def request(abbr: str, position: int, length: int = 10, call: Call = SHORT) -> Request:
    text = f"{abbr} {position}"
    return Request(abbr, position, call, text, length, None, digest_of(call, text, None))


def requests(abbr: str, lengths: list[int], call: Call = SHORT) -> list[Request]:
    return [request(abbr, i, length, call) for i, length in enumerate(lengths)]


def answers(batch: Batch) -> list[Answer]:
    return [Answer(f"to {each.input}", 3, False) for each in batch.requests]
