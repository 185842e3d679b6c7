"""From a result to what programs read: ``feedback.json``; scores are not rounded."""

from __future__ import annotations

import json
from typing import Any

from ftbench.delta_text import baseline_json, delta_json
from ftbench.deltas import Deltas
from ftbench.schema import DatasetResult, Result, to_json
from ftbench.score_rows import ScoreRow, dataset_rows, flag_lines


def feedback_json(result: Result, deltas: Deltas | None = None) -> str:
    """The feedback for programs; scores are not rounded.

    Args:
        deltas: The scores against the baseline's; None where there is no baseline.
    """
    value = {
        "schema_version": result.schema_version,
        "decision": result.is_complete,
        "fingerprint": result.fingerprint,
        "model": result.model_abbr,
        "average": result.average,
        "failure": to_json(result.failure) if result.failure else None,
        "flags": flag_lines(result.datasets),
        "baseline": baseline_json(deltas),
        "datasets": {
            d.name: _dataset_json(d) | delta_json(deltas.of(d.name) if deltas else None)
            for d in result.datasets
        },
    }
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _dataset_json(dataset: DatasetResult) -> dict[str, Any]:
    own, *groups = dataset_rows(dataset)
    return {
        "status": own.status,
        "reason": to_json(own.reason) if own.reason else None,
        **_score_json(own),
        "subsets_done": dataset.subsets_done,
        "subsets": len(dataset.subsets),
        "reused_from": dataset.reused_from or None,
        "groups": {row.name: {"status": row.status, **_score_json(row)} for row in groups},
    }


def _score_json(row: ScoreRow) -> dict[str, Any]:
    return {
        "score": row.score,
        "weighted_score": row.weighted_score,
        "metric": row.metric,
        "label": row.label,
        "aggregation": row.aggregation,
        "completed": row.completed,
        "expected": row.expected,
        **row.validity.shares(),
        "mean_output_tokens": row.validity.mean_output_tokens,
        "flags": list(row.flags),
    }
