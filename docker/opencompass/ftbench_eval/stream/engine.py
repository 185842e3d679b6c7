"""Keeps a vLLM engine full: requests of many batches are in it at once, refilled as they finish.

OpenCompass's wrapper (0.5.4) still makes the prompts, the sampling parameters and the LoRA request,
and hands them to what it takes for vLLM's ``LLM``; here that puts them into the one running engine
instead of waiting for a batch to end. So the slowest answer of a batch holds up no other.

Source: vLLM 0.11.0, ``LLM._validate_and_add_requests`` and ``LLM._run_engine``
(vllm/entrypoints/llm.py) for the calls, ``LLMEngine`` (vllm/v1/engine/llm_engine.py) for
``add_request``, ``step`` and ``abort_request``, and ``CompletionOutput`` (vllm/outputs.py).
"""

from __future__ import annotations

import contextlib
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ftbench_eval.reasons import explain
from ftbench_eval.stream.batches import BatchLimit
from ftbench_eval.stream.prompts import arguments
from ftbench_eval.stream.requests import GENERATE, PERPLEXITY, Answer, Batch, Request
from ftbench_eval.stream.stream import Keep, ModelGone

ENGINE_LIMITS: Mapping[str, BatchLimit] = {
    GENERATE: BatchLimit(64),
    PERPLEXITY: BatchLimit(64),
}
"""The engine makes its own batches; these are only handed to it together."""

BATCHES_AT_A_TIME = 32
"""2048 requests in flight. The engine computes 256 of them at once, on the largest GPUs 1024 (its
default for offline use); the others are there when one of those ends, also while a slow answer
keeps its batch open."""

STREAM_WORDS = f"one stream, {BATCHES_AT_A_TIME * 64} requests at a time"
"""For people; of each copy."""

_KEEP_INTERVAL_S = 0.5


class EngineAnswerer:
    """Answers batches with one engine; as many threads as like may ask at once.

    Args:
        wrappers: OpenCompass models by role, all with the same engine; from now on they ask it
            through this object.
        seed: Of sampling. Every request is seeded by itself, so that neither what else is in the
            engine nor a restart change what it gives.
    """

    def __init__(self, wrappers: Mapping[str, Any], seed: int) -> None:
        self._wrappers = wrappers
        self._seed = seed
        self._front = EngineFront(next(iter(wrappers.values())).model)
        for wrapper in wrappers.values():
            wrapper.model = self._front

    def answer_in_parts(self, batch: Batch, keep: Keep) -> None:
        """Hands every answer to ``keep``, in groups as they finish.

        Raises:
            ModelGone: The engine has died.
            Exception: Whatever the wrapper or the engine raises.
        """
        call = batch.call
        wrapper = self._wrappers[call.role]
        inputs = [request.input for request in batch.requests]
        if call.method == GENERATE:
            # vLLM's text is the answer: the wrapper passes it on as it is.
            with self._front.asking(self._seeds(batch), _Kept(batch.requests, keep).add):
                wrapper.generate(inputs, max_out_len=call.max_out_len, **arguments(call))
            return
        masks = [request.masked for request in batch.requests]
        with self._front.asking(self._seeds(batch), None):
            losses = wrapper.get_ppl(inputs, None if masks[0] is None else masks)
        keep(batch.requests, [Answer(float(loss)) for loss in losses])

    def _seeds(self, batch: Batch) -> list[int]:
        return [
            self._seed + zlib.crc32(f"{request.abbr} {request.position}".encode())
            for request in batch.requests
        ]


@dataclass
class _Asked:
    """Prompts that were handed over together.

    Attributes:
        prompts, params, seeds: One for each of them.
        outputs: vLLM's, as far as they are finished.
        on_finished: Receives places and outputs that have finished, or None.
        failure: Why it cannot be answered.
    """

    prompts: Sequence[Any]
    params: Any
    lora_request: Any
    seeds: Sequence[int | None]
    on_finished: Callable[[Sequence[int], Sequence[Any]], None] | None
    outputs: dict[int, Any] = field(default_factory=dict)
    failure: Exception | None = None
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def is_over(self) -> bool:
        return self.failure is not None or len(self.outputs) == len(self.prompts)


class EngineFront:
    """What OpenCompass's wrapper takes for vLLM's ``LLM``.

    Args:
        llm: The ``LLM``; only this object may use it from now on.

    Side effects: starts a thread, the only one that touches the engine.
    """

    def __init__(self, llm: Any) -> None:
        self._llm = llm
        self._context = threading.local()
        self._wrapper_lock = threading.Lock()
        self._new: deque[_Asked] = deque()
        self._changed = threading.Condition()
        self._loop = _Loop(llm.llm_engine)
        self._death: ModelGone | None = None
        threading.Thread(target=self._run, name="engine", daemon=True).start()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._llm, name)

    @contextlib.contextmanager
    def asking(
        self,
        seeds: Sequence[int],
        on_finished: Callable[[Sequence[int], Sequence[Any]], None] | None,
    ) -> Iterator[None]:
        """Says what belongs to the next ``generate`` of this thread, which else is not seeded.

        One thread at a time makes prompts, as a tokenizer is not for two; while it waits for
        answers, others may.
        """
        with self._wrapper_lock:
            self._context.asked = (seeds, on_finished)
            try:
                yield
            finally:
                self._context.asked = None

    def generate(
        self, prompts: Sequence[Any], params: Any, lora_request: Any = None, **_options: Any
    ) -> list[Any]:
        """As ``LLM.generate``: vLLM's outputs, in the order of the prompts.

        Raises:
            ModelGone: The engine has died.
            Exception: What the engine raised on one of the prompts.
        """
        context = getattr(self._context, "asked", None)
        seeds, on_finished = context or ([None] * len(prompts), None)
        asked = _Asked(prompts, params, lora_request, seeds, on_finished)
        if context is not None:
            self._wrapper_lock.release()
        try:
            self._hand_over(asked)
            return self._wait(asked)
        finally:
            if context is not None:
                self._wrapper_lock.acquire()

    def _hand_over(self, asked: _Asked) -> None:
        with self._changed:
            if self._death is not None:
                raise self._death
            self._new.append(asked)
            self._changed.notify()

    def _wait(self, asked: _Asked) -> list[Any]:
        told: set[int] = set()
        while True:
            with asked.changed:
                asked.changed.wait_for(lambda: asked.is_over, _KEEP_INTERVAL_S)
                places = [place for place in asked.outputs if place not in told]
                is_over, failure = asked.is_over, asked.failure
            if places and asked.on_finished is not None:
                asked.on_finished(places, [asked.outputs[place] for place in places])
            told.update(places)
            if failure is not None:
                raise failure
            if is_over:
                return [asked.outputs[place] for place in range(len(asked.prompts))]

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._new or self._loop.is_busy)
                new = list(self._new)
                self._new.clear()
            try:
                for asked in new:
                    self._loop.add(asked)
                self._loop.step()
            except Exception as exc:  # the engine's own end: nothing can be asked any more
                reason = explain(exc, "engine")
                death = ModelGone(reason.kind, f"vLLM's engine ended: {reason.message}")
                with self._changed:
                    self._death = death
                    new += self._new
                self._loop.fail(new, death)
                return


class _Loop:
    """The engine's turns. For one thread."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._asked: dict[str, tuple[_Asked, int]] = {}
        self._count = 0

    @property
    def is_busy(self) -> bool:
        return bool(self._asked)

    def add(self, asked: _Asked) -> None:
        """Puts all its prompts into the engine, or none where one is refused."""
        added = []
        for place, prompt in enumerate(asked.prompts):
            name = f"ftbench-{self._count}"
            self._count += 1
            try:
                self._engine.add_request(
                    name,
                    prompt,
                    _seeded(asked.params, asked.seeds[place]),
                    lora_request=asked.lora_request,
                    tokenization_kwargs={"truncation": False},
                )
            except ValueError as exc:  # such as a prompt longer than the model's context
                self._engine.abort_request(added)
                for other in added:
                    del self._asked[other]
                _fail(asked, exc)
                return
            added.append(name)
            self._asked[name] = (asked, place)

    def step(self) -> None:
        """One turn of the engine."""
        if not self._asked:
            return
        if not self._engine.has_unfinished_requests():
            raise RuntimeError(f"{len(self._asked)} requests were lost")
        for output in self._engine.step():
            if not output.finished:
                continue
            asked, place = self._asked.pop(output.request_id, (None, 0))
            if asked is not None:  # else it was taken back
                with asked.changed:
                    asked.outputs[place] = output
                    if asked.is_over:
                        asked.changed.notify()

    def fail(self, new: Sequence[_Asked], death: ModelGone) -> None:
        """Tells everyone who waits."""
        waiting = {id(asked): asked for asked, _ in self._asked.values()}
        for asked in [*waiting.values(), *new]:
            _fail(asked, death)


class _Kept:
    """Makes answers of vLLM's outputs."""

    def __init__(self, requests: Sequence[Request], keep: Keep) -> None:
        self._requests = requests
        self._keep = keep

    def add(self, places: Sequence[int], outputs: Sequence[Any]) -> None:
        answers = [_answer(output.outputs[0]) for output in outputs]
        self._keep([self._requests[place] for place in places], answers)


def _answer(completion: Any) -> Answer:
    """The text, its tokens and whether the limit ended it.

    ``token_ids`` ends with the token that stopped the text, which is none of it; where a stop text
    cut it, which may begin inside a token, only counting it again tells.
    """
    is_cut = completion.finish_reason == "length"
    if isinstance(completion.stop_reason, str):
        return Answer(completion.text, None, is_cut)
    count = len(completion.token_ids) - (completion.finish_reason == "stop")
    return Answer(completion.text, count, is_cut)


def _seeded(params: Any, seed: int | None) -> Any:
    """A copy for one request, which tells only of its end."""
    own = params.clone()
    own.output_kind = type(own.output_kind).FINAL_ONLY
    if own.temperature > 0:
        own.seed = seed
    return own


def _fail(asked: _Asked, failure: Exception) -> None:
    with asked.changed:
        asked.failure = failure
        asked.changed.notify()
