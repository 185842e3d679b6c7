"""Runs that are named one by one: ids, names, pages, folders, sweeps, training runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ftbench.comparison import Evaluated
from ftbench.errors import ComparisonError, Problem
from ftbench.plan import read_plan
from ftbench.references.finder import (
    BASE,
    BEST,
    EVALUATIONS,
    MAX_LISTED,
    Finder,
    adapter_of,
    ambiguous,
    newest,
    unknown,
)
from ftbench.schema import RunFiles
from ftbench.tracking.contents import SWEEP_TAG
from ftbench.tracking.environment import export_credentials
from ftbench.tracking.names import sqlite_path
from ftbench.tracking.reading import load_runs, read_folder
from ftbench.tracking.searching import Found, Tracker
from ftbench.workspace import run_dirs

SWEEP = "sweep:"

_PAGE = re.compile(r"(?P<root>https?://.*?)/?#?/experiments/\d+/runs/(?P<run>[0-9a-f]{8,32})\b")
_HEX = re.compile(r"[0-9a-f]{8,32}")
_RUN_SCHEME = "runs:/"


def follow_folders(names: Iterable[str], finder: Finder) -> None:
    """Takes the tracker that named run folders were planned with, where no other one is there.

    Raises:
        ResultError: A folder's plan cannot be read.
    """
    path = sqlite_path(finder.uri)
    if finder.is_given or path is None or path.exists():
        return
    for name in names:
        for folder in _folders(name, finder):
            if uri := read_plan(folder).tracking.uri:
                finder.uri = uri
                return


def find_concrete(names: Sequence[str], finder: Finder) -> dict[str, list[Evaluated]]:
    """The runs of every name but ``base`` and ``best``.

    Raises:
        ComparisonError: Names that lead to no run, or to several; all of them.
        ReadingError: The tracker cannot be asked.
    """
    found: dict[str, list[Evaluated]] = {}
    problems: list[Problem] = []
    for name in dict.fromkeys(names):
        if name in (BASE, BEST):
            continue
        try:
            found[name] = _find(name, finder)
        except ComparisonError as error:
            problems += error.problems
    if problems:
        raise ComparisonError(problems)
    return found


def _find(name: str, finder: Finder) -> list[Evaluated]:
    if folders := _folders(name, finder):
        return [_of_folders(name, folders, finder)]
    if page := _PAGE.search(name):
        tracker = _tracker_of_page(page["root"], page["run"], finder)
        return _of_runs(name, tracker, _by_id(tracker, page["run"]), finder)
    tracker = finder.tracker()
    if name.startswith(SWEEP):
        return _of_sweep(name, tracker, finder)
    return _of_runs(name, tracker, _by_text(name, tracker, finder), finder)


def _folders(name: str, finder: Finder) -> list[Path]:
    path = finder.cwd / Path(name).expanduser()
    return run_dirs(path.resolve()) if path.is_dir() else []


def _of_folders(name: str, folders: Sequence[Path], finder: Finder) -> Evaluated:
    """The run folder, or the newest of a workspace that has scores."""
    scored = [folder for folder in folders if RunFiles(folder).summary.is_file()]
    chosen = (scored or folders)[-1]
    if len(folders) > 1:
        finder.notes += [f"{name} has {len(folders)} run folders; {chosen.name} is the newest."]
    return read_folder(chosen)


def _tracker_of_page(root: str, run_id: str, finder: Finder) -> Tracker:
    """The tracker that has the run of a page: the chosen one, else the page's own server.

    A page of a database has the address that ``mlflow ui`` would have, and no server need be there.
    """
    path = sqlite_path(finder.uri)
    if finder.is_given or (path is not None and path.exists()):
        tracker = finder.tracker()
        if finder.is_given or _by_id(tracker, run_id):
            return tracker
    return finder.tracker(export_credentials(root))


def _by_id(tracker: Tracker, beginning: str) -> list[Found]:
    return tracker.search(f"attributes.run_id LIKE '{beginning}%'")


def _by_text(name: str, tracker: Tracker, finder: Finder) -> list[Found]:
    """Runs of an id, else of a name, else of an adapter."""
    text = name.removeprefix(_RUN_SCHEME)
    if _HEX.fullmatch(text) and (found := _by_id(tracker, text)):
        return found
    ids = finder.experiment_ids()
    quoted = _quoted(text)
    if quoted is None:
        # MLflow's filter has no way to write a text with both kinds of quotes.
        return [
            run for run in tracker.search(EVALUATIONS, ids) if text in (run.name, adapter_of(run))
        ]
    return tracker.search(f"attributes.run_name = {quoted}", ids) or tracker.search(
        f"{EVALUATIONS} AND params.adapter = {quoted}", ids
    )


def _quoted(text: str) -> str | None:
    if "'" not in text:
        return f"'{text}'"
    return f'"{text}"' if '"' not in text else None


def _of_runs(
    name: str, tracker: Tracker, found: Sequence[Found], finder: Finder
) -> list[Evaluated]:
    """The benchmark runs that the found ones are, or lead to."""
    if not found:
        raise ComparisonError(unknown(name, tracker, finder))
    evaluations = newest([run for run in found if run.kind == "eval"])
    others = [run for run in found if run.kind != "eval"]
    if len(evaluations) > 1 or (not evaluations and len(others) > 1):
        raise ComparisonError(ambiguous(name, evaluations or others))
    if evaluations:
        return load_runs(tracker, evaluations)
    (run,) = others
    if run.kind == "sweep":
        return _of_sweep(f"{SWEEP}{run.tags.get(SWEEP_TAG) or run.run_id}", tracker, finder)
    return _of_training(name, run, tracker)


def _of_training(name: str, run: Found, tracker: Tracker) -> list[Evaluated]:
    where = f"tags.`ftbench.train_run_id` = '{run.run_id}' AND {EVALUATIONS}"
    found = sorted(newest(tracker.search(where)), key=_by_step)
    if not found:
        happened = f"the run {run.name!r} is no benchmark run, and none evaluated what it trained"
        cure = f"python -m ftbench.run model.adapter=runs:/{run.run_id}"
        raise ComparisonError(Problem(name, happened, cure))
    return load_runs(tracker, found)


def _of_sweep(name: str, tracker: Tracker, finder: Finder) -> list[Evaluated]:
    sweep_id = name.removeprefix(SWEEP)
    # What is done once may be a job of several sweeps, whose ids stand side by side.
    quoted = _quoted(f"%{sweep_id}%")
    where = f"tags.`{SWEEP_TAG}` LIKE {quoted} AND {EVALUATIONS}"
    found = tracker.search(where) if sweep_id and quoted else []
    # An underscore stands for any character in MLflow's filter.
    found = [run for run in found if _sweeps_of(run, sweep_id)]
    sweeps = sorted({own for run in found for own in _sweeps_of(run, sweep_id)})
    if len(sweeps) > 1:
        happened = f"several sweeps begin so: {', '.join(sweeps[:MAX_LISTED])}"
        raise ComparisonError(Problem(name, happened, "type more of its id"))
    if not found:
        runs = tracker.search(f"tags.`{SWEEP_TAG}` LIKE '%'", limit=100)
        known = list(dict.fromkeys(own for run in runs for own in _sweeps_of(run)))[:MAX_LISTED]
        cure = f"one of {', '.join(SWEEP + i for i in known)}" if known else "there are no sweeps"
        raise ComparisonError(Problem(name, "no benchmark run belongs to such a sweep", cure))
    # A job that failed before it had scores says so in the sweep's own table.
    return load_runs(tracker, sorted(newest(found), key=lambda r: r.started_ms), finder.notes)


def _sweeps_of(run: Found, begin: str = "") -> list[str]:
    return [own for own in run.tags[SWEEP_TAG].split() if own.startswith(begin)]


def _by_step(run: Found) -> tuple[int, int]:
    step = run.params.get("step", "")
    return (int(step) if step.isdigit() else 0, run.started_ms)
