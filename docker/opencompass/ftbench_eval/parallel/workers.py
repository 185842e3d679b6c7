"""The evaluation program's end of its workers: starts them, asks them, replaces those that die."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import ftbench
import ftbench_eval
from ftbench_eval.parallel.worker import Answered, Asked, Done, Gone, Ready, WorkerJob
from ftbench_eval.reasons import Refused
from ftbench_eval.stream.requests import Batch
from ftbench_eval.stream.stream import Keep, ModelGone

_MOST_DEATHS = 10
"""Deaths in a row, without an answer between them, after which a worker is given up. As many as it
takes to halve a batch of some dozen samples down to one that kills the worker alone."""


class WorkerDied(Exception):
    """A worker's process has ended, and with it what it was asked."""

    def __init__(self, how: str, was_killed: bool) -> None:
        super().__init__(how)
        self.was_killed = was_killed


class NoRoom(Refused, MemoryError):
    """A batch had no room in a worker's memory."""


class Worker:
    """One process, from its start to its end.

    Args:
        job: What it is told first.
        environ: Its environment, which names its GPUs.

    Side effects: starts a process, which ends with this one.
    """

    def __init__(self, job: WorkerJob, environ: Mapping[str, str]) -> None:
        ours, its = socket.socketpair()
        with its:
            command = [sys.executable, "-m", "ftbench_eval.parallel.worker", str(its.fileno())]
            self._process = subprocess.Popen(
                command, env=dict(environ), pass_fds=[its.fileno()], stdin=subprocess.DEVNULL
            )
        self._connection = Connection(ours.detach())
        self._numbers = itertools.count()
        self._waiting: dict[int, queue.SimpleQueue[Any]] = {}
        self._lock = threading.Lock()
        self._death: Exception | None = None
        with contextlib.suppress(OSError):  # it has died: reading tells
            self._connection.send(job)

    def wait_until_ready(self) -> Ready:
        """Waits for its model.

        Raises:
            ModelGone: It does not load.
            WorkerDied: The process ended.
        """
        try:
            message = self._connection.recv()
        except (EOFError, OSError):
            raise self._died() from None
        if isinstance(message, Gone):
            raise ModelGone(message.reason.kind, message.reason.message, message.canary)
        threading.Thread(target=self._read, name="worker", daemon=True).start()
        assert isinstance(message, Ready)
        return message

    def ask(self, batch: Batch) -> Iterator[Answered]:
        """Answers to a batch, some at a time; several threads may ask.

        Raises:
            NoRoom: Its memory has no room for the batch.
            Refused: The batch cannot be answered.
            ModelGone: Nothing can be answered any more.
            WorkerDied: The process ended.
        """
        inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        with self._lock:
            if self._death is not None:
                raise self._death
            number = next(self._numbers)
            self._waiting[number] = inbox
            with contextlib.suppress(OSError):  # it has died: the reading thread tells
                self._connection.send(Asked(number, batch))
        try:
            while True:
                message = inbox.get()
                if isinstance(message, Exception):
                    raise message
                if isinstance(message, Answered):
                    yield message
                elif message.failure is None:
                    return
                else:
                    kind = NoRoom if message.had_no_room else Refused
                    raise kind(message.failure.kind, message.failure.message)
        finally:
            with self._lock:
                del self._waiting[number]

    def end(self) -> None:
        """Ends the process. What it has started ends with it."""
        with contextlib.suppress(OSError):
            # Not closed: another thread reads it. The process ends itself on the end of file.
            socket.socket(fileno=os.dup(self._connection.fileno())).shutdown(socket.SHUT_WR)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> None:
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                return self._tell_death(self._died())
            if isinstance(message, Gone):
                return self._tell_death(ModelGone(message.reason.kind, message.reason.message))
            assert isinstance(message, Answered | Done)
            with self._lock:
                inbox = self._waiting.get(message.number)
            if inbox is not None:
                inbox.put(message)

    def _tell_death(self, death: Exception) -> None:
        with self._lock:
            self._death = death
            for inbox in self._waiting.values():
                inbox.put(death)

    def _died(self) -> WorkerDied:
        code = self._process.wait()
        was_killed = code == -signal.SIGKILL
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        hint = ", as the system does when memory runs out" if was_killed else ""
        return WorkerDied(f"a worker process {how}{hint}", was_killed)


class WorkerAnswerer:
    """Answers batches with a worker, and with a new one when it has died.

    A batch that a worker dies on is asked once more as it is, so that whatever killed the worker
    changes no answer, and alone, so that no other batch is to blame for the second death. Then the
    batch is at fault, and the stream divides it.

    Args:
        start: Starts a worker.
        say: Prints a line.
    """

    def __init__(self, start: Callable[[], Worker], say: Callable[[str], None]) -> None:
        self._start = start
        self._say = say
        self._worker: Worker | None = None
        self._generation = 0
        self._deaths = 0
        self._gone: ModelGone | None = None
        self._starting = threading.Lock()
        self._traffic = _Traffic()

    def load(self) -> Ready:
        """Starts the worker and waits for its model.

        Raises:
            ModelGone: It does not load, or the process dies on the way.
        """
        self._worker = self._start()
        try:
            return self._worker.wait_until_ready()
        except WorkerDied as exc:
            raise ModelGone("worker", f"{exc} while it loaded the model") from exc

    def answer_in_parts(self, batch: Batch, keep: Keep) -> None:
        """Hands every answer to ``keep``.

        Raises:
            NoRoom: Memory has no room for it.
            Refused: It cannot be answered.
            ModelGone: No worker can live.
        """
        left = dict(enumerate(batch.requests))
        try:
            with self._traffic.shared():
                return self._ask(batch, left, keep)
        except WorkerDied:
            pass
        try:
            with self._traffic.alone():
                return self._ask(batch, left, keep)
        except WorkerDied as exc:
            raise (NoRoom if exc.was_killed else Refused)("worker", f"{exc}, twice") from exc

    def end(self) -> None:
        """Ends the worker."""
        if self._worker is not None:
            self._worker.end()

    def _ask(self, batch: Batch, left: dict[int, Any], keep: Keep) -> None:
        if not left:  # it died between its last answer and the end of the batch
            return
        worker, generation = self._living()
        places = list(left)
        asked = Batch(tuple(left.values()))
        if len(asked.requests) != len(batch.requests):
            self._say(f"ftbench: asking the {len(asked.requests)} samples left of a batch again")
        try:
            for part in worker.ask(asked):
                whole = [places[place] for place in part.places]
                keep([left.pop(place) for place in whole], part.answers)
                self._deaths = 0
        except WorkerDied as exc:
            self._bury(generation, exc)
            raise

    def _bury(self, generation: int, death: WorkerDied) -> None:
        with self._starting:
            if generation == self._generation and self._worker is not None:
                self._worker.end()
                self._worker = None
                self._deaths += 1
                self._say(f"ftbench: {death}; starting another")
                if self._deaths >= _MOST_DEATHS:
                    text = f"{death}, {self._deaths} times in a row without an answer"
                    self._gone = ModelGone("worker", text)

    def _living(self) -> tuple[Worker, int]:
        with self._starting:
            if self._gone is not None:
                raise self._gone
            if self._worker is None:
                self._generation += 1
                try:
                    self.load()
                except ModelGone as exc:
                    self._gone = exc
                    raise
            assert self._worker is not None
            return self._worker, self._generation


class _Traffic:
    """Many at a time, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._alone = False

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._alone = True
            self._changed.wait_for(lambda: self._inside == 0)
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()


def start_workers(
    job: WorkerJob, environments: Sequence[Mapping[str, str]], say: Callable[[str], None]
) -> tuple[list[WorkerAnswerer], list[Ready], list[ModelGone]]:
    """Starts one worker for each environment, all at once, and waits for their models.

    Returns:
        Those that live, what they say of their model, and why the others do not live.

    Raises:
        ModelGone: None lives; the first one's reason.
    """

    def load(environ: Mapping[str, str]) -> tuple[WorkerAnswerer, Ready | ModelGone]:
        answerer = WorkerAnswerer(lambda: Worker(job, environ), say)
        try:
            return answerer, answerer.load()
        except ModelGone as exc:
            answerer.end()
            return answerer, exc

    with ThreadPoolExecutor(len(environments), thread_name_prefix="loading") as pool:
        loaded = list(pool.map(load, environments))
    living = [(answerer, found) for answerer, found in loaded if isinstance(found, Ready)]
    failures = [found for _, found in loaded if isinstance(found, ModelGone)]
    if not living:
        raise failures[0]
    return [one for one, _ in living], [ready for _, ready in living], failures


def worker_environments(
    environ: Mapping[str, str], copies: int, gpus_each: int
) -> list[dict[str, str]]:
    """The environment of each worker: its GPUs, or on the CPU its share of the threads.

    Args:
        environ: ``os.environ``; CUDA_VISIBLE_DEVICES names the GPUs of all of them.
        copies: Workers.
        gpus_each: GPUs of one; 0: CPU.
    """
    packages = [str(Path(module.__file__ or "").parents[1]) for module in (ftbench_eval, ftbench)]
    path = os.pathsep.join(dict.fromkeys([*packages, *filter(None, sys.path)]))
    common = {**environ, "PYTHONPATH": path}
    if not gpus_each:
        threads = max(1, int(environ.get("OMP_NUM_THREADS") or 1) // copies)
        return [{**common, "OMP_NUM_THREADS": str(threads)} for _ in range(copies)]
    visible = environ["CUDA_VISIBLE_DEVICES"].split(",")
    shares = [visible[i * gpus_each : (i + 1) * gpus_each] for i in range(copies)]
    return [{**common, "CUDA_VISIBLE_DEVICES": ",".join(share)} for share in shares]
