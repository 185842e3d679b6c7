"""Counts tokens with real tokenizers, as the program does and by the tokenizer's own lists.

Run in the evaluation environment; prints one JSON object.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from ftbench_eval.extract import token_counts
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertTokenizer, PreTrainedTokenizerFast

TEXTS = ["", "a b c", "<s> a <s>", "é 🙂 \n\n x", "abc " * 900, *(f"row {n}" for n in range(600))]


def fast() -> PreTrainedTokenizerFast:
    """A tokenizer whose file asks for padding, truncation and special tokens around each text."""
    signs = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {sign: number for number, sign in enumerate([*signs, "ab", "<s>"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("a", "b")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A <s>", special_tokens=[("<s>", vocabulary["<s>"])]
    )
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=9)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<s>")


def slow() -> BertTokenizer:
    """One that is written in Python."""
    with tempfile.TemporaryDirectory() as folder:
        words = Path(folder) / "vocab.txt"
        words.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "row"]))
        return BertTokenizer(str(words))


def main() -> None:
    found = {}
    for name, make in (("fast", fast), ("slow", slow)):
        counted = token_counts(make(), TEXTS)
        lists = make()(TEXTS, add_special_tokens=False, verbose=False)["input_ids"]
        found[name] = [counted, [len(ids) for ids in lists]]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
