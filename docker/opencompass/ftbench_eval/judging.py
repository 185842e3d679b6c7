"""Which datasets a judge model scores, and how their configs are changed to ask ours."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbench_eval.reasons import Refused
from ftbench_eval.verdicts import Form, form_of

if TYPE_CHECKING:
    from ftbench_eval.judge_service import JudgeLine

NEEDS_JUDGE = (
    "a judge model scores it, and none is configured: set JUDGE_MODEL and JUDGE_API_BASE "
    "(judge.model and judge.api_base)"
)


def class_name(kind: Any) -> str:
    """Name of a class that a config names, or holds."""
    return kind.rpartition(".")[2] if isinstance(kind, str) else getattr(kind, "__name__", "")


def judge_part(config: Any) -> Any:
    """The part of a dataset config that asks a judge: its evaluator, or that of a cascade.

    Returns:
        The config of a GenericLLMEvaluator, or None.
    """
    evaluator = (config.get("eval_cfg") or {}).get("evaluator") or {}
    if class_name(evaluator.get("type", "")) == "CascadeEvaluator":
        evaluator = evaluator.get("llm_evaluator") or {}
    return evaluator if class_name(evaluator.get("type", "")) == "GenericLLMEvaluator" else None


def use_rules(config: Any) -> bool:
    """Lets a cascade (rules first, then a judge model) score by its rules alone.

    Without a judge OpenCompass could not even construct the cascade.

    Returns:
        Whether the config had a cascade.

    Side effects: changes ``config``.
    """
    evaluation = config.get("eval_cfg") or {}
    evaluator = evaluation.get("evaluator") or {}
    cascade = class_name(evaluator.get("type", "")) == "CascadeEvaluator"
    if not cascade or not evaluator.get("rule_evaluator"):
        return False
    evaluation["evaluator"] = evaluator["rule_evaluator"]
    return True


def reply_form(part: Any) -> Form:
    """What the judge of a ``judge_part`` is asked to answer.

    Raises:
        Refused: Nobody has said how its replies are read.
    """
    postprocessor = class_name((part.get("dict_postprocessor") or {}).get("type", ""))
    form = form_of(postprocessor, _prompt_text((part.get("prompt_template") or {}).get("template")))
    if form is None:
        how = f"with {postprocessor}" if postprocessor else "in a way of its own"
        raise Refused("unsupported", f"its judge's replies are read {how}, which ftbench cannot do")
    return form


def judged_config(config: Any, line: JudgeLine | None) -> Any:
    """A copy of a dataset config whose judge is asked through ``line``, and read strictly.

    The written config keeps OpenCompass's own evaluator, so that the stock command takes it.

    Args:
        config: One with a ``judge_part``.
        line: The way to the judge; None: only to construct the evaluator.

    Raises:
        Refused: As ``reply_form``.
    """
    from ftbench_eval.judge_evaluator import JudgedEvaluator

    changed = copy.deepcopy(config)
    part = judge_part(changed)
    part["form"] = reply_form(part)
    part["line"] = line
    part["type"] = JudgedEvaluator
    return changed


def forget_transcripts(results: Path, abbr: str) -> None:
    """Removes the judge's transcripts of a scoring that was interrupted.

    OpenCompass would take whatever lies there for this judge's replies to these predictions.

    Side effects: deletes files beside ``<results>/<abbr>.json``.
    """
    for name in (f"{abbr}_replica", f"{abbr}_llm_judge_replica"):
        for path in results.glob("*.json*"):
            number = path.name.removeprefix("tmp_").removeprefix(name).partition(".")[0]
            if path.name.removeprefix("tmp_").startswith(name) and number.isdigit():
                path.unlink(missing_ok=True)


def _prompt_text(template: Any) -> str:
    """The text of a prompt template: a string, or turns."""
    if isinstance(template, str):
        return template
    turns = template.get("round", []) if hasattr(template, "get") else template or []
    return "\n".join(str(turn.get("prompt", turn.get("content", ""))) for turn in turns)
