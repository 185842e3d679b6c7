"""Where runs are looked for, and what is said when they are not there."""

from __future__ import annotations

import argparse
import difflib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ftbench.errors import ComparisonError, Problem
from ftbench.host import read_host
from ftbench.tracking.environment import export_credentials
from ftbench.tracking.searching import Found, Tracker, open_tracker

EVALUATIONS = "tags.`ftbench.kind` = 'eval'"
"""MLflow's filter of benchmark runs."""
BASE = "base"
BEST = "best"
MAX_LISTED = 8
"""Candidates that an error lists."""


@dataclass
class Finder:
    """Where runs are looked for.

    Attributes:
        uri: Tracking URI without credentials, a sqlite path absolute.
        experiment: Name or id of the experiment to look in; None: in all.
        cwd: Folder that relative paths start from.
        is_given: Somebody said which tracker it is: no other one is tried.
        notes: Grows as runs are found.
    """

    uri: str
    experiment: str | None
    cwd: Path
    is_given: bool = False
    notes: list[str] = field(default_factory=list)
    _trackers: dict[str, Tracker] = field(default_factory=dict)

    def tracker(self, uri: str = "") -> Tracker:
        """The tracker, opened once.

        Raises:
            ReadingError: It cannot be asked.
        """
        uri = uri or self.uri
        if uri not in self._trackers:
            self._trackers[uri] = open_tracker(uri)
        return self._trackers[uri]

    def opened(self) -> tuple[Tracker, ...]:
        """The trackers that were asked so far."""
        return tuple(self._trackers.values())

    def experiment_ids(self) -> list[str]:
        """Ids of the experiments to look in; empty: all.

        Raises:
            ComparisonError: There is no experiment of the name that was given.
        """
        if self.experiment is None:
            return []
        experiments = self.tracker().experiments
        wanted = self.experiment
        found = [i for i, name in experiments.items() if name == wanted]
        found = found or [i for i in experiments if i == wanted]
        if not found:
            cure = closest(wanted, experiments.values())
            happened = f"{self.uri} has no such experiment"
            raise ComparisonError(Problem(f"--experiment {wanted}", happened, cure))
        return found


def add_finder_options(parser: argparse.ArgumentParser) -> None:
    """Gives a command line the options of ``make_finder``: where runs are looked for."""
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="tracking server or sqlite URI; default: MLFLOW_TRACKING_URI, else "
        "sqlite:///mlflow.db here",
    )
    parser.add_argument("--experiment", metavar="NAME", help="where names are looked for")


def make_finder(tracking_uri: str | None, experiment: str | None) -> Finder:
    """A finder for a command line, in this process's own surroundings.

    Args:
        tracking_uri: As given, with credentials or without; None: MLFLOW_TRACKING_URI, else
            ``sqlite:///mlflow.db`` here.
        experiment: Where names are looked for; None: in all.

    Side effects: credentials in a URI go into MLflow's own environment variables.
    """
    host = read_host()
    given = tracking_uri or host.tracking_uri
    if given:
        export_credentials(given)
    return Finder(
        uri=host.tracking_store(tracking_uri),
        experiment=experiment,
        cwd=host.cwd,
        is_given=given is not None,
    )


def newest(found: Sequence[Found]) -> list[Found]:
    """Of each evaluation the newest; ``found`` is sorted so."""
    by_fingerprint: dict[str, Found] = {}
    for run in found:
        by_fingerprint.setdefault(run.fingerprint, run)
    return list(by_fingerprint.values())


def adapter_of(run: Found) -> str:
    """What people call a run's adapter; ``base`` where there is none."""
    return run.params.get("adapter", "")


def unknown(name: str, tracker: Tracker, finder: Finder) -> Problem:
    """The problem of a name that no run has, with the closest names there are."""
    runs = tracker.search(EVALUATIONS, finder.experiment_ids(), limit=200)
    names = dict.fromkeys([*(run.name for run in runs), *map(adapter_of, runs), BASE, BEST])
    where = (
        f"experiment {finder.experiment!r} of {tracker.uri}" if finder.experiment else tracker.uri
    )
    happened = f"no run, adapter or folder is called so (looked in {where})"
    return Problem(name, happened, closest(name, names))


def closest(name: str, names: Iterable[str]) -> str:
    """A cure that lists the names closest to one, or some of all; empty where there is none."""
    candidates = [candidate for candidate in names if candidate]
    by_fold = {candidate.casefold(): candidate for candidate in candidates}
    close = difflib.get_close_matches(name.casefold(), by_fold, n=MAX_LISTED, cutoff=0.5)
    inside = [fold for fold in by_fold if name.casefold() in fold and fold not in close]
    listed = [by_fold[fold] for fold in (*close, *inside)] or candidates
    return "one of: " + ", ".join(listed[:MAX_LISTED]) if listed else ""


def ambiguous(name: str, found: Sequence[Found]) -> Problem:
    """The problem of a name that several runs have, with their ids."""
    listed = ", ".join(
        f"{run.run_id[:12]} ({run.name}, {_date(run.started_ms)})" for run in found[:MAX_LISTED]
    )
    return Problem(name, f"{len(found)} runs are called so: {listed}", "name one by its id")


def _date(started_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(started_ms / 1000))
