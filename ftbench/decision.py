"""What a gate decided: as values, as text, and as JSON and tags for programs and the tracker."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ftbench.errors import EXIT_BREACH, EXIT_INCONCLUSIVE, EXIT_OK
from ftbench.schema import to_json

PASS = "PASS"
BREACH = "BREACH"
INCONCLUSIVE = "INCONCLUSIVE"
NOT_APPLICABLE = "NOT APPLICABLE"
"""A limit on drops, and the model that drops are measured from: neither kept nor broken."""

EXIT_CODES = {
    PASS: EXIT_OK,
    BREACH: EXIT_BREACH,
    INCONCLUSIVE: EXIT_INCONCLUSIVE,
    NOT_APPLICABLE: EXIT_OK,
}

SCHEMA_VERSION = 1

OUTCOME_TAG = "ftbench.gate"
POLICY_TAG = "ftbench.gate_policy"
REASONS_TAG = "ftbench.gate_reasons"


@dataclass(frozen=True)
class Check:
    """One limit, held against one score.

    Attributes:
        dataset: Name of the dataset.
        tier: Of its rule.
        limit: In words, such as ``floor 60`` or ``at most 2 below the baseline``.
        outcome: PASS, BREACH, INCONCLUSIVE or NOT_APPLICABLE.
        found: What stands against it, such as ``62.31 [60.42, 64.20]``, or why nothing does.
    """

    dataset: str
    tier: str
    limit: str
    outcome: str
    found: str

    @property
    def text(self) -> str:
        """One sentence."""
        return f"{self.dataset} ({self.tier}): {self.limit}: {self.outcome}: {self.found}"


@dataclass(frozen=True)
class Decision:
    """What a policy makes of an evaluation.

    Attributes:
        policy: Its name.
        outcome: PASS, BREACH or INCONCLUSIVE; NOT_APPLICABLE where no limit applies to the model.
        reasons: Why it is not PASS, and which limits do not apply, one sentence each.
        checks: Every limit.
        baseline: What the drops are measured from, in words; empty without one.
    """

    policy: str
    outcome: str
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    baseline: str = ""

    @property
    def is_pass(self) -> bool:
        return self.outcome == PASS

    @property
    def is_refusal(self) -> bool:
        """A limit that applies is broken, or not decided."""
        return self.outcome in (BREACH, INCONCLUSIVE)

    @property
    def is_whole(self) -> bool:
        """Every limit of the policy applied to this model."""
        return all(check.outcome != NOT_APPLICABLE for check in self.checks)


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
