"""The stream that keeps a vLLM engine full, on an engine that only has vLLM's interface: no GPU."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ftbench_eval.stream.batches import BatchLimit, plan_batches
from ftbench_eval.stream.engine import EngineAnswerer, EngineFront
from ftbench_eval.stream.journal import Journal
from ftbench_eval.stream.requests import (
    GENERATE,
    PERPLEXITY,
    Answer,
    Call,
    Request,
    digest_of,
)
from ftbench_eval.stream.stream import ModelGone, Stream

from ftbench.schema import Reason
from tests.vllm_stand_in import LLM, MAX_MODEL_LEN, MAX_NUM_SEQS, LoRARequest, SamplingParams

CALL = Call("generation", GENERATE, 32)


class Wrapper:
    """Does with ``model`` what OpenCompass 0.5.4's VLLM does (opencompass/models/vllm.py)."""

    def __init__(self, model: Any, temperature: float = 0.0, lora_path: str = "") -> None:
        self.model = model
        self.temperature = temperature
        self.lora_path = lora_path

    def generate(self, inputs: Sequence[str], max_out_len: int) -> list[str]:
        params = SamplingParams(temperature=self.temperature, max_tokens=max_out_len)
        if self.lora_path:
            lora = LoRARequest("sql_adapter", 1, self.lora_path)
            outputs = self.model.generate(inputs, params, lora_request=lora)
        else:
            outputs = self.model.generate(inputs, params)
        return [output.outputs[0].text for output in outputs]

    def get_ppl(self, inputs: Sequence[str], mask_length: Any = None) -> list[float]:
        outputs = self.model.generate(inputs, SamplingParams(prompt_logprobs=0, temperature=0.0))
        return [
            -sum(one[token].logprob for one, token in _rows(output)) / len(output.prompt_token_ids)
            for output in outputs
        ]


def _rows(output: Any) -> Any:
    return zip(output.prompt_logprobs[1:], output.prompt_token_ids[1:], strict=True)


def requests(abbr: str, count: int, call: Call = CALL) -> list[Request]:
    texts = [f"{abbr} asks {'x' * (i * 5 % 11)} {i}" for i in range(count)]
    return [
        Request(abbr, i, call, text, len(text), None, digest_of(call, text, None))
        for i, text in enumerate(texts)
    ]


class Run:
    """A stream over some requests, and what came of it."""

    def __init__(self, folder: Path, wrapper: Wrapper, threads: int = 6, seed: int = 0) -> None:
        self.llm = wrapper.model
        self.journal = Journal(folder / "answers.jsonl", "f" * 64)
        self.journal.start({})
        self.failed: dict[str, Reason] = {}
        self.said: list[str] = []
        self.parts: list[int] = []
        answerer: Any = EngineAnswerer({"generation": wrapper, "likelihood": wrapper}, seed)
        self.stream = Stream(
            [answerer] * threads,
            self.journal,
            lambda part, seconds: self.parts.append(len(part.requests)),
            self.failed.__setitem__,
            self.said.append,
        )

    def ask(self, asked: Sequence[Request], samples: int = 4) -> list[Answer | None]:
        limits = {method: BatchLimit(samples) for method in (GENERATE, PERPLEXITY)}
        self.stream.run(plan_batches(asked, limits, by_length=False))
        return [self.journal.answer(request) for request in asked]


def test_answers_are_those_of_one_call_of_generate(tmp_path: Path) -> None:
    asked = requests("mmlu", 50)
    expected = Wrapper(LLM("m"), lora_path="/lora").generate([r.input for r in asked], 32)
    answers = Run(tmp_path, Wrapper(LLM("m"), lora_path="/lora")).ask(asked)
    assert [answer.value for answer in answers if answer] == expected
    assert expected != Wrapper(LLM("m")).generate([r.input for r in asked], 32)


def test_tokens_and_cuts_come_from_the_engine(tmp_path: Path) -> None:
    answers = Run(tmp_path, Wrapper(LLM("m"))).ask(requests("mmlu", 30))
    by_ending = {
        (answer.value.endswith("and"), answer.tokens, answer.is_cut) for answer in answers if answer
    }
    # Cut by the limit: all 4 tokens. Ended: without the ending token. A stop text: to be counted.
    assert by_ending == {(True, 4, True), (False, 3, False), (False, None, False)}


def test_the_engine_is_kept_full_across_batches_and_subsets(tmp_path: Path) -> None:
    llm = LLM("m")
    llm.llm_engine.step_s = 0.01
    Run(tmp_path, Wrapper(llm), threads=8).ask(
        requests("mmlu", 60) + requests("gsm8k", 60), samples=4
    )
    occupancy = llm.llm_engine.occupancy
    # With a barrier after each batch of 4 it would compute about 3 at once, and never 8.
    assert sum(occupancy) / len(occupancy) > 0.8 * MAX_NUM_SEQS


def test_prompts_reach_the_engine_in_dataset_order(tmp_path: Path) -> None:
    asked = requests("mmlu", 40)
    run = Run(tmp_path, Wrapper(LLM("m")), threads=1)
    run.ask(asked)
    assert run.llm.llm_engine.prompts == [request.input for request in asked]


def test_sampling_is_seeded_by_request_and_survives_a_restart(tmp_path: Path) -> None:
    asked = requests("mmlu", 40)
    whole = Run(tmp_path / "whole", Wrapper(LLM("m"), temperature=1.0)).ask(asked)
    first = Run(tmp_path / "cut", Wrapper(LLM("m"), temperature=1.0), threads=1)
    first.ask(asked[:13], samples=5)
    second = Run(tmp_path / "cut", Wrapper(LLM("m"), temperature=1.0), threads=3)
    assert second.ask(asked, samples=7) == whole
    other = Run(tmp_path / "other", Wrapper(LLM("m"), temperature=1.0), seed=1).ask(asked)
    assert other != whole


def test_answers_are_kept_before_their_batch_is_whole(tmp_path: Path) -> None:
    llm = LLM("m")
    step, steps = llm.llm_engine.step, threading.Semaphore(3)

    def slow() -> Any:
        steps.acquire()
        return step()

    llm.llm_engine.step = slow  # type: ignore[method-assign]
    run = Run(tmp_path, Wrapper(llm), threads=1)
    asked = requests("mmlu", 20)
    thread = threading.Thread(target=run.ask, args=(asked, 20))
    thread.start()
    deadline = time.monotonic() + 30
    while not run.parts and time.monotonic() < deadline:
        time.sleep(0.01)
    assert 0 < sum(run.parts) < 20
    kept = Journal(tmp_path / "answers.jsonl", "f" * 64)
    assert sum(kept.answer(request) is not None for request in asked) == sum(run.parts)
    steps.release(1000)
    thread.join()
    assert sum(run.parts) == 20


def test_perplexities_go_through_the_wrapper(tmp_path: Path) -> None:
    call = Call("likelihood", PERPLEXITY)
    asked = requests("race", 9, call)
    expected = Wrapper(LLM("m")).get_ppl([request.input for request in asked])
    run = Run(tmp_path, Wrapper(LLM("m")))
    answers = run.ask(asked + requests("mmlu", 9))[:9]
    assert [answer.value for answer in answers if answer] == pytest.approx(expected)


def test_a_prompt_that_is_too_long_fails_its_subset_alone(tmp_path: Path) -> None:
    asked = requests("mmlu", 10) + requests("gsm8k", 10)
    asked[12] = Request("gsm8k", 2, CALL, "y" * (MAX_MODEL_LEN + 1), 9, None, "d")
    run = Run(tmp_path, Wrapper(LLM("m")))
    answers = run.ask(asked, samples=16)
    assert all(answers[:10])
    assert list(run.failed) == ["gsm8k"]
    assert "longer than the maximum" in run.failed["gsm8k"].message


def test_an_engine_that_dies_ends_the_stream(tmp_path: Path) -> None:
    llm = LLM("m")
    llm.llm_engine.dies_on = "asks  0"
    run = Run(tmp_path, Wrapper(llm))
    with pytest.raises(ModelGone, match="vLLM's engine ended: RuntimeError: EngineCore"):
        run.ask(requests("mmlu", 30))
    assert run.failed == {}


def test_front_answers_whoever_asks_it_directly() -> None:
    front = EngineFront(LLM("m"))
    outputs = front.generate(["a", "b"], SamplingParams(temperature=1.0))
    assert [output.prompt for output in outputs] == ["a", "b"]
    assert front.options == {"model": "m"}
