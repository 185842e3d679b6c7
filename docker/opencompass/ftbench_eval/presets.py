"""From dataset names to OpenCompass dataset configs: load, tell apart, apply the options."""

from __future__ import annotations

import copy
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftbench.aggregates import own_groups
from ftbench.catalogue import Catalogue, UnknownDataset, UnusableDataset
from ftbench.options import DatasetOptions, run_abbrs, unique_abbr, unique_abbrs
from ftbench.preset import Preset
from ftbench.schema import Group, Reason
from ftbench_eval.judging import class_name, judge_part, use_rules
from ftbench_eval.own import rows_config
from ftbench_eval.reasons import Refused, explain
from ftbench_eval.rows import choose_rows
from ftbench_eval.runs import take_runs
from ftbench_eval.shots import choose_shots, refuse_shots

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
    """One OpenCompass dataset config: a subset of a dataset, or one of its runs.

    Attributes:
        abbr: Its name in OpenCompass's files; unique in the evaluation.
        dataset: The user's name of the dataset it belongs to.
        name: Short name inside the dataset.
        preset: Preset file below ``opencompass/configs/datasets``.
        mode: ``gen``, ``ppl``, ``ll``, ``clp``, ``chat``, or the inferencer's class name.
        config: OpenCompass's own configuration of it.
        rules_only: Its preset would ask a judge model where the rules fail; none is asked.
        run: Which of the runs it is, from 0.
        runs: How often its rows are asked, each time as a config of its own.
        pass_k: The k of pass@k over the runs.
        result_abbr: Name of the subset in the result, which all its runs share.
        judged: A judge model is asked.
    """

    abbr: str
    dataset: str
    name: str
    preset: str
    mode: str
    config: Any
    rules_only: bool = False
    judged: bool = False
    run: int = 0
    runs: int = 1
    pass_k: tuple[int, ...] = ()
    result_abbr: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "result_abbr", self.result_abbr or self.abbr)

    @property
    def role(self) -> str:
        """Which form of the model it needs: ``generation`` or ``likelihood``."""
        return GENERATION if self.mode in ("gen", "chat") else LIKELIHOOD


@dataclass(frozen=True)
class Chosen:
    """One dataset as the user named it: its subsets, or the reason why there are none.

    Attributes:
        groups: Which subsets are averaged together, by their abbrs in this run.
    """

    name: str
    subsets: tuple[Subset, ...] = ()
    groups: tuple[Group, ...] = ()
    reason: Reason | None = None


@dataclass(frozen=True)
class _Named:
    """A dataset's presets, each with the names that its subsets have in this evaluation."""

    name: str
    presets: tuple[tuple[Preset, dict[str, str]], ...] = ()
    reason: Reason | None = None


def choose(
    names: Sequence[str],
    catalogue: Catalogue,
    options: Mapping[str, DatasetOptions],
    files: Mapping[str, Path],
    has_judge: bool = False,
) -> list[Chosen]:
    """Resolves names and loads their presets; one that fails does not take down the others.

    Args:
        names: Dataset names, in the user's order.
        catalogue: Says which preset a name means.
        options: By name; absent: the presets as they are.
        files: The user's own files, by name.
        has_judge: A judge model is configured.
    """
    named = _resolve(names, catalogue, files)
    taken = {abbr for item in named for _, abbrs in item.presets for abbr in abbrs.values()}
    chosen: list[Chosen] = []
    for item in named:
        if item.reason is not None:
            chosen.append(Chosen(item.name, reason=item.reason))
            continue
        own = options.get(item.name, DatasetOptions())
        try:
            subsets: list[Subset] = []
            for preset, abbrs in item.presets:
                configs = _load(item.name, preset, files)
                subsets += _subsets(item.name, preset, configs, abbrs, taken, own, has_judge)
        except _NoSuchShots as exc:
            folder = _presets_folder()
            refused = refuse_shots(exc.preset, exc.shots, catalogue, load_preset, folder)
            chosen.append(Chosen(item.name, reason=explain(refused, "preset")))
        except Exception as exc:  # a preset is foreign code; what fails is this dataset only
            chosen.append(Chosen(item.name, reason=explain(exc, "preset")))
        else:
            groups = own_groups((preset.groups, abbrs) for preset, abbrs in item.presets)
            chosen.append(Chosen(item.name, tuple(subsets), groups))
    return chosen


def _resolve(names: Sequence[str], catalogue: Catalogue, files: Mapping[str, Path]) -> list[_Named]:
    found: list[tuple[str, tuple[Preset, ...], Reason | None]] = []
    for name in names:
        if name in files:
            is_python = files[name].suffix == ".py"
            mode, subsets = ("own", ()) if is_python else ("gen", (name,))
            own = Preset(name, str(files[name]), mode, subsets, "")
            found.append((name, (own,), None))
            continue
        try:
            found.append((name, catalogue.resolve_all(name), None))
        except UnknownDataset as exc:
            found.append((name, (), _unresolved(exc)))
    renamed = iter(unique_abbrs((p.mode, p.subsets) for _, presets, _ in found for p in presets))
    return [
        _Named(name, tuple((preset, next(renamed)) for preset in presets), reason)
        for name, presets, reason in found
    ]


def _load(name: str, preset: Preset, files: Mapping[str, Path]) -> list[Any]:
    if name not in files:
        return load_preset(_presets_folder() / preset.path)
    path = files[name]
    if path.suffix != ".py":
        return [rows_config(name, path)]
    # mmengine-lite 0.11.0rc3 writes the path into code that it makes, where a quote breaks it.
    with tempfile.TemporaryDirectory(prefix="ftbench-") as folder:
        copied = Path(folder) / "config.py"
        shutil.copyfile(path, copied)
        return load_preset(copied, path.name)


def _presets_folder() -> Path:
    import opencompass

    return Path(os.fspath(opencompass.__path__[0])) / "configs" / "datasets"


class _NoSuchShots(Exception):
    """A preset whose examples cannot be chosen."""

    def __init__(self, preset: Preset, shots: int) -> None:
        super().__init__(preset.name)
        self.preset = preset
        self.shots = shots


def load_preset(path: Path, shown: str = "") -> list[Any]:
    """Loads a preset file: every list whose name ends in ``_datasets``, each abbr once.

    Some presets define a list and also a list of lists' contents (PMMEval), hence the "once".

    Args:
        path: The file.
        shown: Its name for messages, where it is not its own.

    Raises:
        Refused: It defines no dataset.
    """
    from mmengine.config import Config

    loaded = Config.fromfile(str(path), format_python_code=False)
    lists = [loaded[key] for key in loaded if key.endswith("_datasets") or key == "datasets"]
    found = {config["abbr"]: config for configs in lists for config in configs}
    if not found:
        raise Refused("preset", f"{shown or path.name} defines no dataset")
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


def mode_of(config: Any) -> str:
    """Which kind of inference a dataset config asks for."""
    name = class_name(config["infer_cfg"]["inferencer"]["type"])
    return _MODES.get(name, name)


def _unresolved(exc: UnknownDataset) -> Reason:
    kind = "unsupported" if isinstance(exc, UnusableDataset) else "unknown_dataset"
    names = ", ".join(exc.suggestions[:_NUM_SUGGESTIONS])
    hint = f"; did you mean {names}?" if names else ""
    return Reason(kind, f"'{exc.name}': {exc}{hint}")


def _subsets(
    name: str,
    preset: Preset,
    configs: Sequence[Any],
    abbrs: Mapping[str, str],
    taken: set[str],
    options: DatasetOptions,
    has_judge: bool,
) -> list[Subset]:
    names = short_names(config["abbr"] for config in configs)
    subsets = []
    for config in configs:
        original = config["abbr"]
        # The catalogue does not know what a Python config of the user's holds.
        abbr = abbrs.get(original) or unique_abbr(original, mode_of(config), taken)
        taken.add(abbr)
        judged = has_judge and judge_part(config) is not None
        rules_only = not judged and use_rules(config)
        choose_rows(config, options)
        if options.num_shots is not None and not choose_shots(config, options.num_shots):
            raise _NoSuchShots(preset, options.num_shots)
        runs, pass_k = take_runs(config, options)
        for run, run_abbr in enumerate(run_abbrs(abbr, runs)):
            taken.add(run_abbr)
            own = copy.deepcopy(config) if runs > 1 else config
            own["abbr"] = run_abbr
            subsets.append(
                Subset(
                    abbr=run_abbr,
                    dataset=name,
                    name=names[original],
                    preset=preset.path,
                    mode=mode_of(own),
                    config=own,
                    rules_only=rules_only,
                    judged=judged,
                    run=run,
                    runs=runs,
                    pass_k=pass_k,
                    result_abbr=abbr,
                )
            )
    return subsets
