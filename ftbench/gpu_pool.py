"""Leases on GPUs, machine-wide: no two evaluations share one by accident, whoever started them.

A lease is an flock on one file per GPU. The kernel gives it up when the last process with the open
file ends, however it ends: nothing is left to clean up after ``kill -9``. An evaluation program
that outlives its launcher keeps the lease, as it inherits the open files.

Knows GPUs by their names alone; which there are is for ``runtimes.gpus``.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ftbench.errors import LaunchError, Problem

LOCK_FOLDER = Path("/tmp/ftbench-gpus")
"""The same for every user and every TMPDIR of a machine; each reboot may empty it."""

_PAUSE_S = 1.0
"""How often a waiting job looks again, in seconds."""


@dataclass(frozen=True)
class Lease:
    """GPUs that are this job's until the block ends.

    Attributes:
        gpus: Their names.
        handles: Open file descriptors; a process that inherits them keeps the lease while it lives.
    """

    gpus: tuple[str, ...] = ()
    handles: tuple[int, ...] = ()


@contextmanager
def leased(
    gpus: Sequence[str], count: int, folder: Path, say: Callable[[str], None]
) -> Iterator[Lease]:
    """Waits for ``count`` of the GPUs and holds them: all at once or none, so that no two wait for
    each other. The first free ones are taken, in the order given.

    Args:
        gpus: Names to choose from, the same for every job of this machine, such as UUIDs.
        count: How many; 0 takes none.
        folder: Of the lock files, shared by everyone on this machine.
        say: Called with one line when there is something to wait for.

    Raises:
        LaunchError: There are fewer than ``count``, or the folder cannot be used.

    Side effects: creates the folder and a file per GPU, which stay.
    """
    if len(gpus) < count:
        happened = f"{count} are needed, and there are {len(gpus)}: {', '.join(gpus) or 'none'}"
        raise LaunchError(Problem("taking GPUs", happened))
    if not count:
        yield Lease()
        return
    with ExitStack() as stack:
        try:
            _make_folder(folder)
            lease = _try(gpus, count, folder, stack)
            if lease is None:
                say(f"waiting for {count} of the GPUs {', '.join(gpus)}: other evaluations run")
            while lease is None:
                time.sleep(_PAUSE_S)
                lease = _try(gpus, count, folder, stack)
        except OSError as exc:
            happened = exc.strerror or str(exc)
            cure = "export FTBENCH_GPU_LOCKS=DIR, the same for everyone on this machine"
            raise LaunchError(Problem(f"GPU locks in {folder}", happened, cure)) from exc
        yield lease


def _try(gpus: Sequence[str], count: int, folder: Path, stack: ExitStack) -> Lease | None:
    """Takes all that are needed, or none. One process tries at a time, so that two which need
    several do not hinder each other."""
    held: dict[str, int] = {}
    with ExitStack() as attempt:
        door = _open(folder / "door.lock")
        attempt.callback(os.close, door)
        fcntl.flock(door, fcntl.LOCK_EX)
        for gpu in gpus:
            handle = _lock(folder / (re.sub(r"[^\w-]", "_", gpu) + ".lock"))
            if handle is not None:
                attempt.callback(os.close, handle)
                held[gpu] = handle
            if len(held) == count:
                # A shared lock on the folder keeps systemd-tmpfiles from tidying it meanwhile.
                used = _open(folder)
                attempt.callback(os.close, used)
                fcntl.flock(used, fcntl.LOCK_SH)
                # The door is given up; the GPUs are kept until the caller's block ends.
                handles = (*held.values(), used)
                for handle in handles:
                    stack.callback(os.close, handle)
                attempt.pop_all()
                os.close(door)
                return Lease(tuple(held), handles)
    return None


def _lock(path: Path) -> int | None:
    """An open file with the lock on it; None when another process has it."""
    handle = _open(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who tidies /tmp may have removed the file: a lock on what is gone keeps nobody out.
        if os.path.samestat(os.fstat(handle), path.stat(follow_symlinks=False)):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _open(path: Path) -> int:
    """Opens a lock file, which may be another user's: flock needs no right to write."""
    # Together with O_CREAT the kernel refuses another user's file in a folder that all may write
    # to (fs.protected_regular).
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        pass
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    os.fchmod(handle, 0o644)
    return handle


def _make_folder(folder: Path) -> None:
    """A folder like /tmp: everyone makes files in it, and nobody removes another's."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        mode = folder.stat(follow_symlinks=False).st_mode
        if not stat.S_ISDIR(mode):
            raise NotADirectoryError(20, "it is a link or a file, and no folder") from None
        return
    folder.chmod(0o1777)
