"""A model's program in a process of its own, and the test that speaks with it from outside.

The test of a benchmark runs in a process that the program cannot touch: only arguments and results
cross, as plain values. So a program can answer a call wrongly, or not at all, but it has nothing to
forge a verdict with: the comparison is not made where it lives.

``Program`` is the test's side. The other side ends with its process.
"""

from __future__ import annotations

import builtins
import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ftbench_eval.plain_values import decode, encode
from ftbench_eval.program_process import be_alone, prepare_untrusted, serve_questions
from ftbench_eval.sandbox import MIB, ProgramLimits

_LONGEST_ANSWER = 64 * MIB

# A benchmark takes these away from its own process before it runs a program (reliability_guard).
_fork, _kill, _waitpid, _exit, _mkdir = os.fork, os.kill, os.waitpid, os._exit, os.mkdir


class OutOfTime(Exception):
    """The program took longer than it may."""


class ProgramDied(Exception):
    """The program's process ended before it answered."""


class Remote:
    """Something in the program that is no plain value: a function, a class, an object.

    It can be called and handed back; it equals only itself, whatever its own ``__eq__`` says.
    """

    def __init__(self, program: Program, number: int, text: str) -> None:
        self._program = program
        self._number = number
        self._text = text

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._program.call(self, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        return self._program.attribute(self, name)

    def __str__(self) -> str:
        return self._text


class Program:
    """The test's side of one program.

    Args:
        folder: Empty folder for the program.
        limits: What it may use.
        address_space: Bytes that this process has.
        deadline: ``time.monotonic()`` at which it is out of time; None: the caller watches.
        give_input: The benchmark's own way to call a function with standard input: called with
            the function and the text.
    """

    def __init__(
        self,
        folder: Path,
        limits: ProgramLimits,
        address_space: int,
        deadline: float | None = None,
        give_input: Callable[[Any, str], Any] | None = None,
    ) -> None:
        self._folder, self._limits, self._address_space = folder, limits, address_space
        self._give_input = give_input
        self.deadline = deadline
        self._loaded: tuple[Any, ...] | None = None
        self._in_doubt = False
        self._starts = 0
        self._pid, self._ask, self._answer = 0, -1, -1
        self._buffer = bytearray()
        self._start()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the program's process."""
        if self._pid:
            with contextlib.suppress(OSError):
                _kill(self._pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                _waitpid(self._pid, 0)
            os.close(self._ask)
            os.close(self._answer)
            self._pid = 0

    def load(self, source: str, module: str = "", filename: str = "<string>") -> None:
        """Runs a program's text; its names can be asked for afterwards.

        Args:
            source: Python.
            module: What it sees as ``__name__``; empty: it runs in a bare namespace.

        Raises:
            OutOfTime: It took too long.
            ProgramDied: It ended its process.
            BaseException: What it raised, as the built-in exception next to it.
        """
        self._loaded = ("load", source, module, filename)
        self._request(*self._loaded)

    def names(self, wanted: Iterable[str]) -> dict[str, Any]:
        """What the program binds these names to; absent ones are left out."""
        found = self._request("names", sorted(wanted))
        return dict(found)

    def call(
        self, function: Remote, args: Sequence[Any], kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Calls a function of the program; changes that it makes to a list, dict or set arrive."""
        result, after = self._request("call", function, list(args), kwargs or {})
        for before, now in zip(args, after, strict=False):
            _take_over(before, now)
        return result

    def attribute(self, owner: Remote, name: str) -> Any:
        """An attribute of something in the program."""
        return self._request("attribute", owner, name)

    def call_with_input(self, function: Remote, text: str) -> str:
        """Calls a function of the program with text as standard input.

        Returns:
            What it printed.
        """
        return str(self._request("input", function, text))

    # The process.

    def _start(self) -> None:
        self._starts += 1
        folder = self._folder / str(self._starts)
        _mkdir(folder, 0o700)
        child_reads, self._ask = os.pipe()
        self._answer, child_writes = os.pipe()
        self._buffer.clear()
        parent = os.getpid()
        self._pid = _fork()
        if not self._pid:
            try:
                be_alone((child_reads, child_writes), parent)
                prepare_untrusted(folder, self._limits, self._address_space)
                serve_questions(child_reads, child_writes, self._give_input)
            finally:
                _exit(1)
        os.close(child_reads)
        os.close(child_writes)
        self._in_doubt = False

    def _restart(self) -> None:
        self.close()
        self._start()
        if self._loaded:
            self._exchange(*self._loaded)

    def _request(self, *request: Any) -> Any:
        if self._in_doubt or not self._pid:
            self._restart()
        return self._exchange(*request)

    def _exchange(self, *request: Any) -> Any:
        # An alarm of the benchmark's may end the wait; an answer that comes later is not for the
        # next question.
        self._in_doubt = True
        line = encode(list(request), self._number_of).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):
            self._write(line)
        answer = self._read_line()
        self._in_doubt = False
        try:
            kind, *rest = decode(answer, lambda number, text: Remote(self, number, text))
        except ValueError as exc:
            raise ProgramDied(f"the program's answer is unusable: {exc}") from exc
        if kind == "value" and len(rest) == 1:
            return rest[0]
        if kind == "raised" and len(rest) == 2:
            raise_as(str(rest[0]), str(rest[1]))
        raise ProgramDied("the program's answer is unusable")

    def _number_of(self, value: Any) -> int:
        if isinstance(value, Remote):
            return value._number
        name = getattr(value, "__name__", "")
        if name and getattr(builtins, name, None) is value:
            # Below zero: something that both sides have.
            return -1 - sorted(vars(builtins)).index(name)
        raise TypeError(f"a test cannot hand a {type(value).__name__} to a program")

    def _remaining(self) -> float | None:
        if self.deadline is None:
            return None
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise OutOfTime
        return remaining

    def _write(self, line: bytes) -> None:
        os.set_blocking(self._ask, False)
        view = memoryview(line)
        while view:
            if not select.select([], [self._ask], [], self._remaining())[1]:
                raise OutOfTime
            view = view[os.write(self._ask, view[: 1 << 16]) :]

    def _read_line(self) -> str:
        while True:
            end = self._buffer.find(b"\n")
            if end >= 0:
                line = self._buffer[:end].decode("utf-8", "replace")
                del self._buffer[: end + 1]
                return line
            if len(self._buffer) > _LONGEST_ANSWER:
                raise ProgramDied("the program's answer is too long")
            if not select.select([self._answer], [], [], self._remaining())[0]:
                raise OutOfTime
            part = os.read(self._answer, 1 << 20)
            if not part:
                raise ProgramDied(self._how_it_ended())
            self._buffer += part

    def _how_it_ended(self) -> str:
        # It may have closed its end and live on.
        for _ in range(20):
            pid, status = _waitpid(self._pid, os.WNOHANG)
            if pid:
                break
            time.sleep(0.01)
        else:
            _kill(self._pid, signal.SIGKILL)
            _, status = _waitpid(self._pid, 0)
        self._pid = 0
        os.close(self._ask)
        os.close(self._answer)
        code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGKILL:
            return "the program was killed at a limit"
        if code < 0:
            return f"the program was killed by {signal.Signals(-code).name}"
        return f"the program ended its process with exit code {code}"


def _take_over(before: Any, now: Any) -> None:
    if type(before) is not type(now):
        return
    if isinstance(before, list):
        before[:] = now
    elif isinstance(before, (dict, set)):
        before.clear()
        before.update(now)


def raise_as(kind: str, message: str) -> NoReturn:
    """Raises the built-in exception of that name, or one that only looks like it."""
    cls = getattr(builtins, kind, None)
    if not (isinstance(cls, type) and issubclass(cls, BaseException)):
        cls = type(kind, (Exception,), {})
    if issubclass(cls, (SystemExit, KeyboardInterrupt, GeneratorExit)):
        cls = type(kind, (Exception,), {})
    # As it was printed over there: a KeyError would put quotes around its message again.
    shown = {"__str__": lambda self: message, "__init__": lambda self, *_: None}
    raise type(cls.__name__, (cls,), shown)(message)
