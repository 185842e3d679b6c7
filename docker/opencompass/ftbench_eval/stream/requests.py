"""The values of the stream: what is asked, in which batch, and what is answered."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

GENERATE = "generate"
PERPLEXITY = "get_ppl"


@dataclass(frozen=True)
class Call:
    """How the model is asked; requests of the same call may share a batch.

    Attributes:
        role: Form of the model, as ``Subset.role``.
        method: Of OpenCompass's wrapper: ``generate`` or ``get_ppl``.
        max_out_len: Limit of the output in tokens; 0 for a perplexity.
        options: Further arguments of the method, by name, each hashable.
    """

    role: str
    method: str
    max_out_len: int = 0
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Request:
    """One input of the model.

    Attributes:
        abbr: Subset, or one run of it.
        position: Place among all that the subset asks, in OpenCompass's order, from 0.
        input: What OpenCompass hands to its wrapper: a text, or a list of turns.
        length: Tokens of the input, as OpenCompass counts them.
        masked: Tokens at the start that a perplexity leaves out; None: none.
        digest: 16 hex digits over call and input, which tell a changed request.
    """

    abbr: str
    position: int
    call: Call
    input: Any
    length: int
    masked: int | None = None
    digest: str = ""

    @property
    def tokens(self) -> int:
        """Tokens that it may come to in the model's memory."""
        return self.length + self.call.max_out_len


@dataclass(frozen=True)
class Answer:
    """What the model gave.

    Attributes:
        value: A text, or a perplexity's mean loss.
        tokens: Tokens of the text; None where only counting the text again tells.
        is_cut: The text was ended by the limit; None: not known.
    """

    value: Any
    tokens: int | None = None
    is_cut: bool | None = None


@dataclass(frozen=True)
class Batch:
    """Requests that the model answers together, all of the same call; the longest comes first."""

    requests: tuple[Request, ...]

    @property
    def call(self) -> Call:
        """How all of them are asked."""
        return self.requests[0].call

    @property
    def tokens(self) -> int:
        """Tokens with padding, as every request takes as much room as the longest."""
        return max(request.tokens for request in self.requests) * len(self.requests)


def digest_of(call: Call, value: Any, masked: int | None) -> str:
    """16 hex digits over what decides an answer, besides the model."""
    options = [[name, list(v) if isinstance(v, tuple) else v] for name, v in call.options]
    plain = [call.role, call.method, call.max_out_len, options, value, masked]
    text = json.dumps(plain, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()
