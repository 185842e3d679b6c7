"""Never the same dataset twice: what an earlier run has complete is taken over into the new one.

A dataset is taken only from a run folder whose plan gives it the same fingerprint, whose collected
result calls it ok, and whose files bear that out; a partial one never. Its files become part of the
new run folder, which is whole by itself then. ``reused.json`` comes last: what a kill leaves before
it is not believed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ftbench.errors import LaunchError, Problem
from ftbench.evidence import evidence_files, lacks
from ftbench.plan import DatasetPlan, Plan
from ftbench.schema import (
    OK,
    DatasetResult,
    ModelFacts,
    Result,
    RunFiles,
    from_json,
    read_result,
    to_json,
    write_atomically,
)
from ftbench.workspace import run_dirs


@dataclass(frozen=True)
class TakenOver:
    """What ``reused.json`` says.

    Attributes:
        fingerprints: Of the datasets, by name.
        datasets: Their results; ``reused_from`` says who evaluated them.
        model: How the model was loaded there.
        versions: Package versions there, by name.
        hardware: What it ran on there, by name.
    """

    fingerprints: dict[str, str] = field(default_factory=dict)
    datasets: tuple[DatasetResult, ...] = ()
    model: ModelFacts = field(default_factory=ModelFacts)
    versions: dict[str, str] = field(default_factory=dict)
    hardware: dict[str, str] = field(default_factory=dict)

    def dataset(self, planned: DatasetPlan) -> DatasetResult | None:
        """The result of a planned dataset; None where there is none of its fingerprint."""
        if self.fingerprints.get(planned.name) != planned.fingerprint:
            return None
        return next((d for d in self.datasets if d.name == planned.name), None)


def find_earlier(
    workspace: Path, run_dir: Path, model_abbr: str, datasets: Sequence[DatasetPlan]
) -> dict[str, Path]:
    """Finds the datasets that need not be evaluated again.

    Args:
        workspace: Where to look; the newest run folder comes first.
        run_dir: The run folder of the evaluation. What was taken over into it stays so; what it has
            evaluated itself is left to it.
        model_abbr: Name of the model's folders in it.
        datasets: What is to be evaluated.

    Returns:
        The run folder that has it, by name of the dataset.
    """
    files = RunFiles(run_dir)
    taken, own = read_taken(files), names_done(files)
    found: dict[str, Path] = {}
    for planned in datasets:
        kept = taken.dataset(planned)
        if kept is not None and lacks(files, model_abbr, kept) is None:
            found[planned.name] = run_dir
    for folder in reversed(run_dirs(workspace)):
        left = [d for d in datasets if d.name not in found and d.name not in own]
        if left and folder != run_dir:
            found |= dict.fromkeys(_whole_datasets(folder, left), folder)
    return found


def names_done(files: RunFiles) -> set[str]:
    """Datasets that a run folder has evaluated itself; going on with it does not ask them again."""
    result = _collected(files.root)
    datasets = result.datasets if result else ()
    return {d.name for d in datasets if d.status == OK and not d.reused_from}


def take_over(plan: Plan) -> None:
    """Makes the plan's reused datasets part of its run folder.

    Raises:
        LaunchError: They cannot be read or written.

    Side effects: links or copies files into the run folder, which the caller holds; writes
        ``reused.json`` last. Links of a dataset that is to be evaluated are removed.
    """
    try:
        _take_over(plan)
    except (OSError, ValueError, KeyError) as exc:
        raise LaunchError(
            Problem(
                f"taking over finished datasets into {plan.run_dir}",
                f"{type(exc).__name__}: {exc}",
                "the same command again, or reuse=never to evaluate everything anew",
            )
        ) from exc


def read_taken(files: RunFiles) -> TakenOver:
    """What was taken over into a run folder; nothing where that was not finished."""
    try:
        taken = from_json(TakenOver, json.loads(files.reused.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return TakenOver()
    return taken if isinstance(taken, TakenOver) else TakenOver()


def _whole_datasets(run_dir: Path, wanted: Iterable[DatasetPlan]) -> list[str]:
    """Names of the wanted datasets that a run folder has complete."""
    fingerprints = _planned_fingerprints(run_dir)
    same = {d.name: d for d in wanted if d.fingerprint == fingerprints.get(d.name, "")}
    result = _collected(run_dir) if same else None
    if result is None:
        return []
    files = RunFiles(run_dir)
    return [
        d.name
        for d in result.datasets
        if d.name in same
        # Beside other datasets a subset may be called otherwise.
        and tuple(subset.abbr for subset in d.subsets) == same[d.name].subsets
        and lacks(files, result.model_abbr, d) is None
    ]


def _planned_fingerprints(run_dir: Path) -> dict[str, str]:
    try:
        plan = json.loads(RunFiles(run_dir).plan.read_text(encoding="utf-8"))
        # Before this version a plan had none: an empty one is equal to nothing.
        named = {str(d["name"]): str(d.get("fingerprint") or "none") for d in plan["datasets"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return named


def _collected(run_dir: Path) -> Result | None:
    """The collected result of a run folder, where it is that of its plan."""
    files = RunFiles(run_dir)
    try:
        plan = json.loads(files.plan.read_text(encoding="utf-8"))
        result = read_result(files.summary)
        return result if result.fingerprint == plan["fingerprint"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _take_over(plan: Plan) -> None:
    taken = read_taken(plan.files)
    entries: dict[str, DatasetResult] = {}
    model, versions, hardware = taken.model, taken.versions, taken.hardware
    for planned in plan.reused:
        assert planned.earlier is not None
        if planned.earlier == plan.run_dir:
            kept = taken.dataset(planned)
            if kept is None:
                raise ValueError(f"{plan.files.reused} does not have {planned.name}")
            entries[planned.name] = kept
            continue
        result = read_result(RunFiles(planned.earlier).summary)
        entry = next(d for d in result.datasets if d.name == planned.name)
        _link_files(plan, planned.earlier, result.model_abbr, entry)
        entries[planned.name] = _as_reused(entry, planned.earlier)
        model, versions, hardware = result.model, result.versions, result.hardware
    _drop_links(plan, entries.values())
    if not entries:
        plan.files.reused.unlink(missing_ok=True)
        return
    fingerprints = {d.name: d.fingerprint for d in plan.reused}
    made = TakenOver(fingerprints, tuple(entries.values()), model, versions, hardware)
    write_atomically(plan.files.reused, json.dumps(to_json(made), ensure_ascii=False, indent=1))


def _as_reused(dataset: DatasetResult, run_dir: Path) -> DatasetResult:
    """A dataset's result in a run that took no time for it."""
    subsets = tuple(replace(subset, seconds=0.0) for subset in dataset.subsets)
    origin = dataset.reused_from or str(run_dir)
    return replace(dataset, subsets=subsets, seconds=0.0, reused_from=origin)


def _link_files(plan: Plan, run_dir: Path, model_abbr: str, dataset: DatasetResult) -> None:
    files = RunFiles(run_dir)
    theirs = evidence_files(files, model_abbr, dataset)
    ours = evidence_files(plan.files, plan.model_abbr, dataset)
    for (_, source), (_, target) in zip(theirs, ours, strict=True):
        _link(source, target)
    # The config that the stock command runs, which has the datasets that were evaluated there.
    for config in files.opencompass_config.parent.glob("*.py"):
        is_own = config == files.opencompass_config
        name = f"{run_dir.name}.py" if is_own else config.name
        _link(config, plan.files.opencompass_config.with_name(name))


def _link(source: Path, target: Path) -> None:
    """A hard link, or a copy where there can be none; ``target`` is whole or not there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    temporary.replace(target)
    # Of two links to one file POSIX renames neither.
    temporary.unlink(missing_ok=True)


def _drop_links(plan: Plan, taken: Iterable[DatasetResult]) -> None:
    """Removes what an interrupted taking over left of datasets that are evaluated after all.

    The evaluation would write through such a link into the folder that it came from.
    """
    kept = {
        path
        for dataset in taken
        for _, path in evidence_files(plan.files, plan.model_abbr, dataset)
    }
    places = (plan.files.predictions / plan.model_abbr, plan.files.results / plan.model_abbr)
    for folder in (*places, plan.files.samples("any").parent):
        for path in folder.glob("*.json*"):
            if path not in kept and path.stat().st_nlink > 1:
                path.unlink()
