"""Builds every dataset and evaluator before the model is loaded, so that problems show early."""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import inspect
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftbench.schema import Reason
from ftbench.services import OWN_JUDGES, addresses
from ftbench_eval.built import BuiltDatasets, build
from ftbench_eval.judging import NEEDS_JUDGE, class_name, judge_part, judged_config
from ftbench_eval.presets import Subset
from ftbench_eval.reasons import Refused, explain

_BY_LIKENESS = ("TopkRetriever", "VotekRetriever", "MDLRetriever", "DPPRetriever")
"""Retrievers that embed the questions."""

_EMBEDDING = ("faiss", "sentence_transformers")
"""What they import for it."""


@dataclass(frozen=True)
class Checked:
    """One subset, built once.

    Attributes:
        rows: Samples it has, in one run.
        prompt_hash: sha256 of prompt, examples and inferencer settings, 16 hex digits.
        data_hash: sha256 of the rows that are asked, 16 hex digits.
        reason: Why it cannot run, or None.
    """

    subset: Subset
    rows: int = 0
    prompt_hash: str = ""
    data_hash: str = ""
    reason: Reason | None = None


def check(
    subset: Subset, allow_outside_services: bool = False, built: BuiltDatasets | None = None
) -> Checked:
    """Loads the data of a subset and constructs its evaluator; what fails becomes a reason.

    Args:
        subset: What is to be asked.
        allow_outside_services: Scoring may send the model's answers to services outside.
        built: Keeps the dataset for inference, if all is well.
    """
    try:
        refuse_retriever(subset.config)
    except Refused as exc:
        return Checked(subset, reason=explain(exc, "preset"))
    try:
        dataset = _load(subset.config)
        rows = dataset.test
    except Exception as exc:  # foreign code; what fails is this subset only
        return Checked(subset, reason=_data_reason(explain(exc, "data"), subset.config))
    try:
        _refuse_evaluator(subset, allow_outside_services)
        config = judged_config(subset.config, None) if subset.judged else subset.config
        _construct_evaluator(config)
    except Exception as exc:
        return Checked(subset, len(rows), reason=explain(exc, "preset"))
    if not len(rows):
        return Checked(subset, reason=Reason("data", "the dataset has no rows"))
    if built is not None:
        built.keep(subset.config, dataset)
    return Checked(subset, len(rows), prompt_hash(subset.config["infer_cfg"]), data_hash(rows))


def refuse_retriever(config: Any) -> None:
    """Refuses examples that are chosen by likeness where what that takes is not installed.

    OpenCompass would find out after the model is loaded (0.5.4,
    icl_retriever/icl_topk_retriever.py, from which the others inherit).

    Raises:
        Refused: A package is missing.
    """
    name = class_name((config["infer_cfg"].get("retriever") or {}).get("type", ""))
    if name not in _BY_LIKENESS:
        return
    lacking = [each for each in _EMBEDDING if importlib.util.find_spec(each) is None]
    if lacking:
        verb = "is" if len(lacking) == 1 else "are"
        raise Refused(
            "package", f"{name} needs {' and '.join(lacking)}, which {verb} not installed"
        )


def prompt_hash(infer_config: Any) -> str:
    """Hashes what decides the prompts: template, retriever and inferencer settings."""
    plain = infer_config.to_dict() if hasattr(infer_config, "to_dict") else infer_config
    return _hash(json.dumps(plain, sort_keys=True, default=str))


def data_hash(rows: Iterable[dict[str, Any]]) -> str:
    """Hashes rows in order, without the two columns that OpenCompass adds."""
    added = ("subdivision", "idx")
    lines = (
        json.dumps({k: v for k, v in row.items() if k not in added}, sort_keys=True, default=str)
        for row in rows
    )
    return _hash("\n".join(lines))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _load(config: Any) -> Any:
    dataset = build(config)
    ids = config["infer_cfg"].get("retriever", {}).get("fix_id_list") or []
    if ids and max(ids) >= len(dataset.train):
        raise Refused("unsupported", f"it has {len(dataset.train)} rows to take examples from")
    return dataset


def _data_reason(reason: Reason, config: Any) -> Reason:
    """Says where the data should lie when it does not."""
    from opencompass.utils.datasets_info import DATASETS_MAPPING

    name = str(config.get("path", ""))
    local = DATASETS_MAPPING.get(name, {}).get("local") or name
    # As opencompass.utils.get_data_path finds it (0.5.4).
    path = Path(os.environ.get("COMPASS_DATA_CACHE", ""), local)
    looks_local = bool(name) and (local != name or local.startswith("."))
    if not looks_local or path.exists():
        return reason
    where = os.path.normpath(path)
    return Reason("data_missing", f"no data at {where}: {reason.message}", reason.log)


def _refuse_evaluator(subset: Subset, allow_outside_services: bool) -> None:
    """Says why an evaluator that could be constructed must not, or cannot, be used.

    Raises:
        Refused: It needs a judge that is not configured, asks one in its own way, or sends answers
            to a service without permission.
    """
    name = class_name(((subset.config.get("eval_cfg") or {}).get("evaluator") or {}).get("type"))
    if name in OWN_JUDGES:
        raise Refused("unsupported", f"its evaluator {name} asks a judge in a way of its own")
    if judge_part(subset.config) is not None and not subset.judged:
        raise Refused("judge_missing", NEEDS_JUDGE)
    if (where := addresses([name])) and not allow_outside_services:
        raise Refused(
            "outside_service",
            f"its scoring sends the model's answers to {where[0]}; "
            "ALLOW_OUTSIDE_SERVICES=true (allow_outside_services=true) permits that",
        )


def _construct_evaluator(config: Any) -> None:
    """Does what OpenICLEvalTask does before it scores (OpenCompass 0.5.4).

    Raises:
        Refused: The preset has no evaluator or names a postprocessor that does not exist.
    """
    from opencompass.registry import ICL_EVALUATORS, TEXT_POSTPROCESSORS

    evaluation = config.get("eval_cfg") or {}
    evaluator = copy.deepcopy(evaluation.get("evaluator"))
    if not evaluator:
        raise Refused("unsupported", "the preset has no evaluator of its own (subjective scoring)")
    for key in ("pred_postprocessor", "dataset_postprocessor"):
        processor = evaluation.get(key, {}).get("type")
        if isinstance(processor, str) and TEXT_POSTPROCESSORS.get(processor) is None:
            raise Refused("preset", f"its {key} {processor} does not exist")
    kind = evaluator.pop("type")
    cls = ICL_EVALUATORS.get(kind) if isinstance(kind, str) else kind
    if cls is None:
        raise Refused("preset", f"its evaluator {kind} does not exist")
    parameters = inspect.signature(cls).parameters
    # Such an evaluator is constructed from predictions, which do not exist yet.
    if not {"predictions", "references"} <= parameters.keys():
        cls(**evaluator)
