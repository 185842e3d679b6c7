"""From a result to what programs read: ``feedback.json``; scores are not rounded."""

from __future__ import annotations

import json
from typing import Any

from ftbench.average import average_uncertainty
from ftbench.canary_words import changed_fraction
from ftbench.decision import Decision
from ftbench.delta_text import baseline_json, delta_json
from ftbench.deltas import Deltas
from ftbench.error_samples import ErrorSamples
from ftbench.schema import Canary, DatasetResult, Result, Uncertainty, to_json
from ftbench.score_rows import ScoreRow, dataset_rows, flag_lines

FEEDBACK_VERSION = 2
"""Rises when a key changes its meaning or goes; new keys leave it as it is."""


def final_decision(result: Result, decision: Decision | None) -> bool:
    """Whether a model may go on: every dataset is ok, and no gate refuses it."""
    return result.is_complete and not (decision is not None and decision.is_refusal)


def feedback_json(
    result: Result,
    errors: ErrorSamples | None = None,
    deltas: Deltas | None = None,
    decision: Decision | None = None,
) -> str:
    """The feedback for programs; ``docs/feedback.md`` describes its keys.

    Args:
        result: Collected.
        errors: Wrong answers to learn from; None: none were looked for.
        deltas: The scores against the baseline's; None where there is no baseline.
        decision: What the gate decided; None where none was chosen.
    """
    errors = errors or ErrorSamples()
    value = {
        "kind": "ftbench.feedback",
        "schema_version": FEEDBACK_VERSION,
        "decision": final_decision(result, decision),
        "fingerprint": result.fingerprint,
        "model": result.model_abbr,
        "average": result.average,
        "average_uncertainty": _uncertainty_json(average_uncertainty(result)),
        "failure": to_json(result.failure) if result.failure else None,
        "canary": _canary_json(result.model.canary),
        "flags": flag_lines(result.datasets),
        "baseline": baseline_json(deltas),
        "gate": to_json(decision) if decision else None,
        "datasets": {
            d.name: {
                **_dataset_json(d),
                **(delta_json(deltas.of(d.name)) if deltas else {}),
                **_errors_json(d.name, errors),
            }
            for d in result.datasets
        },
        "error_samples": list(errors.samples),
        "error_samples_withheld": errors.withheld or None,
    }
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _errors_json(name: str, errors: ErrorSamples) -> dict[str, Any]:
    return {
        "wrong": errors.wrong.get(name),
        "error_samples_withheld": errors.withheld_of.get(name),
    }


def _canary_json(canary: Canary | None) -> dict[str, Any] | None:
    if canary is None:
        return None
    return {**to_json(canary), "changed_fraction": changed_fraction(canary)}


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


def _uncertainty_json(found: Uncertainty | None) -> Any:
    return to_json(found) if found else None


def _score_json(row: ScoreRow) -> dict[str, Any]:
    return {
        "score": row.score,
        "uncertainty": _uncertainty_json(row.uncertainty),
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
