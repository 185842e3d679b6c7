"""Which base model's evaluation fits another one, and which of their scores can be compared.

All of it follows from a few facts that a summary and a tracker's tags and params give alike, so
that a comparison, a report and MLflow's pages never answer differently.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ftbench.comparison.comparable import why_not_asked

_SAME = (
    "setting",
    "model.type",
    "model.dtype",
    "model.max_seq_len",
    "backend.max_out_len",
    "backend.top_p",
    "backend.custom_prompt",
    "judge.model",
)
"""Params that a model and its base have alike; which rows were asked, a dataset's own facts say."""
_REPEATS = re.compile(r"(.*\.)?(num_runs|pass_k)")
"""So are these, for all datasets and for single ones: they decide what a score is the mean of."""


@dataclass(frozen=True)
class Facts:
    """What of an evaluation decides what it can be compared with.

    Attributes:
        is_base: The base model itself was evaluated.
        params: What was asked for, flat (``backend.temperature``); also ``setting``,
            ``base_model`` and ``base_identity``.
        asked: By dataset what ``comparable.asked`` gives.
        started_ms: Start of the evaluation, in milliseconds since the epoch.
    """

    is_base: bool
    params: Mapping[str, str]
    asked: Mapping[str, str]
    started_ms: int = 0

    def why_not(self, name: str, theirs: Facts) -> str:
        """Why a dataset's score cannot be compared with the baseline's; empty where it can."""
        return why_not_asked(self.asked.get(name), theirs.asked.get(name))

    def shared(self, theirs: Facts) -> frozenset[str]:
        """Names of the datasets whose scores can be compared."""
        return frozenset(name for name in self.asked if not self.why_not(name, theirs))


def base_of(params: Mapping[str, str]) -> str:
    """The base model that an evaluation stands on: its bytes, or where unknown its name."""
    return params.get("base_identity", "")[:16] or params.get("base_model", "")


def group_of(params: Mapping[str, str]) -> str:
    """The same for all evaluations of one base model that was asked in one way, 12 hex digits."""
    keys = [*_SAME, *sorted(filter(_REPEATS.fullmatch, params))]
    lines = [f"base={base_of(params)}", *(f"{key}={params.get(key, '')}" for key in keys)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def fitting_base(candidates: Sequence[Facts], others: Sequence[Facts]) -> int | None:
    """The base model's evaluation that fits others: same base model, asked in the same way.

    Args:
        candidates: Evaluations of any kind.
        others: At least one.

    Returns:
        Index of the one that most scores can be compared with, of these the one asked most alike,
        of these the newest; None where none fits.
    """
    groups = {index: group_of(other.params) for index, other in enumerate(others)}
    fitting = [
        index
        for index, base in enumerate(candidates)
        if base.is_base
        and any(
            group_of(base.params) == groups[i] and other.shared(base)
            for i, other in enumerate(others)
        )
    ]
    return max(
        fitting,
        key=lambda index: (
            sum(len(other.shared(candidates[index])) for other in others),
            sum(_alike(candidates[index], other) for other in others),
            candidates[index].started_ms,
        ),
        default=None,
    )


def _alike(base: Facts, other: Facts) -> int:
    """Settings of model and backend that are equal."""
    keys = [key for key in base.params if key.startswith(("backend.", "model."))]
    return sum(base.params[key] == other.params.get(key) for key in keys)
