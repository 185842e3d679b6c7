"""The backend without ftbench, for ``gpu_throughput.py``; runs in the evaluation environment.

    gpu_alone.py make TOKENIZER_FOLDER FOLDER      a model of 1.5 B parameters, random weights
    gpu_alone.py transformers|vllm MODEL ASKED     prints the seconds that all prompts take

Loading the model is not in them; every prompt writes as many tokens as it did in the evaluation.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path


def make(tokenizer_folder: str, folder: str) -> None:
    """The shape of Qwen2.5-1.5B around the demo's small tokenizer."""
    import torch
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    config = Qwen2Config(
        vocab_size=151936,
        hidden_size=1536,
        intermediate_size=8960,
        num_hidden_layers=28,
        num_attention_heads=12,
        num_key_value_heads=2,
        max_position_embeddings=32768,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.set_default_dtype(torch.bfloat16)
    # On a processor the numbers of 1.5 B weights take more than a minute.
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = Qwen2ForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    name_all_tokens(Path(folder) / "tokenizer.json", config.vocab_size)


def name_all_tokens(path: Path, size: int) -> None:
    """Gives the tokenizer a word for every token that the model can write.

    No text is split into one of them, as no merge makes it.
    """
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    words = tokenizer["model"]["vocab"]
    words.update({f"\u0120w{number}": number for number in range(len(words), size)})
    path.write_text(json.dumps(tokenizer), encoding="utf-8")


def run_transformers(model_folder: str, asked: dict[str, object]) -> float:
    """Batches of as many samples and tokens as ftbench took, the longest first."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device = "auto" if asked["num_gpus"] else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(model_folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(
        model_folder, dtype="auto", device_map=device
    ).eval()
    texts = chats(tokenizer, asked["prompts"])
    texts.sort(key=lambda pair: (pair[1], -len(pair[0])))
    limits = [int(number) for number in re.findall(r"\d+", str(asked["batches"]))[:2]]
    samples, tokens = limits[0], limits[1] if len(limits) == 2 else None
    began = time.monotonic()
    while texts:
        count = samples
        if tokens is not None:
            longest = max(len(tokenizer(text).input_ids) + out for text, out in texts[:samples])
            count = max(1, min(samples, tokens // longest))
        batch, texts = texts[:count], texts[count:]
        inputs = tokenizer([text for text, _ in batch], padding=True, return_tensors="pt")
        new = max(out for _, out in batch)
        with torch.no_grad():
            model.generate(
                **inputs.to(model.device), max_new_tokens=new, min_new_tokens=new, do_sample=False
            )
    return time.monotonic() - began


def run_vllm(model_folder: str, asked: dict[str, object]) -> float:
    """All prompts at once."""
    from vllm import LLM, SamplingParams

    llm = LLM(model_folder, tensor_parallel_size=int(str(asked["num_gpus"])))
    texts = chats(llm.get_tokenizer(), asked["prompts"])
    params = [SamplingParams(temperature=0, max_tokens=max(1, out)) for _, out in texts]
    llm.generate([texts[0][0]], params[0])  # what the first call prepares
    began = time.monotonic()
    llm.generate([text for text, _ in texts], params)
    return time.monotonic() - began


def chats(tokenizer: object, prompts: object) -> list[tuple[str, int]]:
    """The texts that the model reads, each with the tokens that it wrote."""
    assert isinstance(prompts, list)
    template = getattr(tokenizer, "apply_chat_template")  # noqa: B009 - a tokenizer is foreign
    return [
        (
            template(
                [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
            ),
            out,
        )
        for prompt, out in prompts
        if out
    ]


if __name__ == "__main__":
    kind, first, second = sys.argv[1:4]
    if kind == "make":
        make(first, second)
    else:
        job = json.loads(Path(second).read_text(encoding="utf-8"))
        ways = {"transformers": run_transformers, "vllm": run_vllm}
        print(f"{ways[kind](first, job):.3f}")
