"""Benchmark runs to compare, built from a few numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ftbench.aggregates import aggregate, unscored
from ftbench.comparison import Evaluated
from ftbench.schema import OK, DatasetResult, Group, Result, SubsetResult

DATA_HASH = "d0" * 8
PROMPT_HASH = "aa" * 8


def subset(abbr: str, score: float | None, **changes: Any) -> SubsetResult:
    """A subset of 8 rows; without a score it failed."""
    given = SubsetResult(
        abbr=abbr,
        name=abbr.rpartition("_")[2],
        status=OK if score is not None else "failed",
        metric="accuracy" if score is not None else "",
        score=score,
        expected=8,
        completed=8 if score is not None else 3,
        data_hash=DATA_HASH,
        prompt_hash=PROMPT_HASH,
    )
    return replace(given, **changes)


def mmlu(law: float | None, anatomy: float | None, virology: float | None) -> DatasetResult:
    """Three subsets, of which anatomy and virology are a group."""
    scores = {"mmlu_law": law, "mmlu_anatomy": anatomy, "mmlu_virology": virology}
    subsets = tuple(subset(abbr, score) for abbr, score in scores.items())
    groups = unscored([Group("mmlu-stem", ("mmlu_anatomy", "mmlu_virology"))])
    return aggregate(DatasetResult("mmlu", subsets=subsets, groups=groups))


def single(name: str, score: float | None, **changes: Any) -> DatasetResult:
    """A dataset of one subset; changes are the subset's."""
    flags = changes.get("flags", ())
    own = subset(name, score, **changes)
    return replace(aggregate(DatasetResult(name, subsets=(own,))), flags=flags)


def run(model: str, *datasets: DatasetResult, **changes: Any) -> Evaluated:
    """A benchmark run of a model, ``base`` for the base model; its key is the model's name."""
    given = Evaluated(
        key=changes.pop("key", model),
        name=f"{model} · greedy",
        model=model,
        setting="greedy",
        base_model="tiny/base-model",
        is_base=model == "base",
        result=Result(fingerprint=f"fingerprint of {model}", stage="done", datasets=datasets),
    )
    return replace(given, **changes)
