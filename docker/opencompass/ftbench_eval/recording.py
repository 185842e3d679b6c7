"""Notes beside OpenCompass's result what its evaluator saw and thought of every sample.

Runs in the scoring process. A result's own keys stay as they are; the notes stand under one more
(``details.RECORD``), and only where the result itself leaves something out.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ftbench_eval.details import EXTRACTED_KEYS, RECORD, text
from ftbench_eval.reasons import explain
from ftbench_eval.sample_verdicts import RECIPES, NoVerdicts, Recipe, Scoring, Verdicts


def record_samples() -> None:
    """Makes OpenCompass's evaluation task keep notes.

    Side effects: wraps ``OpenICLEvalTask._evaluate_predictions`` in this process.
    """
    from opencompass.tasks import OpenICLEvalTask

    original = OpenICLEvalTask._evaluate_predictions

    @functools.wraps(original)
    def evaluate_predictions(
        task: Any, pred_strs: Any, test_set: Any, pred_dicts: Any
    ) -> dict[str, Any]:
        processed = "pred_postprocessor" in task.eval_cfg or "pred_postprocessor" in task.model_cfg
        recorder = Recorder(processed)
        with recorder.listening():
            result: dict[str, Any] = original(task, pred_strs, test_set, pred_dicts)
        if notes := recorder.notes():
            result[RECORD] = notes
        return result

    OpenICLEvalTask._evaluate_predictions = evaluate_predictions


class Recorder:
    """Keeps notes of one subset's scoring, whose repeats are scored one after the other.

    Args:
        processed: A post-processor has taken the answers from the predictions.
    """

    def __init__(self, processed: bool) -> None:
        self._processed = processed
        self._evaluator: Any = None
        self._extracted: list[str] = []
        self._references: list[str | None] = []
        self._needs_references = False
        self._needs_extracted = False
        self._shuffled = False
        self._verdicts: list[Verdicts] = []
        self._why = ""

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Notes what the first evaluator does that evaluates meanwhile; others are parts of it.

        Side effects: wraps ``BaseEvaluator.evaluate`` until the end.
        """
        from opencompass.openicl.icl_evaluator import BaseEvaluator

        original = BaseEvaluator.evaluate

        @functools.wraps(original)
        def evaluate(evaluator: Any, *args: Any, **kwargs: Any) -> Any:
            if self._evaluator is not None:
                return original(evaluator, *args, **kwargs)
            self._evaluator = evaluator
            with self._around_score(evaluator):
                return original(evaluator, *args, **kwargs)

        with _replaced(BaseEvaluator, "evaluate", evaluate):
            yield

    def notes(self) -> dict[str, Any]:
        """What the result leaves out; empty when that is nothing."""
        notes: dict[str, Any] = {}
        if self._needs_extracted:
            notes["extracted"] = self._extracted
        if self._needs_references:
            notes["references"] = self._references
        if self._shuffled:
            notes["shuffled"] = True
        if self._why:
            notes["why"] = self._why
        elif self._verdicts:
            notes["correct"] = [right for v in self._verdicts for right in v.correct]
            notes["weights"] = [weight for v in self._verdicts for weight in v.weights]
            notes["metric"] = self._verdicts[0].metric
        return notes

    @contextlib.contextmanager
    def _around_score(self, evaluator: Any) -> Iterator[None]:
        # On the class: with a function among its own attributes the evaluator could not be sent
        # to the processes that some use.
        original = type(evaluator).score
        recipe = RECIPES.get(type(evaluator).__name__)

        @functools.wraps(original)
        def score(scoring: Any, *args: Any, **kwargs: Any) -> Any:
            if scoring is not evaluator or args:
                return original(scoring, *args, **kwargs)
            self._note_inputs(kwargs)
            with _heard(recipe) as heard:
                outcome = original(scoring, **kwargs)
            own = functools.partial(original, scoring)
            self._note_outcome(Scoring(evaluator, own, kwargs, outcome, heard), recipe)
            return outcome

        with _replaced(type(evaluator), "score", score):
            yield

    def _note_inputs(self, arguments: Mapping[str, Any]) -> None:
        # Before it scores: some evaluators change what they are given.
        references = arguments.get("references") or []
        self._references += [text(value) for value in references]
        self._extracted += [text(value) or "" for value in arguments.get("predictions") or []]

    def _note_outcome(self, scoring: Scoring, recipe: Recipe | None) -> None:
        outcome = scoring.outcome
        if not isinstance(outcome, dict) or "error" in outcome:
            return
        details = outcome.get("details")
        rows = list(details.values()) if isinstance(details, dict) else list(details or [])
        processed = self._processed or getattr(scoring.evaluator, "pred_postprocessor", None)
        said = any(isinstance(row, dict) and row.keys() & EXTRACTED_KEYS for row in rows)
        self._needs_extracted |= bool(processed) and not said
        # OpenCompass leaves a falsy reference out of the predictions ("gold"), and an evaluator
        # often out of its details; OpenICLEvalTask's own details have every reference.
        falsy = any(not reference for reference in scoring.arguments.get("references") or [])
        self._needs_references |= falsy and bool(rows)
        count = len(rows)
        given = (self._extracted[-count:], self._references[-count:]) if count else ()
        self._shuffled |= is_shuffled(rows, given)
        if recipe is not None:
            self._follow(recipe, scoring)

    def _follow(self, recipe: Recipe, scoring: Scoring) -> None:
        # Foreign code, called in a way of ours: where it fails, the score stands all the same.
        try:
            verdicts = recipe.judge(scoring)
            self._verdicts += [verdicts] if verdicts else []
        except NoVerdicts as exc:
            self._why = str(exc)
        except Exception as exc:
            self._why = f"no verdict on single samples: {explain(exc, 'scoring').message}"
        if recipe.extract is None:
            return
        try:
            answers = [text(answer) or "" for answer in recipe.extract(scoring)]
        except Exception as exc:
            explain(exc, "scoring")
        else:
            self._extracted[-len(answers) :] = answers
            self._needs_extracted = True


def is_shuffled(rows: Sequence[Any], given: Sequence[Sequence[str | None]]) -> bool:
    """Whether details repeat what the evaluator was given, but in another order.

    Args:
        rows: Its details.
        given: Columns that it was given, as text.
    """
    if not rows or not all(isinstance(row, dict) for row in rows):
        return False
    for key in rows[0]:
        column = [text(row.get(key)) for row in rows]
        for original in given:
            if column != list(original) and sorted(map(str, column)) == sorted(map(str, original)):
                return True
    return False


@contextlib.contextmanager
def _heard(recipe: Recipe | None) -> Iterator[list[Any]]:
    """What the function that the recipe listens to returns meanwhile."""
    heard: list[Any] = []
    name, _, function = (recipe.listens_to if recipe else "").partition(":")
    if not name:
        yield heard
        return
    module = importlib.import_module(name)
    original = getattr(module, function)

    @functools.wraps(original)
    def listened(*args: Any, **kwargs: Any) -> Any:
        heard.append(original(*args, **kwargs))
        return heard[-1]

    with _replaced(module, function, listened):
        yield heard


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Callable[..., Any]) -> Iterator[None]:
    had, before = name in vars(owner), getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if had:
            setattr(owner, name, before)
        else:
            delattr(owner, name)
