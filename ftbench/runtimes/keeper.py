"""Keeps the GPUs of a container leased while it runs, also when its launcher is killed.

A container is the engine's child: it does not inherit the launcher's open files, as a local program
does. A small process beside the launcher inherits them and waits for the container's end.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping

from ftbench.engine import connect, engine_errors
from ftbench.errors import FtbenchError
from ftbench.gpu_pool import Lease


@contextlib.contextmanager
def kept(container_id: str, lease: Lease, environ: Mapping[str, str]) -> Iterator[None]:
    """Holds a lease for as long as the block or the container lasts, whichever is longer.

    Args:
        container_id: A container that was started.
        lease: Without GPUs there is nothing to do.
        environ: Environment variables, which say where the engine is.

    Side effects: a process of its own session while the block runs.
    """
    if not lease.gpus:
        yield
        return
    keeper = subprocess.Popen(
        [sys.executable, "-m", "ftbench.runtimes.keeper", container_id],
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=lease.handles,
    )
    try:
        yield
    finally:
        keeper.kill()
        keeper.wait()


def _wait(container_id: str) -> None:
    # A container that is gone, or whose engine is, uses no GPU.
    with contextlib.suppress(FtbenchError), engine_errors("waiting for a container"):
        connect(os.environ).api.wait(container_id, timeout=None)


if __name__ == "__main__":
    _wait(sys.argv[1])
