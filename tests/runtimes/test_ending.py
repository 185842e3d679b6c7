"""What an exit code is taken for."""

import pytest

from ftbench.runtimes import ending
from ftbench.runtimes.base import CRASHED, FINISHED, OUT_OF_MEMORY, STOPPED_OUTSIDE, TIMED_OUT
from ftbench.runtimes.ending import judge_exit

VMSTAT = "pgfault 812\noom_kill_other 9\noom_kill 3\nunevictable_pgs_culled 0\n"

STOPPED = "stopped after timeout=60 seconds"


@pytest.mark.parametrize(
    ("exit_code", "stopped_at_deadline", "memory_kill", "expected"),
    [
        (0, False, False, (FINISHED, "")),
        (0, False, True, (FINISHED, "a process was killed for its memory")),
        # The launcher's stop explains the exit code, whatever it is.
        (0, True, False, (TIMED_OUT, STOPPED)),
        (143, True, False, (TIMED_OUT, STOPPED)),
        (137, True, True, (TIMED_OUT, STOPPED)),
        # The program's own deadline.
        (124, False, False, (TIMED_OUT, STOPPED)),
        (137, False, True, (OUT_OF_MEMORY, "killed for its memory (exit code 137)")),
        (1, False, True, (OUT_OF_MEMORY, "killed for its memory (exit code 1)")),
        (
            143,
            False,
            False,
            (STOPPED_OUTSIDE, "stopped from outside (SIGTERM), not by this launcher"),
        ),
        (
            137,
            False,
            False,
            (CRASHED, "killed from outside (SIGKILL); memory of the machine may have run out"),
        ),
        (139, False, False, (CRASHED, "ended by SIGSEGV (exit code 139)")),
        (134, False, False, (CRASHED, "ended by SIGABRT (exit code 134)")),
        (130, False, False, (CRASHED, "ended by SIGINT (exit code 130)")),
        (1, False, False, (CRASHED, "ended with exit code 1")),
        (127, False, False, (CRASHED, "ended with exit code 127")),
        # 128 and 255 are no signals.
        (128, False, False, (CRASHED, "ended with exit code 128")),
        (255, False, False, (CRASHED, "ended with exit code 255")),
    ],
)
def test_judge_exit_names_the_ending(exit_code, stopped_at_deadline, memory_kill, expected):
    assert judge_exit(exit_code, 60, stopped_at_deadline, memory_kill) == expected


def test_count_memory_kills_reads_the_kernels_counter(tmp_path, monkeypatch):
    vmstat = tmp_path / "vmstat"
    vmstat.write_text(VMSTAT)
    monkeypatch.setattr(ending, "Path", {"/proc/vmstat": vmstat}.__getitem__)
    assert ending.count_memory_kills() == 3


@pytest.mark.parametrize("content", [None, "pgfault 812\n"])
def test_count_memory_kills_is_zero_where_the_kernel_does_not_count(tmp_path, monkeypatch, content):
    vmstat = tmp_path / "vmstat"
    if content is not None:
        vmstat.write_text(content)
    monkeypatch.setattr(ending, "Path", {"/proc/vmstat": vmstat}.__getitem__)
    assert ending.count_memory_kills() == 0
