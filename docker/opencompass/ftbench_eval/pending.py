"""The result before anything ran: every dataset with its subsets, notes, package versions."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence

from ftbench.aggregates import unscored
from ftbench.schema import FAILED, PENDING, RULE_ONLY, DatasetResult, SubsetResult
from ftbench_eval.presets import Chosen, Subset

_VERSIONS = ("opencompass", "torch", "transformers", "peft", "vllm")


def pending_results(chosen: Sequence[Chosen], judge: str = "") -> list[DatasetResult]:
    """Every dataset before anything ran; one that could not be resolved has failed already.

    Args:
        chosen: The datasets.
        judge: Name of the judge model, or empty.
    """
    return [
        DatasetResult(
            name=item.name,
            status=FAILED if item.reason else PENDING,
            reason=item.reason,
            subsets=tuple(
                SubsetResult(
                    abbr=s.result_abbr,
                    name=s.name,
                    preset=s.preset,
                    mode=s.mode,
                    repeats=s.runs,
                    label=label_of(s, judge),
                )
                for s in item.subsets
                if s.run == 0
            ),
            groups=unscored(item.groups),
        )
        for item in chosen
    ]


def label_of(subset: Subset, judge: str) -> str:
    """What a reader of the score must know: who judged, or that nobody did."""
    if subset.judged:
        return f"judged by {judge}"
    return RULE_ONLY if subset.rules_only else ""


def judge_notes(chosen: Sequence[Chosen]) -> tuple[str, ...]:
    """Says which datasets are scored without the judge model that their preset names."""
    return tuple(
        f"{item.name}: scored by its rules alone, without the judge model of its preset."
        for item in chosen
        if any(subset.rules_only for subset in item.subsets)
    )


def versions() -> dict[str, str]:
    """Versions of what decides the scores, by package name; absent packages are left out."""
    found = {"python": platform.python_version()}
    for name in _VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
