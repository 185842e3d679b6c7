"""Says of each loaded preset what the catalogue records: mode, data, needs, what rules it out."""

from __future__ import annotations

import functools
import inspect
import json
from dataclasses import dataclass, field
from typing import Any

from evalplus.data import humaneval, mbpp
from opencompass.evaluator import CascadeEvaluator, GenericLLMEvaluator
from opencompass.openicl.icl_evaluator import LMEvaluator
from opencompass.registry import (
    DICT_POSTPROCESSORS,
    ICL_EVALUATORS,
    ICL_INFERENCERS,
    ICL_PROMPT_TEMPLATES,
    LOAD_DATASET,
    TEXT_POSTPROCESSORS,
)

from ftbench.preset import (
    CODE,
    EVAL,
    JUDGE,
    JUDGE_OPTIONAL,
    LOCAL,
    NETWORK,
    PACKAGE,
    SERVICE,
)
from make_catalogue import presets, prompts
from make_catalogue.presets import Loaded
from make_catalogue.reach import Reach, reach
from make_catalogue.sources import Found, Source, find_sources

_MODES = {
    "GenInferencer": "gen",
    "PPLInferencer": "ppl",
    "LLInferencer": "ll",
    "CLPInferencer": "clp",
    "PPLOnlyInferencer": "ppl_only",
    "InferencePPLOnlyInferencer": "inference_ppl",
    "SWCELossInferencer": "ce_loss",
    "ChatInferencer": "chat",
    "AgentInferencer": "agent",
    "ToTInferencer": "tot",
    "SCInferencer": "sc",
    "AttackInferencer": "attack",
}

_RAW = "its prompts are raw chat messages, which OpenCompass 0.5.4 sends to API models only"

_OBSTACLES = {
    "agent": "it drives an agent with tools, which a local model in OpenCompass 0.5.4 is not",
    "clp": "it reads token logits, which OpenCompass 0.5.4 cannot get from its local models",
    "attack": "it searches for prompts that break the model, which takes a task of its own",
}
"""Modes that cannot be scored on a local model, with the reason."""

_SUBJECTIVE = "a judge model compares open answers, which needs OpenCompass's subjective evaluation"

_NO_PLACE = "it leaves the place of its data empty, for its user to fill in"

_UNSCORED = "it has no evaluator, so it gives no score"

_REGISTRIES = (
    ICL_EVALUATORS,
    TEXT_POSTPROCESSORS,
    DICT_POSTPROCESSORS,
    LOAD_DATASET,
    ICL_INFERENCERS,
    ICL_PROMPT_TEMPLATES,
)

_LOADER_ONLY = ("reader_cfg", "infer_cfg", "eval_cfg", "abbr", "n", "k")


@dataclass
class Describer:
    """Describes presets, remembering what it found out about loaders and classes."""

    _found: dict[str, Found] = field(default_factory=dict)

    def describe(self, loaded: Loaded) -> dict[str, Any]:
        """The catalogue's entry of one preset, without empty values.

        Args:
            loaded: The preset; its subsets are still a plain list in the answer.
        """
        if loaded.error:
            return {"problem": f"it does not load: {loaded.error}"}
        if not loaded.datasets:
            return {"problem": "it defines no datasets; other presets import it"}
        modes = {mode(dataset) for dataset in loaded.datasets}
        sources: dict[Source, None] = {}
        rows: list[int | None] = []
        for dataset, values in zip(loaded.datasets, loaded.plain, strict=True):
            found = self._find_sources(dataset, values)
            sources.update(dict.fromkeys([*found.sources, *_tests_of(dataset)]))
            rows.append(found.num_rows)
        counted = [count for count in rows if count is not None]
        entry = {
            "mode": modes.pop() if len(modes) == 1 else "mixed",
            "subsets": [presets.abbr(dataset) for dataset in loaded.datasets],
            "sources": [list(source) for source in sources],
            "evaluators": sorted({evaluator(dataset) for dataset in loaded.datasets} - {""}),
            "needs": needs(loaded),
            "problem": problem(loaded),
            "shots": common_shots(loaded),
            "num_rows": sum(counted) if len(counted) == len(rows) else None,
        }
        return {key: value for key, value in entry.items() if value or value == 0}

    def _find_sources(self, dataset: dict[str, Any], values: dict[str, Any]) -> Found:
        arguments = {key: value for key, value in values.items() if key not in _LOADER_ONLY}
        # Numbers (a length, a depth) choose rows, never files: needlebench alone has 50000 of them.
        words = {k: v for k, v in arguments.items() if not isinstance(v, (int, float))}
        found = self._find_once(words, dataset)
        if found.num_rows is None:
            return found
        return self._find_once(arguments | {"reader_cfg": values.get("reader_cfg")}, dataset)

    def _find_once(self, arguments: dict[str, Any], dataset: dict[str, Any]) -> Found:
        key = json.dumps(arguments, sort_keys=True)
        if key not in self._found:
            self._found[key] = find_sources(dataset)
        return self._found[key]


def mode(dataset: dict[str, Any]) -> str:
    """How the model is asked, such as ``gen``; empty when the preset does not say."""
    inferencer = (dataset.get("infer_cfg") or {}).get("inferencer") or {}
    return _MODES.get(_class_name(inferencer.get("type")), "")


def evaluator(dataset: dict[str, Any]) -> str:
    """Class name of the evaluator, or empty."""
    return _class_name(_evaluator_config(dataset).get("type"))


def _tests_of(dataset: dict[str, Any]) -> list[Source]:
    """Tests that evalplus would download while it scores; ``evalplus_data.py`` finds them there."""
    asked = _evaluator_config(dataset)
    name = evaluator(dataset)
    if name == "HumanEvalPlusEvaluator":
        file = f"HumanEvalPlus-{humaneval.HUMANEVAL_PLUS_VERSION}.jsonl"
    elif name.startswith("MBPP") and asked.get("metric") == "MBPPPlus":
        file = f"MbppPlus-{mbpp.MBPP_PLUS_VERSION}.jsonl"
    else:
        return []
    return [(LOCAL, f"data/evalplus/{file}")]


def problem(loaded: Loaded) -> str:
    """Why a preset cannot be scored on a local model; empty when it can."""
    reasons = [reason for reason in map(_obstacle, loaded.datasets) if reason]
    if not reasons:
        return ""
    first, total = reasons[0], len(loaded.datasets)
    return first if len(reasons) == total else f"in {len(reasons)} of {total} subsets {first}"


def common_shots(loaded: Loaded) -> int | None:
    """Solved examples before each question, where its name tells or all subsets agree."""
    said = prompts.shots_in_name(loaded.path)
    if said is not None:
        return said
    counts = {prompts.shots(dataset) for dataset in loaded.plain}
    return counts.pop() if len(counts) == 1 else None


def needs(loaded: Loaded) -> list[str]:
    """What scoring takes, in the words of ``ftbench.preset.Preset.needs``."""
    total = Reach()
    scoring = Reach()
    for thing in {t for dataset in loaded.datasets for t in _things(dataset)}:
        total |= reach(thing)
    for thing in {t for dataset in loaded.datasets for t in _things(dataset.get("eval_cfg"))}:
        scoring |= reach(thing)
    judged = {_judge(dataset) for dataset in loaded.datasets}
    found = [
        JUDGE if JUDGE in judged else "",
        JUDGE_OPTIONAL if JUDGE_OPTIONAL in judged else "",
        CODE if scoring.runs_code else "",
        EVAL if scoring.evals else "",
        NETWORK if total.network else "",
        # Of OpenCompass's evaluators only those that let a server run programs speak to one.
        SERVICE if scoring.network else "",
        *(f"{PACKAGE}{name}" for name in sorted(total.missing)),
    ]
    return [need for need in found if need]


def _judge(dataset: dict[str, Any]) -> str:
    kind = _resolve(_evaluator_config(dataset).get("type"))
    if inspect.isclass(kind) and issubclass(kind, CascadeEvaluator):
        return JUDGE_OPTIONAL
    if inspect.isclass(kind) and issubclass(kind, (GenericLLMEvaluator, LMEvaluator)):
        return JUDGE
    return JUDGE if kind is not None and reach(kind).asks_model else ""


def _obstacle(dataset: dict[str, Any]) -> str:
    asked = mode(dataset)
    if asked in _OBSTACLES or not asked:
        return _OBSTACLES.get(asked, "it does not say how the model is asked")
    templates = list(presets.types_in((dataset.get("infer_cfg") or {}).get("prompt_template")))
    if any("Raw" in _class_name(template) for template in templates):
        return _RAW
    if dataset.get("path") == "":
        return _NO_PLACE
    kind = _resolve(_evaluator_config(dataset).get("type"))
    if kind is None:
        return _UNSCORED
    if inspect.isclass(kind) and issubclass(kind, LMEvaluator):
        return _SUBJECTIVE
    return ""


def _evaluator_config(dataset: dict[str, Any]) -> dict[str, Any]:
    return (dataset.get("eval_cfg") or {}).get("evaluator") or {}


def _things(config: Any) -> list[Any]:
    found = [_resolve(kind) for kind in presets.types_in(config)]
    return [thing for thing in found if thing is not None]


@functools.cache
def _resolve(kind: Any) -> Any:
    """The class or function behind a ``type``; None for a name that no registry knows."""
    if not isinstance(kind, str):
        return kind
    known = (registry.get(kind) for registry in _REGISTRIES)
    return next((thing for thing in known if thing is not None), None)


def _class_name(kind: Any) -> str:
    name = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
    return str(name).rpartition(".")[2]
