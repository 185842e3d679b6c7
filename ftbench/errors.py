"""Every error that ftbench raises, and the exit code that each one carries.

Foreign errors (Docker, MLflow, file system) are translated once, at the wall where they arise.

    FtbenchError
    ├── ConfigError          2   the configuration; all problems at once
    ├── ComparisonError      2   runs that are not there, or cannot be compared; all at once
    ├── ReproductionError    2   an evaluation that is not there, or did not keep what repeats it
    ├── LaunchError          3   nothing ran
    │   ├── DataError            data of a dataset that could not be brought
    │   ├── PreflightError       adapter, model, data, engine or tracker; all problems at once
    │   ├── EngineError          no container engine answers, or it refuses us
    │   ├── ImageError           the image is missing, foreign or cannot be built
    │   └── RuntimeEnvironmentError  the local runtime's environment cannot be built
    ├── ContainerError       4   the evaluation process started and did not end well
    │   └── OutOfMemory          its memory limit, or the kernel, killed it
    ├── ResultError          5   results missing, unreadable or incomplete
    ├── TrackingError        6   the scores are safe on disk, the tracker did not take them
    │   └── ReadingError         the tracker does not give what it should hold
    └── TrainingError        7   the training command failed, or wrote nothing to evaluate
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

EXIT_OK = 0
EXIT_CONFIG = 2
EXIT_LAUNCH = 3
EXIT_CONTAINER = 4
EXIT_RESULT = 5
EXIT_TRACKING = 6
EXIT_TRAINING = 7
EXIT_BREACH = 8
"""The gate: a limit is broken. No error: everything was evaluated and recorded."""
EXIT_INCONCLUSIVE = 9
"""The gate: what was asked cannot be decided from these scores."""
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, in the words a user needs.

    Attributes:
        tried: What ftbench looked at or tried, such as ``model.adapter=/out``.
        happened: What it found there.
        cure: What to type or change next; empty when there is nothing to add.
        log: A file with more, or an empty string.
    """

    tried: str
    happened: str
    cure: str = ""
    log: str = ""

    def __str__(self) -> str:
        lines = [f"{self.tried}: {self.happened}"]
        if self.log:
            lines.append(f"  log: {self.log}")
        if self.cure:
            lines.append(f"  try: {self.cure}")
        return "\n".join(lines)


class FtbenchError(Exception):
    """Base of all ftbench errors.

    Args:
        problems: One problem, or all that were found; the message lists each.
    """

    exit_code = 1
    title = "ftbench failed"

    def __init__(self, problems: Problem | Sequence[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__(self._message())

    def _message(self) -> str:
        if len(self.problems) == 1:
            return f"{self.title}\n{self.problems[0]}"
        listed = "\n".join(f"{i}. {problem}" for i, problem in enumerate(self.problems, 1))
        return f"{self.title}: {len(self.problems)} problems\n{listed}"


class ConfigError(FtbenchError):
    """The configuration cannot be used."""

    exit_code = EXIT_CONFIG
    title = "The configuration cannot be used"


class ComparisonError(FtbenchError):
    """Runs that shall be compared are not there, or are not what they were said to be."""

    exit_code = EXIT_CONFIG
    title = "The runs cannot be compared"


class ReproductionError(FtbenchError):
    """An evaluation that shall be repeated is not there, or did not keep what it was asked with."""

    exit_code = EXIT_CONFIG
    title = "The evaluation cannot be repeated"


class LaunchError(FtbenchError):
    """The evaluation could not be started; no accelerator time was spent."""

    exit_code = EXIT_LAUNCH
    title = "The evaluation could not be started"


class PreflightError(LaunchError):
    """A check before the launch failed."""

    title = "Preflight stopped the run before anything was started"


class DataError(LaunchError):
    """Data of a dataset is not on this machine and could not be brought."""

    title = "Not all data could be brought"


class EngineError(LaunchError):
    """No container engine answers, or it refused the request."""

    title = "The container engine cannot be used"


class ImageError(LaunchError):
    """The evaluation image is missing, foreign, or cannot be built."""

    title = "The evaluation image cannot be used"


class RuntimeEnvironmentError(LaunchError):
    """The local runtime's isolated environment cannot be built."""

    title = "The local evaluation environment cannot be built"


class ContainerError(FtbenchError):
    """The evaluation process started and did not end well."""

    exit_code = EXIT_CONTAINER
    title = "The evaluation process did not end well"


class OutOfMemory(ContainerError):
    """The evaluation process was killed for its memory."""

    title = "The evaluation process ran out of memory"


class ResultError(FtbenchError):
    """The results are missing, unreadable or incomplete."""

    exit_code = EXIT_RESULT
    title = "The results are not complete"


class TrackingError(FtbenchError):
    """The tracker did not take the scores; they are safe in the workspace."""

    exit_code = EXIT_TRACKING
    title = "The scores are safe on disk but were not recorded"


class ReadingError(TrackingError):
    """The tracker does not give what it should hold."""

    title = "The tracker could not be read"


class TrainingError(FtbenchError):
    """The training command did not end well, or left nothing new to evaluate.

    Args:
        problem: What happened.
        last_lines: The end of what it printed.
        command_exit_code: The command's own; None when it never ran or was stopped.
    """

    exit_code = EXIT_TRAINING
    title = "The training failed, so nothing was evaluated"

    def __init__(
        self,
        problem: Problem,
        last_lines: Sequence[str] = (),
        command_exit_code: int | None = None,
    ) -> None:
        self.last_lines = tuple(last_lines)
        self.command_exit_code = command_exit_code
        super().__init__(problem)

    def _message(self) -> str:
        lines = [super()._message()]
        if self.last_lines:
            lines += ["  its last lines:", *(f"  | {line}" for line in self.last_lines)]
        return "\n".join(lines)
