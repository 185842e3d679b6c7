"""From dataset names to OpenCompass dataset configs: load, deduplicate, limit."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftbench.catalogue import Catalogue, UnknownDataset, UnusableDataset
from ftbench.schema import Reason
from ftbench_eval.reasons import Refused, explain

GENERATION = "generation"
LIKELIHOOD = "likelihood"

_NUM_SUGGESTIONS = 5

_MODES = {
    "GenInferencer": "gen",
    "ChatInferencer": "chat",
    "PPLInferencer": "ppl",
    "LLInferencer": "ll",
    "CLPInferencer": "clp",
}


@dataclass(frozen=True)
class Subset:
    """One OpenCompass dataset config.

    Attributes:
        abbr: Its name in every file; unique in the run.
        dataset: The user's name of the dataset it belongs to.
        name: Short name inside the dataset.
        preset: Preset file below ``opencompass/configs/datasets``.
        mode: ``gen``, ``ppl``, ``ll``, ``clp``, ``chat``, or the inferencer's class name.
        config: OpenCompass's own configuration of it.
        rules_only: Its preset would ask a judge model where the rules fail; none is asked.
    """

    abbr: str
    dataset: str
    name: str
    preset: str
    mode: str
    config: Any
    rules_only: bool = False

    @property
    def role(self) -> str:
        """Which form of the model it needs: ``generation`` or ``likelihood``."""
        return GENERATION if self.mode in ("gen", "chat") else LIKELIHOOD


@dataclass(frozen=True)
class Chosen:
    """One dataset as the user named it: its subsets, or the reason why there are none."""

    name: str
    subsets: tuple[Subset, ...] = ()
    reason: Reason | None = None


def choose(names: Sequence[str], catalogue: Catalogue, limit: int | None) -> list[Chosen]:
    """Resolves names and loads their presets; one that fails does not take down the others.

    Args:
        names: Dataset names, in the user's order.
        catalogue: Says which preset a name means.
        limit: First rows of each subset to keep, or None for all.
    """
    import opencompass

    folder = Path(os.fspath(opencompass.__path__[0])) / "configs" / "datasets"
    chosen: list[Chosen] = []
    taken: set[str] = set()
    for name in names:
        try:
            subsets = []
            for preset in catalogue.resolve_all(name):
                configs = load_preset(folder / preset.path)
                before = taken | {subset.abbr for subset in subsets}
                subsets += _subsets(name, preset.path, configs, before, limit)
        except UnknownDataset as exc:
            chosen.append(Chosen(name, reason=_unresolved(exc)))
        except Exception as exc:  # a preset is foreign code; what fails is this dataset only
            chosen.append(Chosen(name, reason=explain(exc, "preset")))
        else:
            taken.update(subset.abbr for subset in subsets)
            chosen.append(Chosen(name, tuple(subsets)))
    return chosen


def load_preset(path: Path) -> list[Any]:
    """Loads a preset file: every list whose name ends in ``_datasets``, each abbr once.

    Some presets define a list and also a list of lists' contents (PMMEval), hence the "once".

    Raises:
        Refused: It defines no dataset.
    """
    from mmengine.config import Config

    loaded = Config.fromfile(str(path), format_python_code=False)
    lists = [loaded[key] for key in loaded if key.endswith("_datasets") or key == "datasets"]
    found = {config["abbr"]: config for configs in lists for config in configs}
    if not found:
        raise Refused("preset", f"{path.name} defines no dataset")
    return list(found.values())


def short_names(abbrs: Iterable[str]) -> dict[str, str]:
    """What tells subsets of one dataset apart: their names without the words all begin with."""
    names = list(abbrs)
    if len(names) < 2:
        return {name: name for name in names}
    first, last = min(names), max(names)
    same = (a == b for a, b in zip(first, last, strict=False))
    prefix = first[: sum(itertools.takewhile(bool, same))]
    cut = max(prefix.rfind(mark) for mark in "_-") + 1
    return {name: name[cut:] or name for name in names}


def unique_abbr(abbr: str, mode: str, taken: set[str]) -> str:
    """The abbr, with its mode or a number behind it where another dataset has the same.

    OpenCompass gives the gen and ppl presets of one family the same abbr and would score only one.
    """
    candidates = [abbr, f"{abbr}-{mode}", *(f"{abbr}-{mode}-{i}" for i in range(2, 1000))]
    return next(candidate for candidate in candidates if candidate not in taken)


def limited_range(existing: str | None, limit: int, repeats: int, total: int | None) -> str:
    """OpenCompass's ``test_range`` for the first rows of a subset.

    Args:
        existing: A range that the preset has already.
        limit: Rows to keep.
        repeats: How often OpenCompass repeats the rows, one copy after the other.
        total: Rows with all repeats; needed when ``repeats`` is above 1.
    """
    if repeats == 1:
        return f"{existing or ''}[:{limit}]"
    # The range is applied after the repetition and is evaluated as Python behind "index_list".
    per_repeat = (total or 0) // repeats
    return f"[:0] + [i for i in index_list if i % {per_repeat} < {limit}]"


def use_rules(config: Any) -> bool:
    """Lets a cascade (rules first, then a judge model) score by its rules alone.

    No judge is configured, so OpenCompass could not even construct the cascade.

    Returns:
        Whether the config had a cascade.

    Side effects: changes ``config``.
    """
    evaluation = config.get("eval_cfg") or {}
    evaluator = evaluation.get("evaluator") or {}
    kind = evaluator.get("type", "")
    name = kind.rpartition(".")[2] if isinstance(kind, str) else kind.__name__
    if name != "CascadeEvaluator" or not evaluator.get("rule_evaluator"):
        return False
    evaluation["evaluator"] = evaluator["rule_evaluator"]
    return True


def mode_of(config: Any) -> str:
    """Which kind of inference a dataset config asks for."""
    kind = config["infer_cfg"]["inferencer"]["type"]
    name = kind.rpartition(".")[2] if isinstance(kind, str) else kind.__name__
    return _MODES.get(name, name)


def _unresolved(exc: UnknownDataset) -> Reason:
    kind = "unsupported" if isinstance(exc, UnusableDataset) else "unknown_dataset"
    names = ", ".join(exc.suggestions[:_NUM_SUGGESTIONS])
    hint = f"; did you mean {names}?" if names else ""
    return Reason(kind, f"'{exc.name}': {exc}{hint}")


def _subsets(
    name: str, preset: str, configs: Sequence[Any], taken: set[str], limit: int | None
) -> list[Subset]:
    names = short_names(config["abbr"] for config in configs)
    subsets = []
    for config in configs:
        mode = mode_of(config)
        original = config["abbr"]
        config["abbr"] = unique_abbr(original, mode, taken)
        rules_only = use_rules(config)
        if limit is not None:
            _limit(config, limit)
        subsets.append(
            Subset(config["abbr"], name, names[original], preset, mode, config, rules_only)
        )
    return subsets


def _limit(config: Any, limit: int) -> None:
    repeats = config.get("n", 1)
    total = None
    if repeats > 1:
        from opencompass.utils import build_dataset_from_cfg

        total = len(build_dataset_from_cfg(config).test)
    existing = config["reader_cfg"].get("test_range")
    if existing is not None and not isinstance(existing, str):
        raise Refused("preset", f"its test_range {existing!r} cannot be limited further")
    config["reader_cfg"]["test_range"] = limited_range(existing, limit, repeats, total)
