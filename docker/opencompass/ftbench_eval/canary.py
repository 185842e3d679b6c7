"""Shows, before any benchmark, that the adapter has an effect on the very path that will be asked.

A handful of fixed prompts go through OpenCompass's wrapper with the adapter, and twice without it:
what the two without differ by is the engine's own noise. An adapter that moves neither an answer
nor a log-probability by more ends the evaluation, as every score would be the base's.

Where the adapter was merged, no engine has the base any more; ``merge.py`` compares the weights.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftbench.schema import Canary
from ftbench_eval.adapter_weights import why_nil
from ftbench_eval.presets import GENERATION
from ftbench_eval.reasons import Refused

PROMPTS = (
    "What is 17 + 25?",
    "Name the capital of France.",
    "Which is larger? A) 3 B) 7. Answer with the letter.",
    "Is the earth flat? Answer yes or no.",
    "Write one sentence about the sea.",
    "Translate into German: good morning",
    "def add(a, b):",
    "Once upon a time",
)

MAX_OUT_LEN = 8
"""Tokens of an answer. Whether there is an effect its log-probabilities tell; these say whether it
reaches answers."""

_LIKELY = math.log(1e-4)
"""Of the first token's distribution only what may be chosen counts: in its tail an effect of no
weight is a large difference of logarithms."""

_ABOVE_NOISE = 4
"""Noise is measured once, so an effect has to be clearly more."""


class NoEffect(Refused):
    """The adapter changes nothing; ``canary`` has what was measured, None where it was not."""

    def __init__(self, why: str, canary: Canary | None = None) -> None:
        super().__init__("adapter", f"the adapter has no effect: {why}")
        self.canary = canary


@dataclass(frozen=True)
class _Given:
    """What the model gave for each prompt.

    Attributes:
        texts: Greedy answers; empty for perplexities.
        logprobs: An array each: of the first token's distribution, of the prompt's own tokens
            (vLLM), or the prompt's mean.
    """

    texts: Sequence[str]
    logprobs: Sequence[Any]

    def changed(self, other: _Given, noise: float) -> int:
        if self.texts:
            return sum(own != its for own, its in zip(self.texts, other.texts, strict=True))
        moved = self.differences(other)
        return sum(difference > _ABOVE_NOISE * noise for difference in moved)

    def differences(self, other: _Given) -> list[float]:
        """The largest change of a log-probability, of each prompt."""
        import numpy as np

        moved = []
        for own, its in zip(self.logprobs, other.logprobs, strict=True):
            counted = (its > _LIKELY) if len(its) > 1 else np.isfinite(its)
            counted = counted if counted.any() else np.isfinite(its)
            differences = np.abs(own - its)[counted]
            moved.append(float(differences.max()) if differences.size else 0.0)
        return moved


def check_adapter(wrappers: Mapping[str, Any], adapter: Path, is_vllm: bool) -> Canary:
    """Asks with and without the adapter, in every form of the model that will be asked.

    Args:
        wrappers: OpenCompass models by role, which hold or serve the adapter unmerged.
        adapter: Its folder.
        is_vllm: vLLM serves it; else peft has put it on the weights.

    Raises:
        NoEffect: It changes nothing, with the likely cause.
        Exception: Whatever the wrapper raises.
    """
    started = time.monotonic()
    found = []
    for role, wrapper in sorted(wrappers.items(), key=lambda item: item[0] != GENERATION):
        if not is_vllm and not hasattr(wrapper.model, "disable_adapter"):
            raise NoEffect(
                "the loaded model carries none. Likely cause: OpenCompass's wrapper "
                f"{type(wrapper).__name__} ignored its peft_path"
            )
        canary, is_seen = _compare(role, wrapper, is_vllm, started)
        nil = why_nil(adapter)
        if nil or not is_seen:
            raise NoEffect(_why(canary, nil or _likely_cause(wrapper, is_vllm)), canary)
        found.append(canary)
    return found[0]


def _compare(role: str, wrapper: Any, is_vllm: bool, started: float) -> tuple[Canary, bool]:
    with_adapter = _ask(role, wrapper, is_vllm)
    with _without_adapter(wrapper, is_vllm):
        base, again = (_ask(role, wrapper, is_vllm) for _ in range(2))
    noise, difference = max(again.differences(base)), max(with_adapter.differences(base))
    changed = with_adapter.changed(base, noise)
    canary = Canary(
        prompts=len(PROMPTS),
        changed=changed,
        max_logprob_difference=difference,
        noise=noise,
        seconds=time.monotonic() - started,
    )
    is_seen = changed > again.changed(base, noise) or difference > _ABOVE_NOISE * noise
    return canary, is_seen


def _why(canary: Canary, cause: str) -> str:
    given = f"{canary.prompts} fixed prompts were answered alike with it and without it"
    if canary.changed:
        given = (
            f"{canary.changed} of {canary.prompts} fixed prompts were answered otherwise with it"
        )
    moved = canary.max_logprob_difference or 0.0
    if moved:
        given += f", log-probabilities differ by {moved:.2g} at most"
        if canary.noise:
            given += f", and by {canary.noise:.2g} when the base alone is asked twice"
    return f"{given}. Likely cause: {cause}. CANARY=false (canary=false) evaluates all the same"


def _likely_cause(wrapper: Any, is_vllm: bool) -> str:
    if is_vllm:
        if not getattr(wrapper, "lora_path", None):
            return "OpenCompass's wrapper did not take its lora_path"
        return (
            "its weights are not zero, so vLLM dropped it, or they are too small to matter; "
            "MERGE_ADAPTER=always (backend.merge_adapter=always) puts it into the weights"
        )
    status = wrapper.model.get_model_status()
    if status.enabled is not True or not status.active_adapters:
        return "the loaded model has it, switched off"
    dtype = str(getattr(wrapper.model, "dtype", "")).removeprefix("torch.")
    return (
        f"its weights are not zero, but so small that {dtype} rounds their effect away "
        "(DTYPE=float32, model.dtype=float32, keeps more of it)"
    )


@contextlib.contextmanager
def _without_adapter(wrapper: Any, is_vllm: bool) -> Iterator[None]:
    if not is_vllm:
        with wrapper.model.disable_adapter():
            yield
        return
    own, wrapper.lora_path = wrapper.lora_path, None
    try:
        yield
    finally:
        wrapper.lora_path = own


def _ask(role: str, wrapper: Any, is_vllm: bool) -> _Given:
    import numpy as np
    import torch
    from opencompass.utils.prompt import PromptList

    whole_round = [{"section": "round", "pos": "begin"}, {"section": "round", "pos": "end"}]
    mode = "gen" if role == GENERATION else "ppl"
    inputs = [
        wrapper.parse_template(
            PromptList([whole_round[0], {"role": "HUMAN", "prompt": prompt}, whole_round[1]]), mode
        )
        for prompt in PROMPTS
    ]
    with torch.no_grad():
        if role != GENERATION:
            return _Given((), [np.array([-loss]) for loss in wrapper.get_ppl(inputs)])
        ask = _generate_with_vllm if is_vllm else _generate
        return ask(wrapper, inputs)


def _generate(wrapper: Any, inputs: Sequence[Any]) -> _Given:
    """Through transformers, which hands the scores of each token to a processor."""
    import torch
    from transformers import LogitsProcessor, LogitsProcessorList

    class FirstToken(LogitsProcessor):  # type: ignore[misc]
        scores: Any = None

        def __call__(self, input_ids: Any, scores: Any) -> Any:
            if self.scores is None:
                self.scores = scores.detach().clone()
            return scores

    first = FirstToken()
    greedy = {"do_sample": False, "logits_processor": LogitsProcessorList([first])}
    with _generating_with(wrapper, greedy):
        texts = wrapper.generate(inputs, max_out_len=MAX_OUT_LEN)
    logprobs = torch.log_softmax(first.scores.float(), dim=-1).cpu().numpy()
    return _Given(texts, list(logprobs))


def _generate_with_vllm(wrapper: Any, inputs: Sequence[Any]) -> _Given:
    """Through vLLM, which tells the log-probabilities of the prompt's own tokens."""
    import numpy as np

    engine = wrapper.model
    wrapper.model = listening = _Listening(engine)
    try:
        greedy = {"temperature": 0.0, "top_p": 1.0, "prompt_logprobs": 0}
        with _generating_with(wrapper, greedy):
            texts = wrapper.generate(inputs, max_out_len=MAX_OUT_LEN)
    finally:
        wrapper.model = engine
    logprobs = [
        np.array(
            [
                told[token].logprob
                for told, token in zip(
                    output.prompt_logprobs[1:], output.prompt_token_ids[1:], strict=True
                )
            ]
        )
        for output in listening.outputs
    ]
    return _Given(texts, logprobs)


@contextlib.contextmanager
def _generating_with(wrapper: Any, options: dict[str, Any]) -> Iterator[None]:
    own, wrapper.generation_kwargs = wrapper.generation_kwargs, options
    try:
        yield
    finally:
        wrapper.generation_kwargs = own


class _Listening:
    """What a wrapper takes for its engine; keeps the engine's own outputs."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.outputs: Sequence[Any] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        self.outputs = self._engine.generate(*args, **kwargs)
        return self.outputs
