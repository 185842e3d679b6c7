"""Everything that can be known to be wrong before the launch, all at once."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from ftbench import tracking
from ftbench.choosing import Chosen
from ftbench.errors import PreflightError, Problem, TrackingError
from ftbench.model_source import ModelSource
from ftbench.plan import Plan
from ftbench.runtimes.base import Runtime
from ftbench.sidecar import read_sidecar
from ftbench.workspace import check_writable

_LEAST_FREE_BYTES = 1 << 30
"""Predictions, logs and samples of a large suite fit well into this."""


def preflight(
    plan: Plan,
    source: ModelSource,
    chosen: Chosen,
    runtime: Runtime,
    judge_problems: Sequence[Problem] = (),
    trains_first: bool = False,
) -> None:
    """Checks adapter, model, data, workspace, engine and tracker.

    Args:
        plan: What is to be launched.
        source: The model.
        chosen: The datasets.
        runtime: What launches.
        judge_problems: What is wrong with the judge, and with services outside.
        trains_first: The training run is still to be trained, whatever became of it before.

    Raises:
        PreflightError: Listing everything that is wrong.
    """
    problems = [*source.problems, *chosen.problems, *judge_problems]
    problems += check_writable(plan.run_dir) or _check_space(plan)
    problems += runtime.check(plan)
    # A run that is refused anyway leaves no new database behind.
    problems += _check_tracking(plan, not problems, trains_first)
    if problems:
        raise PreflightError(problems)


def _check_space(plan: Plan) -> list[Problem]:
    existing = next(p for p in (plan.run_dir, *plan.run_dir.parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if free >= _LEAST_FREE_BYTES:
        return []
    return [
        Problem(
            f"workspace {plan.workspace}",
            f"only {free / 2**20:.0f} MiB are free there, 1024 MiB are needed",
            "free some space, or choose another folder with workspace=DIR",
        )
    ]


def _wrote_the_model(plan: Plan, run_id: str) -> bool:
    """Whether these weights are known as that run's, such as a checkpoint before its failure."""
    folder = plan.model.adapter or plan.model.base_folder
    sidecar = read_sidecar(folder) if folder else None
    return sidecar is not None and sidecar.run_id == run_id


def _check_tracking(plan: Plan, may_create: bool, trains_first: bool) -> list[Problem]:
    if plan.tracking.kind == "none":
        return []
    problems = tracking.check(plan.tracking, may_create)
    run_id = plan.tracking.training_run_id
    if problems or not run_id or trains_first:
        return problems
    try:
        status = tracking.training_status(plan.tracking)
    except TrackingError as exc:
        return list(exc.problems)
    if status == "FAILED" and not _wrote_the_model(plan, run_id):
        problems = [
            Problem(
                f"tracking.training_run_id={run_id}",
                "that training run has FAILED, so there is nothing to evaluate",
                "train again, or leave tracking.training_run_id out to evaluate what it left",
            )
        ]
    return problems
