"""Imports OpenCompass, once, and forks the process that scoring processes are forked from.

Importing takes 7 to 10 processor seconds, and two processes need it: the one that infers and the
fork server. So this process imports while it has one thread, no secret and no GPU, and then forks;
what it has done until then is all that scoring ever sees of it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import socket
import sys
import traceback
from collections.abc import Iterator, MutableMapping, Sequence
from multiprocessing import connection, forkserver, util
from pathlib import Path
from typing import Any, NoReturn

from ftbench.schema import SECRET_NAMES

MODULES = (
    "opencompass.tasks",
    "opencompass.datasets",
    "opencompass.openicl.icl_evaluator",
    "ftbench_eval.scoring_child",
)
"""What scoring needs, and inference nearly."""

_WHILE_IMPORTING = {
    # Read once, when a library is loaded. Scoring computes with one thread; torch is told anew.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # Some libraries ask for GPUs when they are imported; torch then counts them without CUDA.
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
}

_OF_SCORING = {
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def without_secrets(environ: MutableMapping[str, str]) -> None:
    """Begins this program again where it was started with secrets among its variables.

    Every child could read them in /proc: a process keeps the variables that it began with.

    Side effects: removes them; may replace the process, under the same id.
    """
    found = [name for name in SECRET_NAMES if environ.pop(name, None) is not None]
    if found:
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, sys.orig_argv, dict(environ))


def start_fork_server(environ: MutableMapping[str, str], modules: Sequence[str] = MODULES) -> None:
    """Imports OpenCompass and forks the fork server, which scoring processes come from.

    To be called before this process has a thread, reads a secret or touches a GPU.

    Args:
        environ: ``os.environ``; as it was, afterwards.
        modules: What to import.

    Raises:
        ImportError: OpenCompass, or what it needs, is not there or does not fit.

    Side effects: imports; starts a process. Torch computes with OMP_NUM_THREADS threads from now.
    """
    hidden = {name: environ.pop(name) for name in SECRET_NAMES if name in environ}
    try:
        with _set(environ, _WHILE_IMPORTING):
            _import(modules)
        # Should it ever end, multiprocessing starts one of its own, which imports this.
        forkserver.set_forkserver_preload(list(modules))
        _fork(environ)
    finally:
        environ.update(hidden)
    _compute_with(environ.get("OMP_NUM_THREADS"))


def _import(modules: Sequence[str]) -> None:
    # What is imported stays: looking for garbage among it costs 7 % of the time, and later, in
    # every scoring process, would copy the pages that it shares with the others.
    gc.disable()
    try:
        for name in modules:
            importlib.import_module(name)
    finally:
        gc.freeze()
        gc.enable()


def _fork(environ: MutableMapping[str, str]) -> None:
    """What ``multiprocessing.forkserver.ensure_running`` does, without a new interpreter.

    Source: CPython 3.11 and 3.12, Lib/multiprocessing/forkserver.py.
    """
    server: Any = forkserver._forkserver
    alive_r, alive_w = os.pipe()
    with socket.socket(socket.AF_UNIX) as listener:
        address = connection.arbitrary_address("AF_UNIX")
        listener.bind(address)
        if not util.is_abstract_socket_namespace(address):
            Path(address).chmod(0o600)
        listener.listen()
        pid = os.fork()
        if pid == 0:
            _serve(listener.fileno(), alive_r, environ)
    os.close(alive_r)
    server._forkserver_address = address
    # Its other end reports the end of whoever holds this one: us, and each scoring process.
    server._forkserver_alive_fd = alive_w
    server._forkserver_pid = pid


def _serve(listener: int, alive: int, environ: MutableMapping[str, str]) -> NoReturn:
    """Never returns. What the parent has open stays its own: a pipe, a GPU that was counted."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _close_all_but({0, 1, 2, listener, alive})
        environ.update(_OF_SCORING)
        forkserver.main(listener, alive, [])
    except SystemExit:
        code = 0
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(code)


def _close_all_but(kept: set[int]) -> None:
    # multiprocessing.util.close_all_fds_except closes all of them on Python 3.11.7.
    for descriptor in {int(path.name) for path in Path("/proc/self/fd").iterdir()} - kept:
        with contextlib.suppress(OSError):  # the listing's own
            os.close(descriptor)


def _compute_with(threads: str | None) -> None:
    if "torch" not in sys.modules:
        return
    import torch

    number = int(threads) if threads and threads.isdigit() else len(os.sched_getaffinity(0))
    torch.set_num_threads(number)


@contextlib.contextmanager
def _set(environ: MutableMapping[str, str], values: dict[str, str]) -> Iterator[None]:
    before = {name: environ.get(name) for name in values}
    environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                environ.pop(name, None)
            else:
                environ[name] = value
