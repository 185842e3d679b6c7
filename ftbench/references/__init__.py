"""Finds the benchmark runs that people name: ids, names, pages, folders, base, best, sweeps.

Concrete runs are found first (``concrete``); ``best`` is chosen to fit them, and ``base`` to fit
all of these. Everything that cannot be found is said at once, with the closest names there are.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ftbench.comparison import Evaluated
from ftbench.comparison.choose import best_average, best_fitting, fitting_base, most_common
from ftbench.errors import ComparisonError, Problem
from ftbench.host import command_of_base
from ftbench.references.concrete import find_concrete, follow_folders
from ftbench.references.finder import (
    BASE,
    BEST,
    EVALUATIONS,
    MAX_LISTED,
    Finder,
    add_finder_options,
    make_finder,
    newest,
)
from ftbench.tracking.reading import load_runs
from ftbench.tracking.searching import Found

__all__ = ["Finder", "Named", "add_finder_options", "find_runs", "leaderboard", "make_finder"]

_MAX_CHOICE = 60
"""Runs among which ``base`` and ``best`` choose, the newest."""


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
    follow_folders(wanted, finder)
    found = find_concrete(wanted, finder)
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
    found = tracker.search(EVALUATIONS, ids)
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
    kept = newest(found)
    if len(kept) < len(found):
        finder.notes += [f"Of {len(found)} benchmark runs, the newest of each evaluation is shown."]
    runs = load_runs(tracker, kept, finder.notes)
    if not runs:
        raise ComparisonError(Problem(finder.uri, "no benchmark run can be read", finder.notes[-1]))
    group = most_common(runs)
    base = next((run for run in group if run.is_base), None)
    start = base or best_average(group)
    return Named(tuple(runs), runs.index(start), True, tuple(finder.notes))


def _find_best(finder: Finder, others: Sequence[Evaluated]) -> Evaluated:
    tracker = finder.tracker()
    where = f"{EVALUATIONS} AND metrics.`bench/avg` > -1000000"
    found = newest(tracker.search(where, finder.experiment_ids()))[:_MAX_CHOICE]
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
    where = f"{EVALUATIONS} AND params.adapter = 'base'"
    found = newest(tracker.search(where, finder.experiment_ids()))[:_MAX_CHOICE]
    candidates = load_runs(tracker, found, finder.notes)
    base = fitting_base(candidates, others)
    if base is not None:
        return base
    same = [run for run in candidates if any(run.has_base_of(other) for other in others)]
    happened = f"no benchmark run of {others[0].base_model} asks the same in the same setting"
    if same:
        happened += f" (there are: {', '.join(_told(run) for run in same[:MAX_LISTED])})"
    raise ComparisonError(Problem(BASE, happened, _base_command(others[0])))


def _told(run: Evaluated) -> str:
    names = ", ".join(d.name for d in run.result.datasets)
    return f"{run.short_key} {run.name} [{names}]"


def _base_command(run: Evaluated) -> str:
    """What evaluates the base model as a run's model was."""
    if not run.command:
        return f"python -m ftbench.run model.base={shlex.quote(run.base_model)}"
    return shlex.join(command_of_base(run.command, run.base_model))


def _baseline_index(runs: Sequence[Evaluated], chosen: Sequence[Evaluated]) -> int:
    if chosen:
        return next(i for i, run in enumerate(runs) if run.key == chosen[0].key)
    return next((i for i, run in enumerate(runs) if run.is_base), 0)


def _unique(runs: Iterable[Evaluated]) -> list[Evaluated]:
    return list({run.key: run for run in runs}.values())
