"""A model's scores against its baseline's, as values: what a report shows and a tracker receives.

They are kept as a file in the run folder, so that both can be done again. Nothing is rounded here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from ftbench.schema import RunFiles, from_json, to_json, write_atomically

NONE = "none"
BASE = "base"
BEST = "best"
RUN = "run"
"""What a baseline is: nothing, the base model, the best run that can be compared, a named one."""


@dataclass(frozen=True)
class Delta:
    """One dataset's score against the baseline's.

    Attributes:
        score, baseline_score: None where there is none.
        difference: Ours minus theirs, in the scores' own unit (most: percentage points).
        low, high: Ends of its 95 % interval; None where it was not tested.
        p_value: Two-sided, before any correction.
        p_adjusted: After Holm's correction over the datasets of this comparison.
        verdict: ``better``, ``worse``, ``no evidence``, ``not comparable``; empty: not tested.
        why_not: Why it is not compared or not tested, or empty.
        test: Name of the test.
        detectable: The least true difference that would be found four times in five.
        rows: Questions behind the score, each once.
        gained, lost: Rows that became right, and wrong; None where unknown.
    """

    dataset: str
    metric: str = ""
    score: float | None = None
    baseline_score: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    verdict: str = ""
    why_not: str = ""
    test: str = ""
    detectable: float | None = None
    rows: int = 0
    gained: int | None = None
    lost: int | None = None


@dataclass(frozen=True)
class Deltas:
    """A model against its baseline.

    Attributes:
        kind: BASE, BEST or RUN.
        name: What people call the baseline.
        why_not: Why there is no difference at all, or empty.
        notes: What a reader should know of the comparison, one sentence each.
        datasets: In the model's order.
        average, baseline_average: Over the datasets that both have alike; None where there is none.
        average_low, average_high: Ends of the 95 % interval of their difference; None where one of
            these datasets was not tested.
        average_verdict: As of a dataset; empty where one of them was not tested.
        average_why_not: Which one and why, or empty.
        averaged: Names of these datasets.
        run_dir: The baseline's run folder; empty where it was read from a tracker alone.
        run_id, run_url: Its benchmark run; empty where it is not recorded.
        fingerprint: Of the baseline's evaluation.
        source: Identifies what was compared, so that it is not done twice.
        recorded_in: Where this is recorded already, or empty.
        is_itself: The model is the baseline that others are measured from.
    """

    kind: str
    name: str = ""
    why_not: str = ""
    notes: tuple[str, ...] = ()
    datasets: tuple[Delta, ...] = ()
    average: float | None = None
    baseline_average: float | None = None
    average_low: float | None = None
    average_high: float | None = None
    average_verdict: str = ""
    average_why_not: str = ""
    averaged: tuple[str, ...] = ()
    run_dir: str = ""
    run_id: str = ""
    run_url: str = ""
    fingerprint: str = ""
    source: str = ""
    recorded_in: str = ""
    is_itself: bool = False

    @property
    def title(self) -> str:
        """The baseline in a heading, such as ``base Qwen2-1.5B``."""
        word = {BASE: "base ", BEST: "the best run "}.get(self.kind, "")
        return f"{word}{self.name}".strip() or "the baseline"

    @property
    def difference(self) -> float | None:
        """Of the averages."""
        if self.average is None or self.baseline_average is None:
            return None
        return self.average - self.baseline_average

    @property
    def of_average(self) -> Delta | None:
        """The averages like a dataset's scores; None where there is none."""
        if self.difference is None:
            return None
        return Delta(
            dataset="avg",
            score=self.average,
            baseline_score=self.baseline_average,
            difference=self.difference,
            low=self.average_low,
            high=self.average_high,
            verdict=self.average_verdict,
            why_not=self.average_why_not,
        )

    @property
    def is_over_all(self) -> bool:
        """Whether the averages are over every dataset of the model."""
        return set(self.averaged) == {delta.dataset for delta in self.datasets}

    def of(self, dataset: str) -> Delta | None:
        """The entry of a dataset."""
        return next((delta for delta in self.datasets if delta.dataset == dataset), None)


def read_deltas(files: RunFiles) -> Deltas | None:
    """What a run folder keeps of its comparison; None where there is nothing whole."""
    try:
        deltas = from_json(Deltas, json.loads(files.deltas.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return deltas if isinstance(deltas, Deltas) else None


def write_deltas(files: RunFiles, deltas: Deltas) -> None:
    """Keeps a comparison in the run folder.

    Side effects: writes ``baseline.json``.
    """
    write_atomically(files.deltas, json.dumps(to_json(deltas), ensure_ascii=False, indent=1))
