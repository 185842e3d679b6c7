"""Which benchmark run of a base model another benchmark run is compared with, and by how much.

Two runs are comparable when they asked the same base model's weights in the same way; a dataset is
compared when both have it complete, and asked the same questions with the same prompts, scored in
the same way: what ``ftbench.comparison.comparable`` says from summaries. Everything is read from
runs as the tracker has them, so that it holds whichever was recorded first. Differences that are
logged on a run (``delta_vs_base/<dataset>``, from the samples) go before those made here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ftbench.tracking.names import metric_key
from ftbench.tracking.scores import AVERAGE, COVERAGE, HEADLINE

if TYPE_CHECKING:
    from mlflow.entities import Run

GROUP_TAG = "ftbench.comparable"
"""The same for all runs that are comparable."""
DIFFERENCE_TAG = "ftbench.vs_base"
"""Differences against the base model in points, as people read them."""
BASE_RUN_TAG = "ftbench.base_run_id"
DELTA = "delta_vs_base/"
"""Metrics with the differences from the base model that were tested on the samples."""
DELTA_BASE_TAG = "ftbench.delta_base_run_id"
"""The base model's run that they start from."""
VERDICT_TAG = "ftbench.verdict."

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
        verdicts: What a test on the samples said of a difference, such as ``better``.
        left_out: Datasets that the base was not asked, or asked otherwise.
    """

    base: Run
    differences: Mapping[str, float]
    left_out: tuple[str, ...] = ()
    verdicts: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Such as ``avg +4.2 · gsm8k +9.1 · mmlu −0.6``; no more than a tag holds."""
        parts = [self._part(name, value) for name, value in self.differences.items()]
        return " · ".join(parts)[:5000]

    def _part(self, name: str, value: float) -> str:
        verdict = self.verdicts.get(name)
        return f"{name} {points(value)} ({verdict})" if verdict else f"{name} {points(value)}"


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
        several the one that the logged differences start from counts, else the one with most
        datasets in common, the newest of equals.
    """
    if is_base(run):
        return None
    group = group_of(run.data.params)
    bases = [r for r in others if is_evaluation(r) and is_base(r)]
    bases = [base for base in bases if group_of(base.data.params) == group]
    named = run.data.tags.get(DELTA_BASE_TAG)
    logged = _logged(run)
    tested = logged.keys() - {"avg"}
    shared = [
        (_shared(run, base) | (tested if base.info.run_id == named else set()), base)
        for base in bases
    ]
    if not any(names for names, _ in shared):
        return None
    names, base = max(shared, key=lambda pair: (pair[1].info.run_id == named, len(pair[0])))
    own, anchors = headline_scores(run), headline_scores(base)
    datasets = set(own) - {"avg"}
    # Two averages are comparable only over the same questions.
    has_average = names == datasets == set(anchors) - {"avg"} and AVERAGE in base.data.metrics
    kept = [n for n in own if n in names or (n == "avg" and has_average)]
    if base.info.run_id != named:
        logged = {}
    differences = {
        name: logged[name] if name in logged else own[name] - anchors[name] for name in kept
    }
    verdicts = {name: verdict for name in logged if (verdict := _verdict(run, name))}
    return Comparison(base, differences, tuple(sorted(datasets - names)), verdicts)


def _logged(run: Run) -> dict[str, float]:
    """Differences from the base model that are logged on the run, by dataset."""
    metrics = run.data.metrics.items()
    return {key.removeprefix(DELTA): value for key, value in metrics if key.startswith(DELTA)}


def _verdict(run: Run, dataset: str) -> str:
    """``better``, ``worse`` or ``no evidence``; empty where it was not tested."""
    verdict = str(run.data.tags.get(f"{VERDICT_TAG}{dataset}", "")).partition(":")[0]
    return "" if verdict == "not tested" else verdict


def _shared(run: Run, base: Run) -> set[str]:
    """Datasets with a score in both, of the same questions and prompts."""
    own, other = _questions(run), _questions(base)
    common = set(headline_scores(run)) & set(headline_scores(base))
    common -= {"avg", *_incomplete(run), *_incomplete(base)}
    # What is not known of either is no reason to believe that it was the same.
    known = {name for name in common if own[name].digest and own[name].prompts}
    return {name for name in known if own[name] == other[name]}


@dataclass(frozen=True)
class _Asked:
    """What was asked of a dataset, and how it was scored."""

    digest: str
    prompts: str
    labels: str


def _questions(run: Run) -> dict[str, _Asked]:
    inputs = run.inputs.dataset_inputs if run.inputs else []
    digests = {metric_key(i.dataset.name): i.dataset.digest for i in inputs}
    tags = run.data.tags

    def asked(name: str) -> _Asked:
        prompts, labels = (tags.get(f"ftbench.{kind}.{name}", "") for kind in ("prompt", "label"))
        return _Asked(digests.get(name, ""), prompts, labels)

    return {name: asked(name) for name in set(headline_scores(run)) - {"avg"}}


def _incomplete(run: Run) -> set[str]:
    """Datasets whose score is not that of all their questions."""
    metrics = run.data.metrics.items()
    return {k.removeprefix(COVERAGE) for k, v in metrics if k.startswith(COVERAGE) and v < 100}


def _is_headline(key: str) -> bool:
    return key.startswith(HEADLINE)
