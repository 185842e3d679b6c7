"""A process that holds one copy of the model and answers batches that come through a pipe.

    python -m ftbench_eval.parallel.worker DESCRIPTOR

A program of its own, not a fork: its GPUs have to be chosen before CUDA is touched, and whatever
imported OpenCompass has touched it (mmengine 0.11 asks torch for GPUs when it is imported, after
which a fork cannot use them). It ends with the program that started it, however that ends.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ftbench.schema import Canary, Reason
from ftbench_eval.reasons import explain
from ftbench_eval.stop import kill_descendants
from ftbench_eval.stream.batches import BatchLimit
from ftbench_eval.stream.requests import Answer, Batch, Request


@dataclass(frozen=True)
class WorkerJob:
    """What a worker is told first.

    Attributes:
        configs: OpenCompass model config by role.
        adapter: The adapter that transformers loads, or None.
        use_vllm: The model is a vLLM engine.
        seed: Of sampling.
        batch_size, batch_tokens: As the user said, or None.
        copies: Workers on this machine's memory, where they share it (on the CPU).
        secrets_folder: Has what loading may need, or None.
        checked_adapter: The adapter, served unmerged, that has to show an effect; None: no check.
    """

    configs: Mapping[str, dict[str, Any]]
    adapter: Path | None
    use_vllm: bool
    seed: int
    batch_size: int | None = None
    batch_tokens: int | None = None
    copies: int = 1
    secrets_folder: Path | None = None
    checked_adapter: Path | None = None


@dataclass(frozen=True)
class Ready:
    """The model is loaded.

    Attributes:
        adapter_tensors, device, dtype, load_seconds: As in ``LoadedModel``.
        limits: How large a batch may be here, by method of the call.
        canary: What the adapter's effect is here; None where it was not asked for.
    """

    adapter_tensors: int
    device: str
    dtype: str
    load_seconds: float
    limits: Mapping[str, BatchLimit] = field(default_factory=dict)
    canary: Canary | None = None


@dataclass(frozen=True)
class Asked:
    """A batch to answer.

    Attributes:
        number: Tells its answers from those of other batches.
    """

    number: int
    batch: Batch


@dataclass(frozen=True)
class Answered:
    """Answers to some requests of a batch, by their places in it."""

    number: int
    places: Sequence[int]
    answers: Sequence[Answer]


@dataclass(frozen=True)
class Done:
    """All answers of a batch have been sent, or there will be no more of them.

    Attributes:
        failure: Why, or None.
        had_no_room: Memory was the reason.
    """

    number: int
    failure: Reason | None = None
    had_no_room: bool = False


@dataclass(frozen=True)
class Gone:
    """The model cannot be loaded, or cannot answer any more; the process ends.

    Attributes:
        canary: What was measured of an adapter that has no effect, or None.
    """

    reason: Reason
    canary: Canary | None = None


def main(descriptor: int) -> None:
    """Loads the model and answers until the other end is closed.

    Side effects: ends the process.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # for a whole group: our parent answers them
        signal.signal(number, signal.SIG_IGN)
    connection = Connection(descriptor)
    job: WorkerJob = connection.recv()
    incoming = _Incoming(connection)
    try:
        answerer, ready = _load(job)
    except Exception as exc:  # the top of a process: a failure becomes data
        connection.send(Gone(explain(exc, "model"), getattr(exc, "canary", None)))
        _end(1)
    connection.send(ready)
    _Server(connection, answerer, _width(job)).serve(incoming)
    _end(0)


def _load(job: WorkerJob) -> tuple[Any, Ready]:
    from ftbench_eval.canary import check_adapter
    from ftbench_eval.model_load import load_model
    from ftbench_eval.opencompass_config import use_real_python_root
    from ftbench_eval.secret_files import loading_secrets
    from ftbench_eval.stream.answering import WrapperAnswerer
    from ftbench_eval.stream.budget import batch_limits
    from ftbench_eval.stream.engine import ENGINE_LIMITS, EngineAnswerer

    use_real_python_root()
    with loading_secrets(job.secrets_folder, os.environ):
        model = load_model(job.configs, job.adapter)
    facts = (model.adapter_tensors, model.device, model.dtype, model.load_seconds)
    answerer: Any
    if job.use_vllm:
        answerer, limits = EngineAnswerer(model.wrappers, job.seed), ENGINE_LIMITS
    else:
        weights = next(iter(model.wrappers.values())).model
        limits = batch_limits(job.batch_size, job.batch_tokens, weights, model.device, job.copies)
        answerer = WrapperAnswerer(model.wrappers, job.seed)
    canary = None
    if job.checked_adapter is not None:
        canary = check_adapter(model.wrappers, job.checked_adapter, job.use_vllm)
    return answerer, Ready(*facts, limits, canary)


def _width(job: WorkerJob) -> int:
    from ftbench_eval.stream.engine import BATCHES_AT_A_TIME

    return BATCHES_AT_A_TIME if job.use_vllm else 1


class _Incoming:
    """Batches as they come; ends the process as soon as the other end is closed.

    A thread always reads, so that the end of the program that started us is seen at once, whatever
    the model is doing. (PR_SET_PDEATHSIG would come when the thread ends that started us.)
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._asked: queue.SimpleQueue[Asked] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="incoming", daemon=True).start()

    def next(self) -> Asked:
        return self._asked.get()

    def _read(self) -> None:
        while True:
            try:
                self._asked.put(self._connection.recv())
            except (EOFError, OSError):
                _end(0)


class _Server:
    def __init__(self, connection: Connection, answerer: Any, width: int) -> None:
        self._connection = connection
        self._answerer = answerer
        self._width = width
        self._lock = threading.Lock()

    def serve(self, incoming: _Incoming) -> None:
        if self._width == 1:  # in the main thread, where torch has its threads
            while True:
                self._answer(incoming.next())
        with ThreadPoolExecutor(self._width) as pool:
            while True:
                pool.submit(self._answer, incoming.next())

    def _answer(self, asked: Asked) -> None:
        from ftbench_eval.stream.answering import is_out_of_memory, release_memory
        from ftbench_eval.stream.stream import ModelGone

        number, batch = asked.number, asked.batch
        places = {id(request): place for place, request in enumerate(batch.requests)}

        def keep(requests: Sequence[Request], answers: Sequence[Answer]) -> None:
            self._send(Answered(number, [places[id(r)] for r in requests], list(answers)))

        try:
            in_parts = getattr(self._answerer, "answer_in_parts", None)
            if in_parts is not None:
                in_parts(batch, keep)
            else:
                keep(batch.requests, self._answerer.answer(batch))
        except ModelGone as exc:
            self._send(Gone(explain(exc, "model")))
            _end(1)
        except Exception as exc:  # foreign code; the other end divides the batch
            had_no_room, reason = is_out_of_memory(exc), explain(exc, "inference")
        else:
            self._send(Done(number))
            return
        # Out here the traceback no longer holds what the batch had in memory.
        release_memory()
        self._send(Done(number, reason, had_no_room))

    def _send(self, message: Any) -> None:
        try:
            with self._lock:
                self._connection.send(message)
        except OSError:  # nobody is there any more
            _end(0)


def _end(exit_code: int) -> None:
    """Ends at once, with what the model's library has started."""
    sys.stdout.flush()
    sys.stderr.flush()
    kill_descendants()
    os._exit(exit_code)


if __name__ == "__main__":
    # Not as __main__: what is pickled names the module.
    from ftbench_eval.parallel import worker

    worker.main(int(sys.argv[1]))
