"""Puts ``eval`` of answers behind the wall: each answer in a process of its own.

OpenCompass 0.5.4 passes what a model wrote to ``eval`` in ordinary benchmarks too. Each such module
gets an ``eval`` of its own, which looks at plain literals itself and asks the program host for the
rest. Comparing stays where no answer runs.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from ftbench_eval.program_host import ANSWER, Failed, NoReply, ProgramHost, Request
from ftbench_eval.remote_program import raise_as
from ftbench_eval.sandbox import GIB, ProgramLimits

_SECONDS = 3.0
_REQUEST = Request(ANSWER, _SECONDS, ProgramLimits(cpu_s=4, memory=GIB))

EVALUATING = (
    "TheoremQA.number_utils", "TheoremQA.utils", "korbench.korbench_utils",
    "supergpqa.supergpqa_utils", "MedCalc_Bench", "cmphysbench.SEED.SEED", "humaneval",
    "humanevalx", "LCBench", "PMMEval.humanevalxl", "livecodebench.evaluator",
    "subjective.followbench",
)  # fmt: skip
"""Modules of ``opencompass.datasets`` that pass answers to ``eval``. Others pass it the dataset's
own text only: triviaqa, natural_question, agieval, NPHardEval, teval."""

_TEXT_FUNCTIONS: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
    ("TheoremQA.utils", "extract_theoremqa_answer", lambda text: text),
    ("TheoremQA.utils", "number_it", lambda text: None),
    ("TheoremQA.number_utils", "number_it", lambda text: None),
)
"""Functions of one answer that may take for ever before they come to ``eval`` (a power tower in
LaTeX): as a whole in a process of their own. Third: what each gives for an answer that it cannot
evaluate, as upstream does."""

_PLAIN_NUMBER = re.compile(r"\s*[-+]?\d{1,30}(\.\d{1,30})?\s*")


def wall_off_answers(host: ProgramHost) -> None:
    """Replaces what evaluates answers in this process.

    Side effects: changes modules of OpenCompass in this process.
    """
    for name in EVALUATING:
        with contextlib.suppress(ImportError):
            module = importlib.import_module(f"opencompass.datasets.{name}")
            vars(module)["eval"] = _evaluator(host, module.__name__)
    with contextlib.suppress(ImportError):
        processors = importlib.import_module("opencompass.utils.text_postprocessors")
        vars(processors)["eval"] = _evaluator(host, processors.__name__)
    for name, function, otherwise in _TEXT_FUNCTIONS:
        with contextlib.suppress(ImportError):
            module = importlib.import_module(f"opencompass.datasets.{name}")
            original = getattr(module, function)
            setattr(module, function, _elsewhere(host, module.__name__, original, otherwise))
    with contextlib.suppress(ImportError):
        srbench = importlib.import_module("opencompass.datasets.srbench")
        vars(srbench)["sp"] = _FormulasOnly(srbench.sp)


def _evaluator(host: ProgramHost, module: str) -> Callable[..., Any]:
    def evaluate(source: Any, *scopes: Any) -> Any:
        with contextlib.suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return ast.literal_eval(source)
        # What is no expression fails as it would have, and costs no process.
        compile(source.strip(" \t") if isinstance(source, str) else source, "<string>", "eval")
        return _ask(host, evaluate_in, module, source, [sorted(scope) for scope in scopes])

    return evaluate


def _elsewhere(
    host: ProgramHost,
    module: str,
    function: Callable[..., Any],
    otherwise: Callable[[str], Any],
) -> Callable[..., Any]:
    name = function.__name__

    def ask(text: Any, *rest: Any) -> Any:
        if not isinstance(text, str) or _PLAIN_NUMBER.fullmatch(text):
            return function(text, *rest)
        try:
            return host.run(_REQUEST, call_by_name, module, name, text, *rest)
        except (Failed, NoReply):
            return otherwise(text)

    return ask


def _ask(host: ProgramHost, function: Callable[..., Any], *args: Any) -> Any:
    try:
        return host.run(_REQUEST, function, *args)
    except Failed as exc:
        raise_as(exc.kind, str(exc))
    except NoReply as exc:
        raise ValueError(f"an answer could not be evaluated: {exc}") from exc


def evaluate_in(module: str, source: str, scopes: list[list[str]]) -> Any:
    """Evaluates text in an answer's own process.

    Args:
        module: Whose names it may use, where no scope is given.
        scopes: Names of the globals and locals that the caller gave.
    """
    names = vars(importlib.import_module(module))
    if not scopes:
        return eval(source, dict(names))
    given: list[dict[str, Any]] = [{name: _given(name, names) for name in s} for s in scopes]
    return eval(source, *given)


def _given(name: str, names: Mapping[str, Any]) -> Any:
    if name == "__builtins__":
        return None
    if name in names:
        return names[name]
    return getattr(builtins, name, None) or importlib.import_module(name)


def call_by_name(module: str, function: str, *args: Any) -> Any:
    """Calls upstream's function in an answer's own process, where nothing was replaced."""
    return getattr(importlib.import_module(module), function)(*args)


class _FormulasOnly:
    """sympy, but its ``sympify``, which evaluates, takes formulas only (SRBench)."""

    _NAME = re.compile(r"[A-Za-z_]\w*")
    _PYTHON = re.compile(r"[\"'\[\]{}=;:\\@]|__|\.\s*[A-Za-z_]")
    _HARMLESS = frozenset({"abs", "min", "max", "pow", "round"})

    def __init__(self, sympy: Any) -> None:
        self._sympy = sympy

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sympy, name)

    def sympify(self, formula: Any, **options: Any) -> Any:
        text = str(formula)
        names = set(self._NAME.findall(text)) - self._HARMLESS
        if self._PYTHON.search(text) or any(hasattr(builtins, name) for name in names):
            raise self._sympy.SympifyError(f"not a formula: {text[:80]}")
        return self._sympy.sympify(formula, **options)
