"""A decision as text, JSON and tags."""

from __future__ import annotations

import json

from ftbench.decision import Check, Decision, decision_json, decision_lines, decision_tags

CHECKS = (
    Check("mmlu", "critical", "at least 60", "PASS", "62.00 [60.10, 63.90]"),
    Check("gsm8k", "critical", "at most 2 below the baseline", "BREACH", "-9.00 [-12.00, -6.00]"),
)
REASON = "gsm8k (critical): at most 2 below the baseline: BREACH: -9.00 [-12.00, -6.00]"
DECISION = Decision("strict", "BREACH", (REASON,), CHECKS, "base")


def test_decision_lines_say_the_outcome_first() -> None:
    assert decision_lines(DECISION) == [
        "Gate strict: BREACH",
        "  mmlu (critical): at least 60: PASS: 62.00 [60.10, 63.90]",
        f"  {REASON}",
    ]


def test_decision_lines_say_why_nothing_was_checked() -> None:
    open_ = Decision("strict", "INCONCLUSIVE", ("nothing that decides was checked",), ())
    assert decision_lines(open_) == [
        "Gate strict: INCONCLUSIVE",
        "  nothing that decides was checked",
    ]


def test_decision_json_has_every_limit() -> None:
    value = json.loads(decision_json(DECISION))
    assert value["kind"] == "ftbench.gate"
    assert value["schema_version"] == 1
    assert value["outcome"] == "BREACH"
    assert value["reasons"] == [REASON]
    assert value["checks"][0] == {
        "dataset": "mmlu",
        "tier": "critical",
        "limit": "at least 60",
        "outcome": "PASS",
        "found": "62.00 [60.10, 63.90]",
    }


def test_decision_tags_always_replace_those_of_an_earlier_one() -> None:
    assert decision_tags(DECISION) == {
        "ftbench.gate": "BREACH",
        "ftbench.gate_policy": "strict",
        "ftbench.gate_reasons": REASON,
    }
    passed = Decision("strict", "PASS", (), CHECKS[:1])
    assert decision_tags(passed)["ftbench.gate_reasons"] == "none"
