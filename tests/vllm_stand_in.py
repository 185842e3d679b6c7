"""An engine with the interface of vLLM 0.11.0, for machines without a GPU.

What it follows: ``LLMEngine.add_request``, ``step``, ``abort_request`` and
``has_unfinished_requests`` (vllm/v1/engine/llm_engine.py), ``LLM.generate``
(vllm/entrypoints/llm.py), ``SamplingParams`` (vllm/sampling_params.py), ``RequestOutput`` and
``CompletionOutput`` (vllm/outputs.py). It computes nothing: an answer is made from the prompt, the
seed and the LoRA request (which ``DROPS_LORA`` makes it ignore), and takes as many steps as the
prompt's length says. What real vLLM does on a GPU no test here can tell.
"""

from __future__ import annotations

import copy
import enum
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MAX_NUM_SEQS = 8
"""Requests that one step computes at once."""

MAX_MODEL_LEN = 20_000

DROPS_LORA = False
"""As an engine that takes a LoRA request and computes without it."""


class RequestOutputKind(enum.Enum):
    CUMULATIVE = 0
    DELTA = 1
    FINAL_ONLY = 2


class SamplingParams:
    """Some of its fields; a wrong name is an error, as there."""

    def __init__(
        self,
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: Any = None,
        max_tokens: int | None = 16,
        prompt_logprobs: int | None = None,
    ) -> None:
        self.temperature = temperature
        self.top_p = top_p
        self.seed = seed
        self.stop = stop
        self.max_tokens = max_tokens
        self.prompt_logprobs = prompt_logprobs
        self.output_kind = RequestOutputKind.CUMULATIVE

    def clone(self) -> SamplingParams:
        return copy.deepcopy(self)


class LoRARequest:
    def __init__(self, lora_name: str, lora_int_id: int, lora_path: str) -> None:
        self.lora_name = lora_name
        self.lora_path = lora_path


@dataclass
class CompletionOutput:
    text: str
    token_ids: Sequence[int]
    finish_reason: str | None
    stop_reason: int | str | None = None


@dataclass
class Logprob:
    logprob: float


@dataclass
class RequestOutput:
    request_id: str
    prompt: str | None
    prompt_token_ids: list[int]
    outputs: list[CompletionOutput]
    finished: bool
    prompt_logprobs: list[dict[int, Logprob] | None] | None = None


@dataclass
class _Running:
    text: str
    ids: list[int]
    params: SamplingParams
    lora_request: LoRARequest | None
    steps: int


@dataclass
class LLMEngine:
    """What a test may look at.

    Attributes:
        occupancy: Requests that each step computed.
        step_s: Seconds that a step takes.
        prompts: In the order in which they came.
        dies_on: A prompt that holds this text kills the engine.
    """

    tokenizer: Any = None
    dies_on: str = "no prompt holds this"
    step_s: float = 0.0
    occupancy: list[int] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    _open: dict[str, _Running] = field(default_factory=dict)

    def add_request(
        self,
        request_id: str,
        prompt: Any,
        params: SamplingParams,
        arrival_time: float | None = None,
        lora_request: LoRARequest | None = None,
        tokenization_kwargs: dict[str, Any] | None = None,
        trace_headers: Any = None,
        priority: int = 0,
    ) -> None:
        assert request_id not in self._open
        text = prompt if isinstance(prompt, str) else prompt["prompt"]
        ids = list(text.encode()) if isinstance(prompt, str) else prompt["prompt_token_ids"]
        if len(ids) > MAX_MODEL_LEN:
            raise ValueError(f"The decoder prompt (length {len(ids)}) is longer than the maximum")
        self.prompts.append(text)
        steps = 1 if params.prompt_logprobs is not None else 1 + len(text) % 7
        self._open[request_id] = _Running(text, list(ids), params.clone(), lora_request, steps)

    def abort_request(self, request_ids: list[str]) -> None:
        for request_id in request_ids:
            del self._open[request_id]

    def has_unfinished_requests(self) -> bool:
        return bool(self._open)

    def step(self) -> list[RequestOutput]:
        running = list(self._open.items())[:MAX_NUM_SEQS]
        self.occupancy.append(len(running))
        time.sleep(self.step_s)
        outputs = []
        for request_id, request in running:
            if self.dies_on in request.text:
                raise RuntimeError("EngineCore encountered an issue")
            request.steps -= 1
            if not request.steps:
                del self._open[request_id]
            if not request.steps or request.params.output_kind != RequestOutputKind.FINAL_ONLY:
                outputs.append(_output(request_id, request))
        return outputs


def _output(request_id: str, request: _Running) -> RequestOutput:
    is_served = request.lora_request is not None and not DROPS_LORA
    adapter = request.lora_request.lora_path if is_served else ""
    seed = request.params.seed if request.params.temperature else None
    answer = zlib.crc32(f"{request.text}|{seed}|{adapter}".encode())
    # The token that ends a text is among its tokens.
    done = CompletionOutput(f"answer {answer}", [1, 2, 3, 0], "stop")
    if answer % 3 == 0:
        done = CompletionOutput(f"answer {answer} and", [1, 2, 3, 4], "length")
    elif answer % 3 == 1:
        done = CompletionOutput(f"answer {answer}", [1, 2, 3, 9], "stop", "\n\n")
    ids, logprobs = request.ids, None
    if request.params.prompt_logprobs is not None:
        logprobs = [None, *({token: Logprob(-token / 100 - len(adapter))} for token in ids[1:])]
    finished = not request.steps
    return RequestOutput(request_id, request.text, ids, [done], finished, logprobs)


class LLM:
    """As OpenCompass's wrappers use it, alone."""

    def __init__(self, model: str, **options: Any) -> None:
        self.options = {"model": model, **options}
        self._tokenizer: Any = None
        self.llm_engine = LLMEngine()

    def get_tokenizer(self) -> Any:
        if self._tokenizer is None:
            from transformers import AutoTokenizer

            self._tokenizer = AutoTokenizer.from_pretrained(self.options["tokenizer"])
        return self._tokenizer

    def generate(
        self,
        prompts: Sequence[Any],
        sampling_params: SamplingParams,
        *,
        use_tqdm: bool = True,
        lora_request: LoRARequest | None = None,
    ) -> list[RequestOutput]:
        params = sampling_params.clone()
        params.output_kind = RequestOutputKind.FINAL_ONLY
        for number, prompt in enumerate(prompts):
            self.llm_engine.add_request(str(number), prompt, params, lora_request=lora_request)
        outputs = []
        while self.llm_engine.has_unfinished_requests():
            outputs += [output for output in self.llm_engine.step() if output.finished]
        return sorted(outputs, key=lambda output: int(output.request_id))
