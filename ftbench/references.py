"""Finds the benchmark runs that people name: ids, names, pages, folders, base, best, sweeps.

Concrete runs are found first; ``best`` is chosen to fit them, and ``base`` to fit all of these.
Everything that cannot be found is said at once, with the closest names there are.
"""

from __future__ import annotations

import difflib
import re
import shlex
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ftbench.comparison import Evaluated
from ftbench.comparison.choose import best_average, best_fitting, fitting_base, most_common
from ftbench.errors import ComparisonError, Problem
from ftbench.plan import read_plan
from ftbench.schema import RunFiles
from ftbench.tracking.contents import SWEEP_TAG
from ftbench.tracking.environment import export_credentials
from ftbench.tracking.names import sqlite_path
from ftbench.tracking.reading import Found, Tracker, load_runs, open_tracker, read_folder
from ftbench.workspace import run_dirs

BASE = "base"
BEST = "best"
SWEEP = "sweep:"

_EVAL = "tags.`ftbench.kind` = 'eval'"
_PAGE = re.compile(r"(?P<root>https?://.*?)/?#?/experiments/\d+/runs/(?P<run>[0-9a-f]{8,32})\b")
_HEX = re.compile(r"[0-9a-f]{8,32}")
_RUN_SCHEME = "runs:/"
_MAX_CHOICE = 60
"""Runs among which ``base`` and ``best`` choose, the newest."""
_MAX_LISTED = 8
"""Candidates that an error lists."""


@dataclass(frozen=True)
class Named:
    """Runs as they were named.

    Attributes:
        runs: In the order of the names, each once.
        baseline: Index of the run that differences start from.
        is_leaderboard: No run was named; these are an experiment's.
        notes: What a reader should know of how they were found, one sentence each.
    """

    runs: tuple[Evaluated, ...]
    baseline: int
    is_leaderboard: bool = False
    notes: tuple[str, ...] = ()


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
            cure = _closest(wanted, experiments.values())
            happened = f"{self.uri} has no such experiment"
            raise ComparisonError(Problem(f"--experiment {wanted}", happened, cure))
        return found


def find_runs(names: Sequence[str], baseline: str | None, finder: Finder) -> Named:
    """Finds the runs of a comparison.

    Args:
        names: As people typed them; none: all benchmark runs of the experiment.
        baseline: The run that differences start from, as people typed it; None: the base model's
            run among them, else the first.
        finder: Where to look.

    Raises:
        ComparisonError: Names that lead to no run, or to several; all of them.
        ReadingError: The tracker cannot be asked.
    """
    if not names and baseline is None:
        return leaderboard(finder)
    wanted = [*names, *([baseline] if baseline is not None else [])]
    _follow_folders(wanted, finder)
    found = _find_concrete(wanted, finder)
    others = _unique(run for runs in found.values() for run in runs)
    if BEST in wanted:
        found[BEST] = [_find_best(finder, others)]
        others = _unique([*others, *found[BEST]])
    if BASE in wanted:
        found[BASE] = [_find_base(finder, others)]
    board = leaderboard(finder) if not names else None
    runs = _unique([*(board.runs if board else ()), *(r for name in wanted for r in found[name])])
    return Named(
        tuple(runs),
        _baseline_index(runs, found[baseline] if baseline is not None else []),
        is_leaderboard=board is not None,
        notes=tuple(finder.notes),
    )


def leaderboard(finder: Finder) -> Named:
    """All benchmark runs of the experiment, each evaluation once.

    The baseline is the base model's run among those that ask what most runs ask, else the best.

    Raises:
        ComparisonError: There is none, or several experiments have some and none was chosen.
    """
    tracker = finder.tracker()
    ids = finder.experiment_ids()
    found = tracker.search(_EVAL, ids)
    by_experiment: dict[str, list[Found]] = {}
    for run in found:
        by_experiment.setdefault(run.experiment_id, []).append(run)
    if not found:
        where = f"experiment {finder.experiment!r}" if finder.experiment else finder.uri
        cure = "python -m ftbench.run model.adapter=DIR, or python -m ftbench.record WORKSPACE"
        raise ComparisonError(Problem(where, "it has no benchmark runs yet", cure))
    if len(by_experiment) > 1:
        names = [
            f"{tracker.experiments[i]!r} ({len(runs)} runs)" for i, runs in by_experiment.items()
        ]
        happened = f"several experiments have benchmark runs: {', '.join(names)}"
        raise ComparisonError(Problem(finder.uri, happened, "--experiment NAME, or name the runs"))
    newest = _newest(found)
    if len(newest) < len(found):
        finder.notes += [f"Of {len(found)} benchmark runs, the newest of each evaluation is shown."]
    runs = load_runs(tracker, newest, finder.notes)
    if not runs:
        raise ComparisonError(Problem(finder.uri, "no benchmark run can be read", finder.notes[-1]))
    group = most_common(runs)
    base = next((run for run in group if run.is_base), None)
    start = base or best_average(group)
    return Named(tuple(runs), runs.index(start), True, tuple(finder.notes))


def _follow_folders(names: Iterable[str], finder: Finder) -> None:
    """Takes the tracker that named run folders were planned with, where no other one is there."""
    path = sqlite_path(finder.uri)
    if finder.is_given or path is None or path.exists():
        return
    for name in names:
        for folder in _folders(name, finder):
            if uri := read_plan(folder).tracking.uri:
                finder.uri = uri
                return


def _find_concrete(names: Sequence[str], finder: Finder) -> dict[str, list[Evaluated]]:
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
        return [run for run in tracker.search(_EVAL, ids) if text in (run.name, _adapter(run))]
    return tracker.search(f"attributes.run_name = {quoted}", ids) or tracker.search(
        f"{_EVAL} AND params.adapter = {quoted}", ids
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
        raise ComparisonError(_unknown(name, tracker, finder))
    evaluations = _newest([run for run in found if run.kind == "eval"])
    others = [run for run in found if run.kind != "eval"]
    if len(evaluations) > 1 or (not evaluations and len(others) > 1):
        raise ComparisonError(_ambiguous(name, evaluations or others))
    if evaluations:
        return load_runs(tracker, evaluations)
    (run,) = others
    if run.kind == "sweep":
        return _of_sweep(f"{SWEEP}{run.tags.get(SWEEP_TAG) or run.run_id}", tracker, finder)
    return _of_training(name, run, tracker)


def _of_training(name: str, run: Found, tracker: Tracker) -> list[Evaluated]:
    where = f"tags.`ftbench.train_run_id` = '{run.run_id}' AND {_EVAL}"
    found = sorted(_newest(tracker.search(where)), key=_by_step)
    if not found:
        happened = f"the run {run.name!r} is no benchmark run, and none evaluated what it trained"
        cure = f"python -m ftbench.run model.adapter=runs:/{run.run_id}"
        raise ComparisonError(Problem(name, happened, cure))
    return load_runs(tracker, found)


def _of_sweep(name: str, tracker: Tracker, finder: Finder) -> list[Evaluated]:
    sweep_id = name.removeprefix(SWEEP)
    quoted = _quoted(f"{sweep_id}%")
    found = tracker.search(f"tags.`{SWEEP_TAG}` LIKE {quoted} AND {_EVAL}") if sweep_id else []
    sweeps = sorted({run.tags[SWEEP_TAG] for run in found})
    if len(sweeps) > 1:
        happened = f"several sweeps begin so: {', '.join(sweeps[:_MAX_LISTED])}"
        raise ComparisonError(Problem(name, happened, "type more of its id"))
    if not found:
        runs = tracker.search(f"tags.`{SWEEP_TAG}` LIKE '%'", limit=100)
        known = list(dict.fromkeys(run.tags[SWEEP_TAG] for run in runs))[:_MAX_LISTED]
        cure = f"one of {', '.join(SWEEP + i for i in known)}" if known else "there are no sweeps"
        raise ComparisonError(Problem(name, "no benchmark run belongs to such a sweep", cure))
    # A job that failed before it had scores says so in the sweep's own table.
    return load_runs(tracker, sorted(_newest(found), key=lambda r: r.started_ms), finder.notes)


def _find_best(finder: Finder, others: Sequence[Evaluated]) -> Evaluated:
    tracker = finder.tracker()
    where = f"{_EVAL} AND metrics.`bench/avg` > -1000000"
    found = _newest(tracker.search(where, finder.experiment_ids()))[:_MAX_CHOICE]
    best = best_fitting(load_runs(tracker, found, finder.notes), others)
    if best is None:
        happened = f"of {len(found)} complete benchmark runs none can be compared with these"
        raise ComparisonError(Problem(BEST, happened, "name the run"))
    return best


def _find_base(finder: Finder, others: Sequence[Evaluated]) -> Evaluated:
    if not others:
        happened = "it means the base model of other runs, and no other run is named"
        raise ComparisonError(Problem(BASE, happened, "name a run beside it, or `best`"))
    if already := fitting_base(others, others):
        return already
    tracker = finder.tracker()
    where = f"{_EVAL} AND params.adapter = 'base'"
    found = _newest(tracker.search(where, finder.experiment_ids()))[:_MAX_CHOICE]
    candidates = load_runs(tracker, found, finder.notes)
    base = fitting_base(candidates, others)
    if base is not None:
        return base
    same = [run for run in candidates if any(run.has_base_of(other) for other in others)]
    happened = f"no benchmark run of {others[0].base_model} asks the same in the same setting"
    if same:
        happened += f" (there are: {', '.join(_told(run) for run in same[:_MAX_LISTED])})"
    raise ComparisonError(Problem(BASE, happened, _base_command(others[0])))


def _told(run: Evaluated) -> str:
    names = ", ".join(d.name for d in run.result.datasets)
    return f"{run.short_key} {run.name} [{names}]"


def _base_command(run: Evaluated) -> str:
    """What evaluates the base model as a run's model was."""
    if not run.command:
        return f"python -m ftbench.run model.base={shlex.quote(run.base_model)}"
    own = ("model.adapter=", "workspace=", "tracking.training_run_id=", "tracking.step=")
    kept = [a for a in run.command if not a.startswith(own) and not a.startswith("model.base=")]
    return shlex.join([*kept, f"model.base={run.base_model}"])


def _baseline_index(runs: Sequence[Evaluated], chosen: Sequence[Evaluated]) -> int:
    if chosen:
        return next(i for i, run in enumerate(runs) if run.key == chosen[0].key)
    return next((i for i, run in enumerate(runs) if run.is_base), 0)


def _newest(found: Sequence[Found]) -> list[Found]:
    """Of each evaluation the newest; ``found`` is sorted so."""
    by_fingerprint: dict[str, Found] = {}
    for run in found:
        by_fingerprint.setdefault(run.fingerprint, run)
    return list(by_fingerprint.values())


def _unique(runs: Iterable[Evaluated]) -> list[Evaluated]:
    return list({run.key: run for run in runs}.values())


def _by_step(run: Found) -> tuple[int, int]:
    step = run.params.get("step", "")
    return (int(step) if step.isdigit() else 0, run.started_ms)


def _adapter(run: Found) -> str:
    return run.params.get("adapter", "")


def _unknown(name: str, tracker: Tracker, finder: Finder) -> Problem:
    runs = tracker.search(_EVAL, finder.experiment_ids(), limit=200)
    names = dict.fromkeys([*(run.name for run in runs), *map(_adapter, runs), BASE, BEST])
    where = (
        f"experiment {finder.experiment!r} of {tracker.uri}" if finder.experiment else tracker.uri
    )
    happened = f"no run, adapter or folder is called so (looked in {where})"
    return Problem(name, happened, _closest(name, names))


def _closest(name: str, names: Iterable[str]) -> str:
    candidates = [candidate for candidate in names if candidate]
    by_fold = {candidate.casefold(): candidate for candidate in candidates}
    close = difflib.get_close_matches(name.casefold(), by_fold, n=_MAX_LISTED, cutoff=0.5)
    inside = [fold for fold in by_fold if name.casefold() in fold and fold not in close]
    listed = [by_fold[fold] for fold in (*close, *inside)] or candidates
    return "one of: " + ", ".join(listed[:_MAX_LISTED]) if listed else ""


def _ambiguous(name: str, found: Sequence[Found]) -> Problem:
    listed = ", ".join(
        f"{run.run_id[:12]} ({run.name}, {_date(run.started_ms)})" for run in found[:_MAX_LISTED]
    )
    return Problem(name, f"{len(found)} runs are called so: {listed}", "name one by its id")


def _date(started_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(started_ms / 1000))
