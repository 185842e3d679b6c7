"""What an exit code says about how the evaluation program ended."""

from __future__ import annotations

import signal
from pathlib import Path

from ftbench.runtimes.base import CRASHED, FINISHED, OUT_OF_MEMORY, STOPPED_OUTSIDE, TIMED_OUT

EXIT_DEADLINE = 124
"""The program's own code when it stopped itself after TIMEOUT_S, as the ``timeout`` command's."""


def judge_exit(
    exit_code: int, timeout_s: int, stopped_at_deadline: bool, memory_kill: bool
) -> tuple[str, str]:
    """Names the ending of a process that this launcher did not interrupt.

    Args:
        exit_code: As a shell counts: 128 + the signal's number when a signal ended it.
        timeout_s: The deadline, for the message.
        stopped_at_deadline: The launcher stopped it at its deadline.
        memory_kill: The kernel killed a process for its memory meanwhile.

    Returns:
        One of the endings of ``base`` and one line; an empty line when it simply finished.
    """
    if stopped_at_deadline or exit_code == EXIT_DEADLINE:
        return TIMED_OUT, f"stopped after timeout={timeout_s} seconds"
    if exit_code == 0:
        # A scoring process may have been killed and done again: the result says what is missing.
        return FINISHED, "a process was killed for its memory" if memory_kill else ""
    if memory_kill:
        return OUT_OF_MEMORY, f"killed for its memory (exit code {exit_code})"
    if exit_code == 128 + signal.SIGTERM:
        return STOPPED_OUTSIDE, "stopped from outside (SIGTERM), not by this launcher"
    if exit_code == 128 + signal.SIGKILL:
        return CRASHED, "killed from outside (SIGKILL); memory of the machine may have run out"
    if exit_code > 128 and exit_code - 128 in set(signal.Signals):
        return CRASHED, f"ended by {signal.Signals(exit_code - 128).name} (exit code {exit_code})"
    return CRASHED, f"ended with exit code {exit_code}"


def count_memory_kills() -> int:
    """Processes that this machine's kernel killed for memory since it started; 0 when unknown."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
