"""What an evaluation comes to, for who asked for it."""

from __future__ import annotations

from dataclasses import dataclass

from ftbench.decision import Decision
from ftbench.deltas import Deltas
from ftbench.plan import Plan
from ftbench.report import Pointers
from ftbench.schema import Result


@dataclass(frozen=True)
class Outcome:
    """What an evaluation came to.

    Attributes:
        plan: What was to be done.
        result: What came out; None after ``dry_run``.
        pointers: Where the scores are recorded.
        exit_code: 0 when every dataset is ok; else by ``ftbench.errors``.
        deltas: The scores against the baseline's; None where there is none.
        decision: What the gate decided; None where none was chosen.
    """

    plan: Plan
    result: Result | None
    pointers: Pointers
    exit_code: int
    deltas: Deltas | None = None
    decision: Decision | None = None
