"""Puts requests of all subsets into batches: by output limit and length, so that little is padded.

Pure. The same requests always give the same batches, whatever is answered already: what a batch
holds can change the last bits of an answer, so that a resumed run asks what the first would have.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ftbench_eval.stream.requests import Batch, Call, Request

_WINDOW = 32
"""Requests are sorted within this many full batches, so that the first subsets end, and are scored,
while the last are asked."""


@dataclass(frozen=True)
class BatchLimit:
    """How large a batch may be.

    Attributes:
        samples: Requests at most.
        tokens: Tokens at most, with padding and room for the output; None: as many as they take.
            One request alone may have more.
    """

    samples: int
    tokens: int | None = None

    @property
    def words(self) -> str:
        """For people."""
        samples = f"{self.samples} samples"
        return samples if self.tokens is None else f"{samples}, {self.tokens} tokens"

    def halved(self) -> BatchLimit:
        """What to go on with when a batch of this size had no room."""
        if self.tokens is None:
            return BatchLimit(max(1, self.samples // 2))
        return BatchLimit(self.samples, max(1, self.tokens // 2))


def plan_batches(
    requests: Iterable[Request], limits: dict[str, BatchLimit], by_length: bool = True
) -> list[Batch]:
    """Every request in exactly one batch: small output limits first, long inputs first.

    Args:
        requests: Of all subsets, in the order in which subsets should end.
        limits: By method of the call.
        by_length: False keeps their order, for an engine that pads nothing and computes what
            neighbours have in common, such as the same examples, only once.
    """
    key = _longest_first if by_length else _in_order
    by_call: dict[Call, list[Request]] = defaultdict(list)
    for request in requests:
        by_call[request.call].append(request)
    calls = sorted(by_call, key=lambda call: call.max_out_len)
    return [
        batch
        for call in calls
        for window in _windows(by_call[call], limits[call.method])
        for batch in _fill(sorted(window, key=key), limits[call.method])
    ]


def halves(batch: Batch) -> tuple[Batch, Batch]:
    """Two batches of one that has several requests."""
    middle = (len(batch.requests) + 1) // 2
    return Batch(batch.requests[:middle]), Batch(batch.requests[middle:])


def by_subset(batch: Batch) -> list[Batch]:
    """One batch for each subset in it, so that one that cannot be asked breaks no other."""
    parts: dict[str, list[Request]] = defaultdict(list)
    for request in batch.requests:
        parts[request.abbr].append(request)
    return [Batch(tuple(part)) for part in parts.values()]


def fits(batch: Batch, tokens: int | None) -> bool:
    """Whether a batch stays below a size that had no room."""
    return tokens is None or batch.tokens < tokens or len(batch.requests) == 1


def _windows(requests: Sequence[Request], limit: BatchLimit) -> Iterator[Sequence[Request]]:
    size = _WINDOW * limit.samples
    for start in range(0, len(requests), size):
        yield requests[start : start + size]


def _longest_first(request: Request) -> tuple[int, str, int]:
    return -request.length, request.abbr, request.position


def _in_order(_request: Request) -> int:
    return 0


def _fill(requests: Sequence[Request], limit: BatchLimit) -> Iterator[Batch]:
    held: list[Request] = []
    for request in requests:
        widest = held[0].tokens if held else request.tokens
        is_full = len(held) == limit.samples
        is_heavy = limit.tokens is not None and widest * (len(held) + 1) > limit.tokens
        if held and (is_full or is_heavy):
            yield Batch(tuple(held))
            held = []
        held.append(request)
    if held:
        yield Batch(tuple(held))
