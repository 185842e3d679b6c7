"""Records what is on disk: ``python -m ftbench.record WORKSPACE_OR_RUN_OR_SWEEP_DIR``.

Needs no GPU and no engine. It is the way on when a tracker was away, when an evaluation ran with
tracking=none, or when scores shall go to a second tracker. Recording twice changes nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from ftbench.against import record_baseline
from ftbench.errors import EXIT_OK, EXIT_TRACKING, FtbenchError, Problem, ResultError
from ftbench.plan import Plan, read_plan
from ftbench.schema import Result, RunFiles, read_result
from ftbench.sweep import OK, Job, is_sweep, read_jobs, read_sweep, write_job
from ftbench.sweep_driver import record_again, recorded_lines
from ftbench.tracking import Recorded, export_credentials, record
from ftbench.workspace import run_dirs


def main(arguments: Sequence[str] | None = None) -> int:
    """Records one run folder, or all of a workspace.

    Returns:
        0, or the exit code of the first failure; the other folders are recorded all the same.
    """
    options = _parser().parse_args(arguments)
    uri = export_credentials(options.tracking_uri) if options.tracking_uri else None
    if is_sweep(options.folder.absolute()):
        return _record_sweep(options.folder.absolute(), uri)
    folders = run_dirs(options.folder.absolute())
    if not folders:
        return _fail(ResultError(_nothing_in(options.folder)))
    exit_code = EXIT_OK
    for folder in folders:
        try:
            _print_recorded(folder, record_folder(folder, uri, options.training_run_id))
        except FtbenchError as error:
            exit_code = exit_code or _fail(error)
    return exit_code


def record_folder(
    run_dir: Path, tracking_uri: str | None = None, training_run_id: str | None = None
) -> Recorded:
    """Records one run folder from its plan and its summary.

    Args:
        run_dir: ``<workspace>/benchmark_results/<timestamp>``, wherever it lies now.
        tracking_uri: Instead of the planned one; without credentials.
        training_run_id: Instead of the planned one.

    Raises:
        ResultError: There is no plan or no collected result.
        TrackingError: The tracker did not take it.
    """
    plan = dataclasses.replace(read_plan(run_dir), run_dir=run_dir)
    tracking = plan.tracking
    if tracking_uri:
        # Ids of one tracker mean nothing in another.
        kept = tracking.training_run_id if tracking.uri == tracking_uri else None
        tracking = dataclasses.replace(
            tracking, kind="mlflow", uri=tracking_uri, training_run_id=kept
        )
    if training_run_id:
        tracking = dataclasses.replace(tracking, training_run_id=training_run_id)
    plan = dataclasses.replace(plan, tracking=tracking)
    recorded = record(plan, _read_summary(plan))
    notes = record_baseline(plan, recorded)
    return dataclasses.replace(recorded, notes=(*recorded.notes, *notes))


def _record_sweep(folder: Path, uri: str | None) -> int:
    """Records the jobs of a sweep that are not, then the sweep itself."""
    exit_code = EXIT_OK
    jobs = []
    try:
        for job in read_jobs(read_sweep(folder)):
            try:
                jobs.append(_record_job(folder, job, uri))
            except FtbenchError as error:
                exit_code = exit_code or _fail(error)
                jobs.append(job)
        recorded = record_again(folder, jobs, uri)
    except FtbenchError as error:
        return exit_code or _fail(error)
    print(f"Recorded {folder}", *recorded_lines(recorded), sep="\n  ")
    return exit_code


def _record_job(folder: Path, job: Job, uri: str | None) -> Job:
    """The job with its benchmark run, which is made where it has none in this tracker."""
    run_dir = Path(job.run_dir)
    if not job.run_dir or not RunFiles(run_dir).summary.is_file() or (job.run_id and not uri):
        return job
    recorded = record_folder(run_dir, uri)
    _print_recorded(run_dir, recorded)
    job = dataclasses.replace(
        job,
        run_id=recorded.run_id,
        experiment_id=recorded.experiment_id,
        run_url=recorded.run_url,
    )
    if job.exit_code == EXIT_TRACKING:
        job = dataclasses.replace(job, status=OK, exit_code=EXIT_OK, error="")
    if not uri:
        write_job(folder, job)
    return job


def _read_summary(plan: Plan) -> Result:
    path = RunFiles(plan.run_dir).summary
    try:
        return read_result(path)
    except (OSError, ValueError) as exc:
        happened = "it is not there" if isinstance(exc, FileNotFoundError) else str(exc)
        cure = "run the evaluation again: it goes on where it stopped"
        raise ResultError(Problem(f"reading {path}", happened, cure)) from exc


def _print_recorded(folder: Path, recorded: Recorded) -> None:
    print(f"Recorded {folder}")
    if recorded.open_with:
        print(f"  open with:      {recorded.open_with}")
    print(f"  benchmark run:  {recorded.run_url}")
    print(f"  leaderboard:    {recorded.view_url}")
    print(f"  charts:         {recorded.charts_url}")
    if recorded.training_run_id:
        print(f"  with training:  {recorded.training_view_url}")
    for note in recorded.notes:
        print(f"  note:           {note}")


def _nothing_in(folder: Path) -> Problem:
    return Problem(
        f"recording {folder}",
        "it is neither a run folder, a workspace with one, nor a sweep's folder",
        "give the folder that ftbench.run printed as its report's place",
    )


def _fail(error: FtbenchError) -> int:
    print(error, file=sys.stderr)
    return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ftbench.record",
        description="Records finished evaluations in MLflow. Recording twice changes nothing.",
    )
    parser.add_argument(
        "folder",
        type=Path,
        help="a workspace, one run folder below its benchmark_results/, or a sweep's folder",
    )
    parser.add_argument(
        "--tracking-uri", help="another tracking server or sqlite URI than the planned one"
    )
    parser.add_argument(
        "--training-run-id", help="the MLflow run that trained the adapter, if not the planned one"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
