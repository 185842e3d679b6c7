"""A comparison for programs; ``docs/compare.md`` describes every key. Numbers are not rounded."""

from __future__ import annotations

import json
from typing import Any

from ftbench.comparison.compare import movers
from ftbench.comparison.evaluated import Evaluated
from ftbench.comparison.values import (
    Average,
    Comparison,
    DatasetLines,
    Difference,
    Line,
    Mover,
    Standing,
)
from ftbench.comparison.words import MOVERS, verdict

VERSION = 1
"""Of the shape; it rises where a key changes its meaning or goes, not where one is added."""


def comparison_json(comparison: Comparison) -> str:
    """The whole comparison as a JSON object, with a newline at its end."""
    ids = [run.key for run in comparison.runs]
    best = comparison.ranking[:1] if len(comparison.ranking) > 1 else ()
    value = {
        "kind": "ftbench.comparison",
        "schema_version": VERSION,
        "verdict": verdict(comparison),
        "baseline": ids[comparison.baseline],
        "best": ids[best[0]] if best else None,
        "ranking": [ids[index] for index in comparison.ranking],
        "averaged_over": list(comparison.averaged),
        "not_averaged": dict(comparison.left_out),
        "runs": [
            _run(comparison, index, label, run)
            for index, (label, run) in enumerate(
                zip(comparison.labels, comparison.runs, strict=True)
            )
        ],
        "datasets": [_dataset(comparison, dataset) for dataset in comparison.datasets],
        "differing": {
            setting.key: dict(zip(ids, setting.values, strict=True))
            for setting in comparison.settings
        },
        "notes": list(comparison.notes),
    }
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _run(comparison: Comparison, index: int, label: str, run: Evaluated) -> dict[str, Any]:
    gained, lost = movers(comparison, index, MOVERS)
    return {
        "id": run.key,
        "name": run.name,
        "label": label,
        "model": run.model,
        "base_model": run.base_model,
        "is_base": run.is_base,
        "setting": run.setting,
        "step": run.step,
        "fingerprint": run.result.fingerprint,
        "average": _average(comparison.averages[index]),
        "gained_most": [_mover(mover) for mover in gained],
        "lost_most": [_mover(mover) for mover in lost],
        "url": run.link,
        "model_url": run.model_link,
        "training_url": run.training_link,
        "command": list(run.command),
    }


def _average(average: Average) -> dict[str, Any]:
    return {
        "score": average.score,
        "difference": _difference(average.difference),
        "is_flagged": average.is_flagged,
        "why_not": average.why_not or None,
    }


def _mover(mover: Mover) -> dict[str, Any]:
    return {
        "dataset": mover.dataset,
        "subset": mover.subset,
        "before": mover.before,
        "after": mover.after,
        "difference": _difference(mover.difference),
        "questions": mover.rows,
    }


def _dataset(comparison: Comparison, dataset: DatasetLines) -> dict[str, Any]:
    return {
        **_line(comparison, dataset.line),
        "groups": [_line(comparison, line) for line in dataset.groups],
        "subsets": [_line(comparison, line) for line in dataset.subsets],
    }


def _line(comparison: Comparison, line: Line) -> dict[str, Any]:
    ids = [run.key for run in comparison.runs]
    return {
        "name": line.name,
        "metric": line.metric,
        "best": [key for key, s in zip(ids, line.standings, strict=True) if s.is_best],
        "scores": {key: _standing(s) for key, s in zip(ids, line.standings, strict=True)},
    }


def _standing(standing: Standing) -> dict[str, Any]:
    return {
        "score": standing.score,
        "weighted_score": standing.weighted_score,
        "status": standing.status or None,
        "coverage": standing.coverage or None,
        "questions": standing.rows,
        "difference": _difference(standing.difference),
        "not_comparable": standing.why_not or None,
        "flags": list(standing.flags),
    }


def _difference(difference: Difference | None) -> dict[str, float] | None:
    # An object, so that an interval and a verdict can stand beside the value.
    return None if difference is None else {"value": difference.value}
