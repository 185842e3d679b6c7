"""What the scoring process notes beside OpenCompass's result."""

from __future__ import annotations

from typing import Any

import pytest
from ftbench_eval.recording import is_shuffled
from ftbench_eval.sample_verdicts import NoVerdicts, Scoring, alone, equal

GIVEN = (["a", "b", "b"], ["1", "2", "3"])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{"pred": "a"}, {"pred": "b"}, {"pred": "b"}], False),
        ([{"pred": "b"}, {"pred": "a"}, {"pred": "b"}], True),
        ([{"gold": 2}, {"gold": 1}, {"gold": 3}], True),
        # Something else than what the evaluator was given tells nothing of the order.
        ([{"pred": "b"}, {"pred": "c"}, {"pred": "a"}], False),
        (["b", "a", "b"], False),
        ([], False),
    ],
)
def test_is_shuffled(rows: list[Any], expected: bool) -> None:
    assert is_shuffled(rows, GIVEN) is expected


class Evaluator:
    def score(self, predictions: list[Any], references: list[Any]) -> dict[str, float]:
        credit = sum(
            p if isinstance(p, float) else p == r
            for p, r in zip(predictions, references, strict=True)
        )
        return {"score": 100 * credit / len(predictions)}


def scoring(predictions: list[Any], references: list[Any]) -> Scoring:
    evaluator = Evaluator()
    arguments = {"predictions": predictions, "references": references}
    return Scoring(evaluator, evaluator.score, arguments, evaluator.score(**arguments))


def test_alone_scores_every_sample_by_itself() -> None:
    verdicts = alone("score", weigh=float).judge(scoring(["1", "5"], ["1", "3"]))
    assert (verdicts.correct, verdicts.metric) == ([True, False], "score")
    assert verdicts.weights == [1.0, 3.0]


def test_alone_has_no_verdicts_where_credit_is_partial() -> None:
    with pytest.raises(NoVerdicts, match="Evaluator gives partial credit"):
        alone("score").judge(scoring([0.5, "1"], ["1", "1"]))


def test_equal_compares_values_not_texts() -> None:
    assert equal("score").judge(scoring([0, "0"], [0, 0])).correct == [True, False]
