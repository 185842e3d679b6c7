"""A sweep on disk: what was asked for, how each job ended, and the table of all of them.

    <sweep folder>/sweep.json           what the sweep is (``Sweep``)
    <sweep folder>/<number>/job.json    how one job is doing (``Job``), rewritten at its end
    <sweep folder>/summary.md, .json    the table, best first

Jobs may run in any process on any machine that shares the folder: whoever looks at a sweep, its own
driver too, knows of its jobs by these files alone. Nothing here knows Hydra or MLflow.
"""

from __future__ import annotations

from ftbench.sweep.jobs import (
    FAILED,
    KILLED,
    NOT_STARTED,
    OK,
    RUNNING,
    Job,
    Sweep,
    exit_code,
    held,
    is_base_of_others,
    is_sweep,
    read_job,
    read_jobs,
    read_sweep,
    write_job,
    write_sweep,
)
from ftbench.sweep.report import job_line, markdown, print_summary, summary_json, write_summary
from ftbench.sweep.table import Row, Table, make_table

__all__ = [
    "FAILED",
    "KILLED",
    "NOT_STARTED",
    "OK",
    "RUNNING",
    "Job",
    "Row",
    "Sweep",
    "Table",
    "exit_code",
    "held",
    "is_base_of_others",
    "is_sweep",
    "job_line",
    "make_table",
    "markdown",
    "print_summary",
    "read_job",
    "read_jobs",
    "read_sweep",
    "summary_json",
    "write_job",
    "write_summary",
    "write_sweep",
]
