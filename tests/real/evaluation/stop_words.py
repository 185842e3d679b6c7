"""Looks for stop words with OpenCompass's own criterion, and with the one that remembers.

Run in the evaluation environment; prints one JSON object: for each set of stop words what the two
said after every step, which rows they took to be done, and how many rows each decoded.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from ftbench_eval.stop_words import decode_ends_once
from opencompass.models import huggingface_above_v4_33 as module
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

ROWS, STEPS = 40, 300
STOP_WORDS = (["<end>"], ["<end>", "ab"], ["bca", "\n\n"])


class Counting(PreTrainedTokenizerFast):
    """A tokenizer that counts the rows it decodes."""

    rows = 0

    def batch_decode(self, sequences: Any, **options: Any) -> list[str]:
        Counting.rows += len(sequences)
        texts: list[str] = super().batch_decode(sequences, **options)
        return texts


def make_tokenizer() -> Counting:
    vocabulary = {sign: number for number, sign in enumerate([*"abc\n", "<end>"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(["<end>"])
    return Counting(tokenizer_object=tokenizer)


def look(stop_words: list[str]) -> dict[str, Any]:
    """After every step, until all rows are done."""
    torch.manual_seed(0)
    ids = torch.randint(0, 5, (ROWS, STEPS + 5))
    Counting.rows = 0
    (criterion,) = module._get_stopping_criteria(stop_words, make_tokenizer(), ROWS)
    said = [
        [bool(criterion(ids[:, : 5 + step], None)), list(criterion.done_tracker)]
        for step in range(STEPS)
    ]
    return {"said": said, "decoded": Counting.rows}


def main() -> None:
    own = [look(words) for words in STOP_WORDS]
    decode_ends_once()
    decode_ends_once()
    remembered = [look(words) for words in STOP_WORDS]
    print(json.dumps([own, remembered]))


if __name__ == "__main__":
    main()
