"""Whether a model may go on: a policy's limits held against its scores."""

from ftbench.gate.decide import decide
from ftbench.gate.holding import Held, hold
from ftbench.gate.policy import Policy, Rule, make_policy, never_decided

__all__ = [
    "Held",
    "Policy",
    "Rule",
    "decide",
    "hold",
    "make_policy",
    "never_decided",
]
