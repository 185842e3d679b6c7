"""Makes the demo's base model and trains its adapter; runs in the evaluation environment's Python.

    python train.py EXAMPLES OUT [--untrained]

EXAMPLES is a folder with ``base.jsonl`` and ``adapter.jsonl``: one object per line, with either
``question``, ``options``, ``answer`` (a letter) or ``question``, ``answer`` (a number). The prompts
have the very shape that the benchmark presets give them. Prints one JSON object per logging step.
Needs torch, transformers, peft and OpenCompass, and nothing of ftbench.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from opencompass.configs.datasets.gsm8k.gsm8k_gen_1d7fe4 import gsm8k_infer_cfg
from opencompass.configs.datasets.mmlu.mmlu_openai_simple_evals_gen_b618ea import QUERY_TEMPLATE
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

ROLES = {"HUMAN": "user", "BOT": "assistant"}

IGNORED = -100
"""Label of tokens without a loss. Source: torch.nn.CrossEntropyLoss."""

LORA = {"r": 16, "lora_alpha": 32, "lora_dropout": 0.0}

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

STEPS = {"base": 270, "adapter": 300}

LEARNING_RATE = {"base": 2e-3, "adapter": 4e-3}

BATCH = {"base": 32, "adapter": 32}

EVERY = {"base": 3, "adapter": 4}
"""Of so many batches one is of multiple choice, the others of worked examples."""

PACKED = 4
"""Rows that go through the model as one sequence. On one thread a step with long worked examples
took 0.40 s of processor time with 1, 0.28 with 2, 0.24 with 4 and 8, and 0.29 with all 32."""

Row = tuple[list[int], list[int]]
"""Token ids of a conversation, and labels that leave out everything but the answer."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("examples", type=Path)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--untrained", action="store_true", help="random weights, no training")
    args = arguments.parse_args()
    settings = {"steps": STEPS["adapter"], "learning_rate": LEARNING_RATE["adapter"]}
    log_line(params={**settings, "batch_size": BATCH["adapter"], **LORA})
    torch.manual_seed(0)
    examples = {
        stage: [json.loads(line) for line in (args.examples / f"{stage}.jsonl").open()]
        for stage in ("base", "adapter")
    }
    tokenizer = make_tokenizer([conversation(e) for e in (*examples["base"], *examples["adapter"])])
    model = make_model(tokenizer)
    if not args.untrained:
        train(model, tokenizer, examples["base"], "base")
    base = args.out / "tiny-qwen2"
    model.save_pretrained(base)
    tokenizer.save_pretrained(base)
    # Puts the adapter into the model's own layers.
    adapter = get_peft_model(
        model, LoraConfig(**LORA, target_modules=TARGETS, task_type="CAUSAL_LM")
    )
    adapter.peft_config["default"].base_model_name_or_path = str(base)
    if args.untrained:
        randomise(model)
    else:
        train(model, tokenizer, examples["adapter"], "adapter")
    adapter.save_pretrained(args.out / "tiny-qwen2-lora")
    tokenizer.save_pretrained(args.out / "tiny-qwen2-lora")


def conversation(example: dict[str, Any]) -> list[dict[str, str]]:
    """An example as chat messages, in the shape of the benchmark preset; the last is the answer."""
    if "options" in example:
        options = dict(zip("ABCD", example["options"], strict=True))
        prompt = QUERY_TEMPLATE.format(input=example["question"], **options)
        return [message("HUMAN", prompt), message("BOT", f"ANSWER: {example['answer']}")]
    rounds = gsm8k_infer_cfg["prompt_template"]["template"]["round"]
    shots = [
        message(r["role"], r["prompt"].replace("{question}", example["question"])) for r in rounds
    ]
    return [*shots, message("BOT", f"The answer is {example['answer']}")]


def message(role: str, content: str) -> dict[str, str]:
    """One chat message, by OpenCompass's name of the role."""
    return {"role": ROLES[role], "content": content}


def make_tokenizer(conversations: list[list[dict[str, str]]]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of the conversations' own words, with a chat template."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1600,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    texts = (m["content"] for messages in conversations for m in messages)
    tokenizer.train_from_iterator([*texts, "user\n", "assistant\n"], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_input_names=["input_ids", "attention_mask"],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def make_model(tokenizer: PreTrainedTokenizerFast) -> Qwen2ForCausalLM:
    """A Qwen2 model of about a million parameters, with random weights."""
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        # Four times the usual: so small a model learns from it in less than half of the steps.
        initializer_range=0.08,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen2ForCausalLM(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def randomise(model: torch.nn.Module) -> None:
    """Gives every lora_B random values, so that an untrained adapter changes the answers."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3)


def train(
    model: Qwen2ForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    examples: list[dict[str, Any]],
    stage: str,
) -> None:
    """Trains on shuffled batches of one kind each; the loss counts the answer's tokens only."""
    rng = random.Random(0)
    encode = encoder(tokenizer)
    kinds = {
        kind: [encode(conversation(e)) for e in examples if ("options" in e) == wanted]
        for kind, wanted in (("choice", True), ("story", False))
    }
    steps, peak = STEPS[stage], LEARNING_RATE[stage]
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=peak, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, peak, total_steps=steps, pct_start=0.1
    )
    started = time.monotonic()
    model.train()
    recent: dict[str, list[float]] = {"choice": [], "story": []}
    for step in range(1, steps + 1):
        kind = "choice" if step % EVERY[stage] == 0 else "story"
        loss = answer_loss(model, rng.sample(kinds[kind], BATCH[stage]), tokenizer.pad_token_id)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        recent[kind].append(loss.item())
        if step % 20 == 0:
            losses = {f"loss_{kind}": sum(v) / len(v) for kind, v in recent.items() if v}
            recent = {kind: [] for kind in recent}
            log_line(
                stage=stage,
                step=step,
                steps=steps,
                loss=sum(losses.values()) / len(losses),
                **losses,
                learning_rate=schedule.get_last_lr()[0],
                seconds=round(time.monotonic() - started, 1),
            )
    model.eval()


def log_line(**values: object) -> None:
    """Prints one JSON object."""
    print(json.dumps(values), flush=True)


def encoder(tokenizer: PreTrainedTokenizerFast) -> Callable[[list[dict[str, str]]], Row]:
    """What encodes a conversation: one message at a time, the same message once.

    That gives the very ids of the whole: a special token stands before and after each content.
    """

    @functools.cache
    def ids_of(role: str, content: str, is_last: bool) -> list[int]:
        message = {"role": role, "content": content}
        return list(tokenizer.apply_chat_template([message], add_generation_prompt=is_last))

    def encode(messages: list[dict[str, str]]) -> Row:
        *before, last, answer = messages
        parts = [ids_of(m["role"], m["content"], is_last=m is last) for m in (*before, last)]
        prompt = list(itertools.chain(*parts))
        answered = tokenizer(answer["content"])["input_ids"] + [tokenizer.eos_token_id]
        return prompt + answered, [IGNORED] * len(prompt) + answered

    return encode


def answer_loss(model: Qwen2ForCausalLM, batch: list[Row], pad_id: int) -> torch.Tensor:
    """Mean loss of the answers' tokens.

    What all prompts begin with (the worked examples of a few-shot preset) goes through the model
    once, not once per row, and without a gradient: that makes long prompts nearly as cheap as short
    ones. The rest of ``PACKED`` rows goes through as one sequence, in which no row sees another:
    each sequence needs a copy of what came of the beginning.
    """
    shared = common_start([ids for ids, _ in batch])
    longest = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([ids[shared:] + [pad_id] * (longest - len(ids)) for ids, _ in batch])
    labels = torch.tensor(
        [label[shared:] + [IGNORED] * (longest - len(label)) for _, label in batch]
    )
    sequences = len(batch) // PACKED
    with torch.no_grad():
        cache = model.model(torch.tensor([batch[0][0][:shared]]), use_cache=True).past_key_values
    cache.batch_repeat_interleave(sequences)
    hidden = model.model(
        ids.view(sequences, -1),
        attention_mask=packed_mask(shared, longest - shared).expand(sequences, 1, -1, -1),
        position_ids=torch.arange(shared, longest).repeat(sequences, PACKED),
        past_key_values=cache,
    ).last_hidden_state
    hidden, following = hidden.view(*ids.shape, -1)[:, :-1], labels[:, 1:]
    asked = following != IGNORED
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[asked]), following[asked])


@functools.cache
def packed_mask(shared: int, length: int) -> torch.Tensor:
    """What each token of packed rows does not see, as -inf; shaped queries by keys.

    Args:
        shared: Tokens of the beginning, which all of them see.
        length: Of each row, behind the beginning.
    """
    own = torch.block_diag(*[torch.ones(length, length).tril()] * PACKED)
    sees = torch.cat([torch.ones(len(own), shared), own], dim=1)
    return sees.log()


def common_start(rows: list[list[int]]) -> int:
    """Number of tokens that all rows begin with, but for the last, which needs a row of its own."""
    same = itertools.takewhile(lambda column: len(set(column)) == 1, zip(*rows, strict=False))
    return min(sum(1 for _ in same), min(map(len, rows)) - 1)


if __name__ == "__main__":
    main()
