"""A user's own dataset: questions of theirs, or a Python config of theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ftbench.own_rows import ANSWER, QUESTION, OwnRows, read_rows
from ftbench_eval.reasons import Refused

_OPENICL = "opencompass.openicl"

FIRST_LINE = r"^\s*(.*?)[^\S\n]*(?:\n|\Z)"
"""The first line of an answer that says something, without the spaces around it."""


def rows_config(name: str, path: Path) -> dict[str, Any]:
    """The OpenCompass config of a file of questions.

    OpenCompass's own config for such files scores with the option that an answer resembles most,
    which gives an empty answer the first letter (0.5.4); here no letter is no answer.

    Args:
        name: Its abbr.
        path: A JSONL or CSV file.

    Raises:
        Refused: It cannot be asked.
    """
    own = read_rows(path)
    if own.faults:
        raise Refused("data", f"{path}: {'; '.join(own.faults)}")
    evaluation: dict[str, Any] = {
        "evaluator": {"type": f"{_OPENICL}.icl_evaluator.AccEvaluator"},
        "pred_role": "BOT",
        "pred_postprocessor": _postprocessor(own),
    }
    return {
        "abbr": name,
        "type": "opencompass.datasets.CustomDataset",
        "path": str(path),
        "reader_cfg": {"input_columns": [QUESTION, *own.options], "output_column": ANSWER},
        "infer_cfg": {
            "prompt_template": {
                "type": f"{_OPENICL}.icl_prompt_template.PromptTemplate",
                "template": {"round": [{"role": "HUMAN", "prompt": _prompt(own)}]},
            },
            "retriever": {"type": f"{_OPENICL}.icl_retriever.ZeroRetriever"},
            "inferencer": {"type": f"{_OPENICL}.icl_inferencer.GenInferencer"},
        },
        "eval_cfg": evaluation,
    }


def _prompt(own: OwnRows) -> str:
    if not own.options:
        return "{question}"
    *others, last = own.options
    letters = f"{', '.join(others)} or {last}"
    options = "".join(f"\n{letter}. {{{letter}}}" for letter in own.options)
    return f"Answer the question by replying {letters}.\n\n{{question}}{options}\nAnswer:"


def _postprocessor(own: OwnRows) -> dict[str, Any]:
    kinds = "opencompass.utils.text_postprocessors"
    if own.options:
        return {"type": f"{kinds}.first_option_postprocess", "options": "".join(own.options)}
    return {"type": f"{kinds}.match_answer_pattern", "answer_pattern": FIRST_LINE}
