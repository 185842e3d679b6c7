"""How a training ended: by its exit code, and by the weights that it wrote meanwhile."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from ftbench.errors import Problem, TrainingError
from ftbench.host import Host, command_line
from ftbench.logs import root_cause
from ftbench.process import Ended
from ftbench.quoting import quoted
from ftbench.runtimes.ending import EXIT_DEADLINE, count_memory_kills, judge_exit
from ftbench.training.job import Training
from ftbench.training.weights import Stamps, models_at, models_written, weights_in, written_between
from ftbench.training_command import without_training

_NUM_LAST_LINES = 15

_OTHER_EXPERIMENT = "does not match environment run ID"
"""MLflow 3.17, ``start_run``: the trainer had called ``set_experiment`` with another name."""


@dataclass(frozen=True)
class Before:
    """How things were when a training started.

    Attributes:
        weights: Those that lay in its output folder.
        models: Those that lay in and around it, for the message when none is written.
        started: Seconds since the epoch.
        memory_kills: As ``count_memory_kills`` counts.
    """

    weights: Stamps
    models: dict[Path, Stamps]
    started: float
    memory_kills: int


def look_before(training: Training) -> Before:
    """Notes how things are; to be called right before the start."""
    weights = weights_in(training.output, training.is_adapter)
    models = models_at(_places(training))
    return Before(weights, models, time.time(), count_memory_kills())


def _places(training: Training) -> list[Path]:
    """Where a training may have written instead, the likeliest first."""
    return list(dict.fromkeys([training.output, training.output.parent, training.cwd]))


def judge(training: Training, host: Host, ended: Ended, before: Before) -> None:
    """Raises what is wrong with a training that has ended.

    Raises:
        TrainingError: It failed, or wrote no weights.
    """
    written = written_between(before.weights, weights_in(training.output, training.is_adapter))
    if ended.exit_code or ended.timed_out:
        happened = _ending(training, ended, count_memory_kills() > before.memory_kills)
        cure = "mend it, and the same command trains again"
        if _OTHER_EXPERIMENT in (cause := root_cause(training.log)):
            cure = "the name that its set_experiment() has: tracking.experiment=NAME"
        elif written:
            command = _evaluating(host, training, training.output)
            cure += f"; what it wrote until then can be evaluated: {command}"
        if cause and not ended.timed_out:
            happened = f"{happened}: {cause}"
        code = None if ended.timed_out else ended.exit_code
        raise _failure(training, happened, cure, code)
    if not written:
        raise _failure(training, *_nothing_written(training, host, before), 0)


def _ending(training: Training, ended: Ended, memory_kill: bool) -> str:
    if ended.timed_out:
        return f"stopped after training.timeout={training.timeout_s} seconds"
    if ended.exit_code == EXIT_DEADLINE:
        return f"ended with exit code {EXIT_DEADLINE}"
    return judge_exit(ended.exit_code, 0, False, memory_kill)[1]


def _nothing_written(training: Training, host: Host, before: Before) -> tuple[str, str]:
    """What happened to a training that ended with 0 and wrote nothing where it is looked for."""
    happened = f"ended with exit code 0 and wrote no weights into {training.output}"
    if before.weights:
        happened += " (those that lie there are older)"
    written = models_written(before.models, _places(training))
    below = [folder for folder in written if training.output.resolve() in folder.parents]
    found = below or written
    if not found:
        kind = "an adapter" if training.is_adapter else "a model"
        cure = f"let it save {kind} into {training.named}, or {training.key}=DIR where it does"
        return happened, cure
    names = ", ".join(map(str, found[-5:]))
    happened += f"; it did write {names}"
    return happened, _evaluating(host, training, found[-1])


def _evaluating(host: Host, training: Training, folder: Path) -> str:
    """The command that evaluates a folder and trains nothing."""
    rest = [
        argument
        for argument in without_training(host.command)
        if not argument.startswith(f"{training.key}=")
    ]
    text = str(folder)
    is_plain = all(c.isalnum() or c in "/._-" for c in text)
    return command_line((*rest, f"{training.key}={text if is_plain else quoted(text)}"))


def _failure(training: Training, happened: str, cure: str, exit_code: int | None) -> TrainingError:
    problem = Problem(training.shown, happened, cure, str(training.log))
    return TrainingError(problem, _last_lines(training.log), exit_code)


def _last_lines(log: Path) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 64 * 1024))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    return [line for line in lines if line.strip()][-_NUM_LAST_LINES:]
