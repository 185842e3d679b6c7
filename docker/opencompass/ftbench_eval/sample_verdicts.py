"""Verdicts on single samples from evaluators whose result keeps them to itself.

Each recipe asks the evaluator's own code, once per sample or for what it computed on the way, in
the scoring process and right after it has scored. Nothing here changes a metric, and the verdicts
are published only where they reproduce it (``extract``). Read in OpenCompass 0.5.4.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ftbench_eval.details import flag


@dataclass(frozen=True)
class Scoring:
    """One call of an evaluator's ``score`` that has returned.

    Attributes:
        evaluator: The evaluator.
        score: Its own ``score``, bound.
        arguments: What it was called with; lists and Datasets have one entry per sample.
        outcome: What it returned, details included.
        heard: What the function that the recipe listens to returned, one entry per call.
    """

    evaluator: Any
    score: Callable[..., Any]
    arguments: Mapping[str, Any]
    outcome: Mapping[str, Any]
    heard: Sequence[Any] = ()

    @property
    def pairs(self) -> list[tuple[Any, Any]]:
        """Prediction and reference of every sample, as the evaluator got them."""
        # Some (ruler, babilong) take the references by their name in the predictions.
        references = self.arguments.get("references", self.arguments.get("gold"))
        return list(zip(self.arguments["predictions"], references or [], strict=True))


@dataclass(frozen=True)
class Verdicts:
    """What a recipe found.

    Attributes:
        correct: One per sample.
        metric: The metric that they must reproduce; empty: the headline.
        weights: What each sample counts in it; empty: all alike.
    """

    correct: list[bool]
    metric: str = ""
    weights: list[float] = field(default_factory=list)


class NoVerdicts(Exception):
    """The evaluator does not call every sample right or wrong; the message says how it does."""


@dataclass(frozen=True)
class Recipe:
    """How to learn the verdicts of one evaluator class.

    Attributes:
        judge: Finds them; None where the evaluator's details tell.
        listens_to: Function, ``module:name``, whose return values are kept for it.
        extract: Gives what the evaluator takes from each prediction, where its details do not.
    """

    judge: Callable[[Scoring], Verdicts | None]
    listens_to: str = ""
    extract: Callable[[Scoring], list[Any]] | None = None


def alone(metric: str, weigh: Callable[[Any], float] | None = None) -> Recipe:
    """Scores every sample alone, where the metric is then all or nothing.

    Args:
        metric: Of the evaluator.
        weigh: Gives a sample's weight in the metric from its reference.
    """

    def judge(scoring: Scoring) -> Verdicts:
        correct = []
        for index in range(len(scoring.pairs)):
            own = {name: _only(value, index) for name, value in scoring.arguments.items()}
            value = flag(float(scoring.score(**own)[metric]))
            if value is None:
                raise NoVerdicts(f"{type(scoring.evaluator).__name__} gives partial credit")
            correct.append(value)
        weights = [weigh(reference) for _, reference in scoring.pairs] if weigh else []
        return Verdicts(correct, metric, weights)

    return Recipe(judge)


def equal(metric: str) -> Recipe:
    """Right is what equals the reference."""

    def judge(scoring: Scoring) -> Verdicts:
        return Verdicts([bool(p == r) for p, r in scoring.pairs], metric)

    return Recipe(judge, extract=_whole)


def _whole(scoring: Scoring) -> list[Any]:
    """It compares predictions as they are."""
    return [prediction for prediction, _ in scoring.pairs]


def _by_pattern(scoring: Scoring) -> list[Any]:
    """drop_simple_eval: what stands behind "Answer:", else the whole prediction."""
    pattern = sys.modules[type(scoring.evaluator).__module__].ANSWER_PATTERN
    predictions = [prediction for prediction, _ in scoring.pairs]
    matches = [re.search(pattern, prediction) for prediction in predictions]
    return [m.group(1) if m else p for m, p in zip(matches, predictions, strict=True)]


def _by_function(name: str) -> Callable[[Scoring], list[Any]]:
    """What a function in the evaluator's module takes from a prediction."""

    def extract(scoring: Scoring) -> list[Any]:
        function = getattr(sys.modules[type(scoring.evaluator).__module__], name)
        return [function(prediction) for prediction, _ in scoring.pairs]

    return extract


def _only(value: Any, index: int) -> Any:
    if hasattr(value, "select"):
        return value.select([index])
    return [value[index]] if isinstance(value, list | tuple) else value


def _circular(scoring: Scoring) -> Verdicts:
    """Two classes have this name; the older puts number, answer and pattern into the reference."""
    if "test_set" in scoring.arguments:
        metric = f"acc_{scoring.evaluator.circular_pattern}"
        return Verdicts([bool(p == r) for p, r in scoring.pairs], metric)
    return Verdicts([bool(p == r.split("--")[1]) for p, r in scoring.pairs], "acc_4")


def _tabmwp(scoring: Scoring) -> Verdicts:
    """Maps both sides to numbers of equal meaning, then counts equal ones."""
    correct = []
    for prediction, reference in scoring.pairs:
        mapped = scoring.evaluator._preprocess([prediction], [reference])
        correct.append(bool(mapped["predictions"] == mapped["references"]))
    return Verdicts(correct, "accuracy")


def _leetcode(scoring: Scoring) -> Verdicts:
    """Its details stand in the order in which programs ended; their keys tell the sample."""
    passed = [False] * len(scoring.pairs)
    for key, detail in scoring.outcome["details"].items():
        passed[int(key.partition("_")[0])] |= bool(detail["is_correct"])
    return Verdicts(passed, "pass@1")


def _first_generation(scoring: Scoring) -> Verdicts:
    """LiveCodeBench's functions return metrics and ``{row: [[verdict] per generation]}``."""
    (_, results) = scoring.heard[-1]
    return Verdicts([bool(results[i][0][0]) for i in range(len(scoring.pairs))], "pass@1")


def _mbpp_plus(scoring: Scoring) -> Verdicts | None:
    """evalplus returns what it writes (``upstream_fixes``); OpenCompass looks at the first try."""
    if scoring.evaluator.metric != "MBPPPlus":
        return None
    tried = scoring.heard[-1]["eval"]
    passed = [tried[task][0]["plus_status"] == "pass" for _, task in scoring.pairs]
    return Verdicts(passed, "mbpp_plus_pass@1")


def _level(reference: Any) -> float:
    """NPHardEval weighs a sample by its level, which leads its reference."""
    return float(str(reference).partition("####\n")[0])


_LCB = "opencompass.datasets.livecodebench.evaluator"

_NP_HARD = (
    "CMP_GCP_D_Evaluator",
    "CMP_TSP_D_Evaluator",
    "HardGCPEvaluator",
    "Hard_MSP_Evaluator",
    "P_EDP_Evaluator",
    "P_SPP_Evaluator",
)

RECIPES: Mapping[str, Recipe] = {
    "BabiLongEvaluator": alone("score"),
    "CircularEvaluator": Recipe(_circular, extract=_whole),
    "CrowspairsEvaluator": equal("accuracy"),
    "DropOpenAIEvaluator": Recipe(lambda _: None, extract=_by_pattern),
    "Game24Evaluator": alone("acc score"),
    "InfiniteBenchendiaEvaluator": alone("score"),
    "InfiniteBenchretrievekvEvaluator": alone("score"),
    "KaoshiEvaluator": alone("score"),
    "LCBCodeExecutionEvaluator": Recipe(
        _first_generation,
        f"{_LCB}:code_execution_metrics",
        _by_function("extract_code_execution"),
    ),
    "LCBTestOutputEvaluator": Recipe(
        _first_generation,
        f"{_LCB}:test_output_metrics",
        _by_function("extract_test_output_code"),
    ),
    "LCPassKEvaluator": Recipe(_leetcode),
    "LEvalEMEvaluator": alone("score"),
    "LambadaEvaluator": alone("accuracy"),
    "LongBenchv2Evaluator": equal("accuracy"),
    "MBPPEvaluator": Recipe(_mbpp_plus, "evalplus.evaluate:evaluate"),
    "MusrEvaluator": alone("accuracy"),
    "NQEvaluatorCN": alone("score"),
    "OpenFinDataKWEvaluator": alone("accuracy"),
    "PMMEvalMIFEvalEvaluator": alone("strict_acc"),
    "QuALITYEvaluator": equal("all_acc"),
    "RulerQaEvaluator": alone("score"),
    "SQuAD20Evaluator": alone("score"),
    "TabMWPEvaluator": Recipe(_tabmwp),
    "TydiQAEvaluator": alone("exact_match"),
    **{name: alone("Weighted Accuracy", _level) for name in _NP_HARD},
}
"""By class name."""
