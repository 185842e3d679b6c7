"""Lists of adapters for a sweep: ``glob(...)``, ``query(...)`` and ``checkpoints(...)``.

    -m 'model.adapter=null,glob(runs/*/checkpoint-*)'
    -m 'model.adapter=query(sft, "metrics.loss < 1", order_by="metrics.loss", limit=3)'
    -m 'model.adapter=checkpoints(RUN_ID_OR_FOLDER)'

They are replaced by what they find before Hydra sees the command line: Hydra's own ``glob`` knows
options of groups only, and in place of a folder it runs no job and calls that a success. A value
that has none of these functions in it is left exactly as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

from ftbench.checkpoint import holds_adapter, holds_model, list_checkpoints, natural_key
from ftbench.errors import ConfigError, FtbenchError, Problem
from ftbench.list_functions import (
    FUNCTION,
    Call,
    Misread,
    check_arguments,
    read_call,
    split,
    usage,
    whole_number,
)
from ftbench.quoting import quoted
from ftbench.tracking import find_trained, get_trained

KEYS = ("model.adapter", "model.base")

_RUN_ID = re.compile(r"[0-9a-f]{32}")

_MAX_NAMED = 5
"""Folders that one message names."""


@dataclass(frozen=True)
class Expanded:
    """A command line without functions.

    Attributes:
        arguments: The settings, as Hydra takes them.
        notes: What was found and what was left out, one sentence each.
        problems: Functions that cannot be read or found nothing; they are not in ``arguments``.
    """

    arguments: tuple[str, ...]
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class _Found:
    """What a function came to: values for the key, and what it leaves out and why."""

    values: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def expand_lists(
    arguments: Sequence[str], is_sweep: bool, cwd: Path, tracking_uri: Callable[[], str]
) -> Expanded:
    """Replaces the functions of ``model.adapter=`` and ``model.base=`` by what they find.

    Args:
        arguments: Settings as on the command line.
        is_sweep: Several values may be given; otherwise finding several is a problem.
        cwd: Where relative paths start; what is found below it stays relative.
        tracking_uri: Asked for the tracker where a function needs one.
    """
    kept: list[str] = []
    notes: list[str] = []
    problems: list[Problem] = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        parts = list(split(value)) if key.lstrip("+") in KEYS and equals else []
        if not any(map(FUNCTION.fullmatch, parts)):
            kept.append(argument)
            continue
        look = _Look(key.lstrip("+"), cwd, tracking_uri)
        try:
            values = _values(parts, look, notes)
        except Misread as exc:
            problems.append(Problem(argument, str(exc), usage(parts)))
        except FtbenchError as exc:
            problems += exc.problems
        else:
            if len(values) > 1 and not is_sweep:
                problems.append(_no_sweep(argument, values))
            else:
                kept.append(f"{key}={','.join(values)}")
    return Expanded(tuple(kept), tuple(notes), tuple(problems))


def _values(parts: Sequence[str], look: _Look, notes: list[str]) -> list[str]:
    values: dict[str, None] = {}
    for part in parts:
        if not (match := FUNCTION.fullmatch(part)):
            values[part] = None
            continue
        call = read_call(match)
        found = getattr(look, call.name)(call)
        # A folder that was named before is not evaluated twice.
        values |= dict.fromkeys(map(quoted, found.values))
        count = _count(len(found.values), look.noun)
        notes.append(f"{look.key}={call.text}: {count}: {_some(found.values)}")
        if found.left_out:
            notes.append(f"{look.key}={call.text}: left out: {_some(found.left_out, '; ')}")
    return list(values)


@dataclass(frozen=True)
class _Look:
    """Looks for the adapters, or full models, of one key."""

    key: str
    cwd: Path
    tracking_uri: Callable[[], str]

    @property
    def noun(self) -> str:
        return "adapter" if self.key == "model.adapter" else "model"

    def glob(self, call: Call) -> _Found:
        """Folders that match, in natural order, and hold what the key takes."""
        check_arguments(call, values=range(1, 100))
        folders: dict[Path, None] = {}
        for pattern in call.values:
            folders |= dict.fromkeys(self._matching(pattern))
        if not folders:
            tried = " or ".join(call.values)
            raise ConfigError(
                Problem(
                    f"{self.key}={call.text}",
                    f"no folder matches {tried}"
                    + ("" if Path(call.values[0]).is_absolute() else f" in {self.cwd}"),
                    "put the pattern in quotes, such as 'model.adapter=glob(runs/*/checkpoint-*)'",
                )
            )
        return self._holding(call, list(folders))

    def checkpoints(self, call: Call) -> _Found:
        """Checkpoints of a folder, or of the training run that MLflow knows by its id."""
        check_arguments(call, values=range(1, 2))
        named = call.values[0]
        run_id = named.removeprefix("runs:/")
        folder = self.cwd / Path(named).expanduser()
        if folder.is_dir() or (run_id == named and not _RUN_ID.fullmatch(named)):
            if not folder.is_dir():
                happened = "there is no such folder, and it is no run's id"
                raise ConfigError(
                    Problem(f"{self.key}={call.text}", happened, "checkpoints(FOLDER_OR_RUN_ID)")
                )
            shown = Path(named).expanduser()
            found = list_checkpoints(folder)
            return self._holding(call, [shown / path.name for path in found], f"{folder} holds no")
        trained = get_trained(self.tracking_uri(), run_id)
        output = trained.output
        found = list_checkpoints(output) if output else []
        if not found:
            happened = f"the run {trained.name} has no checkpoint on this machine"
            why = trained.why_not or (f"{output} holds none" if output else "no output folder")
            raise ConfigError(
                Problem(
                    f"{self.key}={call.text}", f"{happened}: {why}", f"{self.key}=runs:/{run_id}"
                )
            )
        return _Found(tuple(f"runs:/{run_id}/{path.name}" for path in found))

    def query(self, call: Call) -> _Found:
        """Finished training runs of an experiment that have what the key takes."""
        check_arguments(call, values=range(1, 3), options=("order_by", "limit"))
        experiment, where = (*call.values, "")[:2]
        limit = whole_number(call.options.get("limit"))
        uri = self.tracking_uri()
        runs = find_trained(uri, experiment, where, call.options.get("order_by", ""))
        usable = [run for run in runs if not run.why_not]
        left_out = tuple(f"{run.name} ({run.run_id}): {run.why_not}" for run in runs if run.why_not)
        if not usable:
            happened = f"experiment {experiment!r} has no finished training run"
            happened += f" where {where}" if where else ""
            if left_out:
                happened = f"none of the training runs found has its weights: {_some(left_out)}"
            raise ConfigError(
                Problem(f"{self.key}={call.text}", happened, f"look into {uri}, or another filter")
            )
        return _Found(tuple(f"runs:/{run.run_id}" for run in usable[:limit]), left_out)

    def _matching(self, pattern: str) -> Iterator[Path]:
        path = Path(pattern).expanduser()
        if not has_magic(str(path)):
            matches = [str(path)] if (self.cwd / path).exists() else []
        else:
            # Path.glob takes no absolute pattern.
            matches = glob(str(path), root_dir=self.cwd, recursive=True)  # noqa: PTH207
        for match in sorted(map(Path, matches), key=natural_key):
            if (self.cwd / match).is_dir():
                yield match

    def _holding(self, call: Call, folders: list[Path], none: str = "") -> _Found:
        """Those folders that hold what the key takes; what is missing in the others."""
        good, left_out = [], []
        for folder in folders:
            why = self._why_not(self.cwd / folder)
            if why:
                left_out.append(f"{folder} ({why})")
            else:
                good.append(str(folder))
        if not good:
            happened = f"{none} {self.noun} in a checkpoint" if none else ""
            if left_out:
                happened = (
                    f"no folder that matches holds {self._article()}: {_some(left_out, '; ')}"
                )
            raise ConfigError(Problem(f"{self.key}={call.text}", happened))
        return _Found(tuple(good), tuple(left_out))

    def _article(self) -> str:
        return "an adapter" if self.noun == "adapter" else "a model"

    def _why_not(self, folder: Path) -> str:
        """What keeps a folder from being a value of the key; empty when nothing does."""
        if self.noun == "adapter":
            if holds_adapter(folder):
                return ""
            if holds_model(folder):
                return "a full model: say model.base="
        elif holds_model(folder) and not holds_adapter(folder):
            return ""
        elif holds_adapter(folder):
            return "an adapter: say model.adapter="
        below = len(list_checkpoints(folder))
        return (
            f"no weights of its own, but {_count(below, 'checkpoint')}" if below else "no weights"
        )


def _no_sweep(argument: str, values: Sequence[str]) -> Problem:
    shown = _some([value.strip('"') for value in values])
    happened = f"finds {len(values)} values, and one run takes one: {shown}"
    return Problem(argument, happened, "python -m ftbench.run -m ... evaluates each of them")


def _some(names: Sequence[str], between: str = ", ") -> str:
    shown = between.join(names[:_MAX_NAMED])
    more = len(names) - _MAX_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
