"""The evaluation that is to be repeated, as its run folder or MLflow kept it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftbench.errors import ComparisonError, FtbenchError, Problem, ReproductionError
from ftbench.plan import Plan, read_plan
from ftbench.provenance import read_provenance
from ftbench.references import Finder, find_runs
from ftbench.schema import DatasetResult, Result, RunFiles, iterate_samples, read_result
from ftbench.tracking.recorded_run import Answer, bring_answers, bring_run
from ftbench.tracking.searching import Tracker


@dataclass(frozen=True)
class Original:
    """An evaluation that was done.

    Attributes:
        plan: With the run folder where its files lie now.
        provenance: Content of ``provenance.json``; empty where it has none.
        run_id: Its benchmark run; empty when it is not known to be recorded.
        tracker: That holds this run; None where it was named by its folder.
        experiment: Name of the run's experiment; empty without a tracker.
        folder: Its run folder on this machine, with its answers; None where that is gone.
    """

    plan: Plan
    result: Result
    provenance: Mapping[str, Any]
    run_id: str
    tracker: Tracker | None
    experiment: str
    folder: Path | None

    @property
    def name(self) -> str:
        """What the repetition is tagged with."""
        return self.run_id or str(self.plan.run_dir)

    def answers(self, dataset: DatasetResult) -> Iterator[Answer]:
        """The model's raw answers of a dataset; none where they were not kept."""
        if self.folder is not None:
            yield from answers_in(RunFiles(self.folder), dataset)
        elif self.tracker is not None:
            yield from bring_answers(self.tracker, self.run_id, dataset)


def answers_in(files: RunFiles, dataset: DatasetResult) -> Iterator[Answer]:
    """The model's raw answers of a dataset in a run folder."""
    for subset in dataset.subsets:
        for sample in iterate_samples(files.samples(subset.abbr)):
            yield sample.subset, sample.index, sample.repeat, sample.prediction


def find_original(name: str, finder: Finder, scratch: Path) -> Original:
    """Finds an evaluation as people name it.

    Args:
        name: A benchmark run's id, name or page, a run folder or workspace.
        finder: Where to look.
        scratch: An empty folder, for what a tracker gives.

    Raises:
        ReproductionError: It leads to no evaluation, to several, or to one that did not keep what
            it was asked with.
        ReadingError: The tracker cannot be asked.
    """
    try:
        found = find_runs([name], None, finder).runs
    except ComparisonError as exc:
        raise ReproductionError(exc.problems) from exc
    if len(found) != 1:
        happened = f"it names {len(found)} evaluations"
        listed = ", ".join(run.short_key for run in found[:8])
        raise ReproductionError(Problem(name, happened, f"name one of them: {listed}"))
    key = found[0].key
    original = _of_folder(Path(key)) if "/" in key else _of_run(key, finder, scratch)
    if not original.plan.settings:
        happened = "it was planned by an ftbench that did not keep its settings"
        raise ReproductionError(Problem(name, happened, _by_hand(original.plan)))
    return original


def _of_folder(run_dir: Path) -> Original:
    plan = dataclasses.replace(read_plan(run_dir), run_dir=run_dir)
    files = RunFiles(run_dir)
    return Original(
        plan=plan,
        result=_result(files),
        provenance=read_provenance(files),
        run_id=recorded_id(files),
        tracker=None,
        experiment="",
        folder=run_dir,
    )


def _of_run(run_id: str, finder: Finder, scratch: Path) -> Original:
    tracker = next(t for t in finder.opened() if t.search(f"attributes.run_id = '{run_id}'"))
    experiment, run_dir = bring_run(tracker, run_id, scratch)
    plan, files = read_plan(scratch), RunFiles(scratch)
    return Original(
        plan=dataclasses.replace(plan, run_dir=Path(run_dir) if run_dir else plan.run_dir),
        result=_result(files),
        provenance=read_provenance(files),
        run_id=run_id,
        tracker=tracker,
        experiment=experiment,
        folder=_same_folder(Path(run_dir), plan) if run_dir else None,
    )


def _result(files: RunFiles) -> Result:
    try:
        return read_result(files.summary)
    except (OSError, ValueError) as exc:
        raise ReproductionError(Problem(str(files.summary), str(exc))) from exc


def _same_folder(run_dir: Path, plan: Plan) -> Path | None:
    """The run folder on this machine, where it still is that of the plan."""
    try:
        there = read_plan(run_dir)
    except (FtbenchError, OSError):
        return None
    is_same = there.fingerprint == plan.fingerprint and there.run_dir.name == plan.run_dir.name
    return run_dir if is_same else None


def recorded_id(files: RunFiles) -> str:
    """The benchmark run that a run folder was recorded as; empty when it was not."""
    try:
        return str(json.loads(files.receipt.read_text(encoding="utf-8"))["recorded"]["run_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _by_hand(plan: Plan) -> str:
    from ftbench.host import command_line

    return f"{command_line(plan.command)} reuse=never" if plan.command else ""
