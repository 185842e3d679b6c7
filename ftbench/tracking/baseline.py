"""Which benchmark run of a base model another benchmark run is compared with, and by how much.

``ftbench.comparison.fitting`` decides, from facts that a run's tags and params hold, so that it
holds whichever run was recorded first. Differences that are logged on a run
(``delta_vs_base/<dataset>``, from the samples) go before those made here, and the base that they
start from before any other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

from ftbench.comparison.fitting import Facts, fitting_base
from ftbench.tracking.scores import HEADLINE

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

ASKED_TAG = "ftbench.asked."
"""By dataset, what must be equal for its score to be compared (``comparison.comparable``)."""


@dataclass(frozen=True)
class Comparison:
    """One run against the base model's.

    Attributes:
        base: The base model's run.
        differences: Points by headline name (``avg`` or a dataset), in the order to show.
        verdicts: What a test on the samples said of a difference, such as ``better``.
        left_out: Datasets whose scores cannot be compared with the base's, each with why.
    """

    base: Run
    differences: Mapping[str, float]
    left_out: tuple[tuple[str, str], ...] = ()
    verdicts: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Such as ``avg +4.2 · gsm8k +9.1 · mmlu -0.6``; no more than a tag holds."""
        parts = [self._part(name, value) for name, value in self.differences.items()]
        return " · ".join(parts)[:5000]

    def _part(self, name: str, value: float) -> str:
        verdict = self.verdicts.get(name)
        return f"{name} {points(value)} ({verdict})" if verdict else f"{name} {points(value)}"


def points(value: float) -> str:
    """A difference in points with its sign and one decimal."""
    return "±0.0" if round(value, 1) == 0 else f"{value:+.1f}"


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


def facts_of(run: Run) -> Facts:
    """What decides what a benchmark run can be compared with."""
    tags = run.data.tags
    names = set(headline_scores(run)) - {"avg"}
    return Facts(
        is_base(run),
        run.data.params,
        {name: tags.get(f"{ASKED_TAG}{name}", "") for name in names},
        run.info.start_time or 0,
    )


def compare(run: Run, others: Sequence[Run]) -> Comparison | None:
    """Compares a run with the base model's.

    Args:
        run: A benchmark run.
        others: Runs of the tracker, newest first; any kind.

    Returns:
        None for a base model's run, and when no base was asked any of the same questions. The base
        that the logged differences start from goes before the one that fits best.
    """
    if is_base(run):
        return None
    bases = [r for r in others if is_evaluation(r) and is_base(r)]
    ours = facts_of(run)
    named = next((b for b in bases if b.info.run_id == run.data.tags.get(DELTA_BASE_TAG)), None)
    logged = _logged(run) if named else {}
    if named is None:
        found = fitting_base([facts_of(base) for base in bases], [ours])
        if found is None:
            return None
        named = bases[found]
    own, anchors, theirs = headline_scores(run), headline_scores(named), facts_of(named)
    reasons = {name: ours.why_not(name, theirs) for name in own if name != "avg"}
    names = [name for name in reasons if name in logged or not reasons[name]]
    if not names:
        return None
    differences = {
        name: logged[name] if name in logged else own[name] - anchors[name] for name in names
    }
    # Two averages are comparable only over the same questions.
    if "avg" in own and len(names) == len(reasons):
        differences = {"avg": logged.get("avg", fmean(differences.values())), **differences}
    left_out = tuple((name, reasons[name]) for name in sorted(reasons) if name not in names)
    verdicts = {name: verdict for name in logged if (verdict := _verdict(run, name))}
    return Comparison(named, differences, left_out, verdicts)


def _logged(run: Run) -> dict[str, float]:
    """Differences from the base model that are logged on the run, by dataset."""
    metrics = run.data.metrics.items()
    found = {key.removeprefix(DELTA): value for key, value in metrics if key.startswith(DELTA)}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _verdict(run: Run, dataset: str) -> str:
    """``better``, ``worse`` or ``no evidence``; empty where it was not tested."""
    verdict = str(run.data.tags.get(f"{VERDICT_TAG}{dataset}", "")).partition(":")[0]
    return "" if verdict == "not tested" else verdict


def _is_headline(key: str) -> bool:
    return key.startswith(HEADLINE)
