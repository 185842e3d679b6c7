"""Predictions and references made by hand, with the verdicts that a reader of them would give.

Standard library only: the tests and the evaluation environment both read it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """Some samples for one evaluator.

    Attributes:
        evaluator: Import path of its class, or its name in OpenCompass's registry.
        correct: The verdicts that are right; None: the evaluator gives none.
        options: Of the evaluator.
        columns: Further columns of the dataset.
        evaluation: Further parts of ``eval_cfg``.
        extracted: What is taken from the predictions; None: not looked at.
        label: Name of its files; empty: the evaluator's.
    """

    evaluator: str
    predictions: list[Any]
    references: list[Any]
    correct: list[bool] | None
    options: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, list[Any]] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    extracted: list[str | None] | None = None
    label: str = ""

    @property
    def name(self) -> str:
        return self.label or self.kind

    @property
    def kind(self) -> str:
        """Class name."""
        return self.evaluator.rpartition(".")[2]

    @property
    def count(self) -> int:
        return len(self.predictions)


def read_cases() -> tuple[Case, ...]:
    """The cases of ``cases.json``, one a line there."""
    values = json.loads(Path(__file__).with_name("cases.json").read_text(encoding="utf-8"))
    return tuple(Case(**value) for value in values)
