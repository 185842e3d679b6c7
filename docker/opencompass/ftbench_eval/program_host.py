"""Starts a confined process for each test and each answer, at a scoring process's request.

The host is forked from the scoring process before that one reads any sample, so that a program
finds nothing of other samples in its memory, and it is confined before it hears the first request.
For each request it forks a *test process*, which forks the program before it learns the test. It
ends what takes too long or fills its folder.

    scoring process --request--> host --fork--> test process --fork--> program
           ^------------------- verdict ------------'  '<-- plain values -->'
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import shutil
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftbench_eval.plain_values import decode, encode
from ftbench_eval.program_process import be_alone, prepare_untrusted
from ftbench_eval.remote_program import Program
from ftbench_eval.sandbox import MIB, ProgramLimits, confine_host

_GRACE_S = 2.0
"""After its own limit a test process may still say how far it came."""

_MOST_BYTES = 256 * MIB
_MOST_FILES = 2000
_LOOK_EVERY_S = 0.25
_LONGEST_REPLY = 64 * MIB

TEST, ANSWER = "test", "answer"


class Failed(Exception):
    """What was asked for raised an exception in its own process.

    Attributes:
        kind: Name of the exception's class.
    """

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


class NoReply(Exception):
    """The process ended before it replied: at a limit, or because the program ended it."""


@dataclass(frozen=True)
class Request:
    """One process to start.

    Attributes:
        mode: TEST: ``function`` is called with a ``Program`` first, and is trusted. ANSWER: it
            reads what a model wrote, and is confined itself.
        seconds: Time of the clock that it may take.
        give_input: As ``Program`` takes it.
    """

    mode: str
    seconds: float
    limits: ProgramLimits = field(default_factory=ProgramLimits)
    give_input: Callable[[Any, str], Any] | None = None


class ProgramHost:
    """The scoring process's way to its host.

    Args:
        folder: Empty folder for the programs.
        never_signal: Processes that neither the host nor a program may signal.

    Side effects: forks; the child lives as long as this process.
    """

    def __init__(self, folder: Path, never_signal: tuple[int, ...] = ()) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        parent = os.getpid()
        if not os.fork():
            try:
                be_alone((its.fileno(),), parent)
                _Host(folder, its, (*never_signal, parent)).serve()
            finally:
                os._exit(0)
        its.close()
        if ours.recv(16) != b"ready":
            raise OSError("programs cannot be confined here")

    def run(self, request: Request, function: Callable[..., Any], *args: Any) -> Any:
        """Runs a function in a process of its own.

        Safe to call from several threads.

        Returns:
            What it returned, as a plain value.

        Raises:
            Failed: It raised.
            NoReply: It was ended, or ended itself.
        """
        ours, its = socket.socketpair()
        with ours:
            with its:
                socket.send_fds(self._control, [pickle.dumps(request)], [its.fileno()])
            ours.settimeout(request.seconds + 2 * _GRACE_S)
            try:
                _send(ours, pickle.dumps((function, args)))
                reply = _receive(ours, _LONGEST_REPLY)
            except (OSError, EOFError) as exc:
                raise NoReply(str(exc)) from exc
        return _value_of(reply)


def _value_of(reply: bytes) -> Any:
    try:
        kind, *rest = decode(reply.decode("utf-8", "replace"), lambda _, text: Unknown(text))
    except ValueError as exc:
        raise NoReply(f"unusable reply: {exc}") from exc
    if kind == "value" and len(rest) == 1:
        return rest[0]
    if kind == "raised" and len(rest) == 2:
        raise Failed(str(rest[0]), str(rest[1]))
    raise NoReply("unusable reply")


class Unknown:
    """Something that is no plain value, of which only the look is known; equals only itself."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


@dataclass
class _Child:
    pid: int
    folder: Path
    deadline: float


class _Host:
    def __init__(self, folder: Path, control: socket.socket, never_signal: tuple[int, ...]) -> None:
        self._folder, self._control = folder, control
        self._children: list[_Child] = []
        self._started = 0
        os.chdir("/")
        self._address_space = confine_host(folder, never_signal=never_signal)
        control.send(b"ready")

    def serve(self) -> None:
        while True:
            if select.select([self._control], [], [], self._patience())[0]:
                data, descriptors, _, _ = socket.recv_fds(self._control, 1 << 16, 1)
                if not data:
                    break
                self._start(pickle.loads(data), socket.socket(fileno=descriptors[0]))
            self._look_after()
        for child in self._children:
            os.kill(child.pid, signal.SIGKILL)

    def _patience(self) -> float | None:
        return _LOOK_EVERY_S if self._children else None

    def _start(self, request: Request, channel: socket.socket) -> None:
        self._started += 1
        folder = self._folder / str(self._started)
        folder.mkdir()
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            try:
                be_alone((channel.fileno(),), parent)
                _serve_one(request, channel, folder, self._address_space)
            finally:
                os._exit(0)
        channel.close()
        deadline = time.monotonic() + request.seconds + _GRACE_S
        self._children.append(_Child(pid, folder, deadline))

    def _look_after(self) -> None:
        now = time.monotonic()
        for child in list(self._children):
            if os.waitpid(child.pid, os.WNOHANG)[0]:
                self._children.remove(child)
                remove_tree(child.folder)
            elif now > child.deadline or _is_full(child.folder):
                os.kill(child.pid, signal.SIGKILL)


def _serve_one(request: Request, channel: socket.socket, folder: Path, address_space: int) -> None:
    given: tuple[Any, ...] = ()
    if request.mode == ANSWER:
        prepare_untrusted(folder, request.limits, address_space)
    else:
        os.chdir(folder)
        # Before the test is read: the program's memory is a copy of this process's.
        given = (Program(folder, request.limits, address_space, None, request.give_input),)
    function, args = pickle.loads(_receive(channel, 1 << 40))
    try:
        reply = encode(["value", function(*given, *args)], lambda _: 0)
    except BaseException as exc:  # whatever it is, it is the answer
        reply = encode(["raised", type(exc).__name__, _message(exc)], lambda _: 0)
    _send(channel, reply.encode("utf-8", "replace"))


def _message(exc: BaseException) -> str:
    try:
        return str(exc)[:10_000]
    except BaseException:  # code of the program's own
        return ""


def _send(channel: socket.socket, data: bytes) -> None:
    channel.sendall(struct.pack("!Q", len(data)))
    channel.sendall(data)


def _receive(channel: socket.socket, longest: int) -> bytes:
    (size,) = struct.unpack("!Q", _exactly(channel, 8))
    if size > longest:
        raise EOFError("too long")
    return _exactly(channel, size)


def _exactly(channel: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = channel.recv(min(size - len(data), 1 << 20))
        if not part:
            raise EOFError("the process ended before it replied")
        data += part
    return bytes(data)


def _is_full(folder: Path) -> bool:
    total = files = 0
    for size in _sizes(folder):
        total, files = total + size, files + 1
        if total > _MOST_BYTES or files > _MOST_FILES:
            return True
    return False


def _sizes(folder: Path) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for place, folders, files in os.walk(folder):
            yield from (0 for _ in folders)
            for name in files:
                with contextlib.suppress(OSError):
                    yield Path(place, name).lstat().st_blocks * 512


def remove_tree(folder: Path) -> None:
    """Removes a folder, also where a program took away the right to look into it."""

    def open_up(_function: Any, path: str, _error: Any) -> None:
        with contextlib.suppress(OSError):
            Path(path).parent.chmod(0o700)
            Path(path).chmod(0o700)

    shutil.rmtree(folder, onerror=open_up)
    shutil.rmtree(folder, ignore_errors=True)
