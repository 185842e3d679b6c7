"""Whether a model may go on: a policy's limits held against its scores."""

from ftbench.gate.decide import BREACH, INCONCLUSIVE, PASS, Check, Decision, decide
from ftbench.gate.policy import Policy, Rule, make_policy

__all__ = [
    "BREACH",
    "INCONCLUSIVE",
    "PASS",
    "Check",
    "Decision",
    "Policy",
    "Rule",
    "decide",
    "make_policy",
]
