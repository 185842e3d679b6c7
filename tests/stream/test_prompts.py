"""The stand-in for the model notes and answers what an inferencer asks, each kind on its own."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from ftbench_eval.presets import LIKELIHOOD
from ftbench_eval.stream.prompts import _StandIn
from ftbench_eval.stream.requests import Call


def generate(inputs: list[str], max_out_len: int) -> list[str]:
    return inputs


def test_perplexities_with_and_without_a_mask_never_share_a_batch() -> None:
    calls: list[Call] = []

    def respond(call: Call, inputs: Sequence[Any], masks: Sequence[int | None]) -> list[Any]:
        calls.append(call)
        return [1.0 if masked is None else 2.0 for masked in masks]

    wrapper = SimpleNamespace(
        template_parser=None,
        generation_kwargs={},
        generate=generate,
        parse_template=lambda templates, mode: templates,
    )
    model = _StandIn(LIKELIHOOD, wrapper, len, respond)
    assert model.get_ppl_from_template(["a", "b"]).tolist() == [1.0, 1.0]
    assert model.get_ppl_from_template(["a"], mask_length=[1]).tolist() == [2.0]
    assert calls[0] != calls[1]
