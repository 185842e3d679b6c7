"""The one shape that every runtime has, and what a finished launch says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ftbench.errors import Problem
from ftbench.plan import Plan

FINISHED = "finished"
TIMED_OUT = "timeout"
INTERRUPTED = "interrupted"
OUT_OF_MEMORY = "out_of_memory"
STOPPED_OUTSIDE = "stopped_outside"
CRASHED = "crashed"


@dataclass(frozen=True)
class Launch:
    """How the evaluation process ended. Scores are judged by the result, never by this alone.

    Attributes:
        ending: One of the constants above.
        exit_code: Of the process; None when it never ran.
        message: What happened, one line; empty when it finished.
        seconds: Wall time of the process.
        identity: Facts to record, such as image digest and container id, by name.
    """

    ending: str
    exit_code: int | None = None
    message: str = ""
    seconds: float = 0.0
    identity: dict[str, str] = field(default_factory=dict)


class Runtime(Protocol):
    """A place where the evaluation program can run."""

    def check(self, plan: Plan) -> list[Problem]:
        """Says what would keep the plan from being launched; starts nothing."""

    def prepare(self, plan: Plan, on_line: Callable[[str], None]) -> None:
        """Brings what a launch would have to bring first, so that nothing is missing later.

        Args:
            plan: What is to be launched, after ``check`` found nothing.
            on_line: Called with each line of what is brought.

        Raises:
            LaunchError: It cannot be brought.
        """

    def describe(self, plan: Plan) -> list[str]:
        """The equivalent command line of ``launch``, for ``dry_run``; one argument each."""

    def launch(self, plan: Plan, on_line: Callable[[str], None]) -> Launch:
        """Runs the plan to its end, its timeout, or a stop.

        Args:
            plan: What to run.
            on_line: Called with each line that the program prints, as it comes.

        Raises:
            LaunchError: Nothing could be started.

        Side effects: writes ``plan.files.launch_log``; the evaluation program fills the run folder.
            KeyboardInterrupt and SIGTERM stop the program before they propagate.
        """
