"""Which benchmark run of a base model another benchmark run is compared with, and by how much.

Two runs are comparable when they asked the same base model's weights in the same way; a dataset is
compared when both asked the same questions with the same prompts. Everything is read from runs as
the tracker has them, so that it holds whichever was recorded first.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftbench.tracking.names import metric_key
from ftbench.tracking.scores import AVERAGE, HEADLINE

if TYPE_CHECKING:
    from mlflow.entities import Run

GROUP_TAG = "ftbench.comparable"
"""The same for all runs that are comparable."""
DIFFERENCE_TAG = "ftbench.vs_base"
"""Differences against the base model in points, as people read them."""
BASE_RUN_TAG = "ftbench.base_run_id"

_SAME = (
    "base_model",
    "base_identity",
    "setting",
    "model.type",
    "model.dtype",
    "model.max_seq_len",
    "backend.max_out_len",
    "backend.top_p",
    "backend.custom_prompt",
    "judge.model",
)
"""Params that comparable runs have alike; which rows were asked, the digests of datasets say."""
_REPEATS = re.compile(r"(.*\.)?(num_runs|pass_k)")
"""So are these, for all datasets and for single ones: they decide what a score is the mean of."""


@dataclass(frozen=True)
class Comparison:
    """One run against the base model's.

    Attributes:
        base: The base model's run.
        differences: Points by headline name (``avg`` or a dataset), in the order to show.
        left_out: Datasets that the base was not asked, or asked otherwise.
    """

    base: Run
    differences: Mapping[str, float]
    left_out: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Such as ``avg +4.2 · gsm8k +9.1 · mmlu −0.6``; no more than a tag holds."""
        parts = [f"{name} {points(value)}" for name, value in self.differences.items()]
        return " · ".join(parts)[:5000]


def points(value: float) -> str:
    """A difference in points with its sign and one decimal."""
    return "±0.0" if round(value, 1) == 0 else f"{value:+.1f}".replace("-", "−")


def group_of(params: Mapping[str, str]) -> str:
    """Value of GROUP_TAG for a run with these params, 12 hex digits."""
    keys = [*_SAME, *sorted(filter(_REPEATS.fullmatch, params))]
    text = "\n".join(f"{key}={params.get(key, '')}" for key in keys)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def is_evaluation(run: Run) -> bool:
    """It is one of our benchmark runs."""
    return bool(run.data.tags.get("ftbench.kind") == "eval")


def is_base(run: Run) -> bool:
    """It is the benchmark run of a model without an adapter."""
    return bool(run.data.params.get("adapter") == "base")


def headline_scores(run: Run) -> dict[str, float]:
    """Headline scores by name, ``avg`` first."""
    found = {k.removeprefix(HEADLINE): v for k, v in run.data.metrics.items() if _is_headline(k)}
    return {name: found[name] for name in sorted(found, key=lambda n: (n != "avg", n))}


def compare(run: Run, others: Sequence[Run]) -> Comparison | None:
    """Compares a run with the base model's.

    Args:
        run: A benchmark run.
        others: Runs of the tracker, newest first; any kind.

    Returns:
        None for a base model's run, and when no base was asked any of the same questions. Of
        several the one with most datasets in common counts, the newest of equals.
    """
    if is_base(run):
        return None
    group = group_of(run.data.params)
    bases = [r for r in others if is_evaluation(r) and is_base(r)]
    bases = [base for base in bases if group_of(base.data.params) == group]
    shared = [(_shared(run, base), base) for base in bases]
    if not any(names for names, _ in shared):
        return None
    names, base = max(shared, key=lambda pair: len(pair[0]))
    own, anchors = headline_scores(run), headline_scores(base)
    datasets = set(own) - {"avg"}
    # Two averages are comparable only over the same questions.
    has_average = names == datasets == set(anchors) - {"avg"} and AVERAGE in base.data.metrics
    kept = [n for n in own if n in names or (n == "avg" and has_average)]
    differences = {name: own[name] - anchors[name] for name in kept}
    return Comparison(base, differences, tuple(sorted(datasets - names)))


def _shared(run: Run, base: Run) -> set[str]:
    """Datasets with a score in both, of the same questions and prompts."""
    own, other = _questions(run), _questions(base)
    common = set(headline_scores(run)) & set(headline_scores(base))
    # What is not known of either is no reason to believe that it was the same.
    return {name for name in common - {"avg"} if all(own[name]) and own[name] == other[name]}


def _questions(run: Run) -> dict[str, tuple[str, str]]:
    inputs = run.inputs.dataset_inputs if run.inputs else []
    digests = {metric_key(i.dataset.name): i.dataset.digest for i in inputs}
    names = set(headline_scores(run)) - {"avg"}
    prompts = {name: run.data.tags.get(f"ftbench.prompt.{name}", "") for name in names}
    return {name: (digests.get(name, ""), prompts[name]) for name in names}


def _is_headline(key: str) -> bool:
    return key.startswith(HEADLINE)
