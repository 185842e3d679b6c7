"""A gate's decision as text, as JSON and as tags."""

from __future__ import annotations

import json

from ftbench.errors import EXIT_BREACH, EXIT_INCONCLUSIVE, EXIT_OK
from ftbench.gate.decide import BREACH, INCONCLUSIVE, PASS, Decision
from ftbench.schema import to_json

SCHEMA_VERSION = 1

EXIT_CODES = {PASS: EXIT_OK, BREACH: EXIT_BREACH, INCONCLUSIVE: EXIT_INCONCLUSIVE}

OUTCOME_TAG = "ftbench.gate"
POLICY_TAG = "ftbench.gate_policy"
REASONS_TAG = "ftbench.gate_reasons"


def decision_lines(decision: Decision) -> list[str]:
    """What a reader sees: the outcome, then every limit."""
    lines = [f"Gate {decision.policy}: {decision.outcome}"]
    if not decision.checks:
        lines += [f"  {reason}" for reason in decision.reasons]
    return [*lines, *(f"  {check.text}" for check in decision.checks)]


def decision_json(decision: Decision) -> str:
    """The decision for programs."""
    value = {"schema_version": SCHEMA_VERSION, "kind": "ftbench.gate", **to_json(decision)}
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def decision_tags(decision: Decision) -> dict[str, str]:
    """The decision as tags of a benchmark run; no longer than MLflow takes them."""
    reasons = "; ".join(decision.reasons) or "none"
    return {
        OUTCOME_TAG: decision.outcome,
        POLICY_TAG: decision.policy,
        REASONS_TAG: reasons[:5000],
    }
