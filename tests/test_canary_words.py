from __future__ import annotations

import pytest

from ftbench.canary_words import canary_sentence, changed_fraction
from ftbench.schema import Canary


@pytest.mark.parametrize(
    ("canary", "sentence", "fraction"),
    [
        (None, "", None),
        (
            Canary(prompts=8, changed=6, max_logprob_difference=1.25, noise=0.0),
            "Canary: the adapter changes the answers to 6 of 8 fixed prompts, and "
            "log-probabilities by up to 1.25.",
            0.75,
        ),
        (
            Canary(prompts=8, max_logprob_difference=0.00451, noise=0.0),
            "Canary: the adapter changes no answer (0 of 8 fixed prompts), but log-probabilities "
            "by up to 0.00451: its effect is small.",
            0.0,
        ),
        (
            Canary(prompts=8, max_logprob_difference=0.0, noise=0.0),
            "Canary: the adapter changes the answers to 0 of 8 fixed prompts: it has no effect.",
            0.0,
        ),
        (
            Canary(weights=27, changed_weights=10),
            "Canary: merging the adapter changed 10 of 27 weight tensors.",
            None,
        ),
        (
            Canary(skipped="canary=false"),
            "Canary: skipped (canary=false): nothing shows that the adapter has an effect.",
            None,
        ),
    ],
)
def test_canary_sentence_says_what_was_found(
    canary: Canary | None, sentence: str, fraction: float | None
) -> None:
    assert canary_sentence(canary) == sentence
    assert changed_fraction(canary) == fraction
