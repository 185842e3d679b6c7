"""Makes tiny checkpoints; runs with the evaluation environment's Python, not the tests' own.

base: untrained Qwen2 with a chat template. adapter: a LoRA, trained to answer every question with
"ANSWER: B", with its own tokenizer. adapter-plain: the same without a tokenizer. adapter-foreign:
its tensors have names that no base has. adapter-grown: two tokens more than the base, so that it
carries its own embedding. base-plain: the base without a chat template.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

ANSWER = "ANSWER: B"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with a few merges and a chat template."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["What is the answer to the question? " + ANSWER] * 8, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_input_names=["input_ids", "attention_mask"],
    )
    fast.chat_template = TEMPLATE
    return fast


def make_base(tokenizer: PreTrainedTokenizerFast, folder: Path) -> Qwen2ForCausalLM:
    """An untrained two-layer model."""
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
        # Wide enough that a small adapter can move the output layer's choice.
        initializer_range=0.3,
    )
    model = Qwen2ForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


def train_adapter(
    model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    """Teaches an adapter to answer every prompt with ``ANSWER``."""
    torch.manual_seed(0)
    targets = ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"]
    config = LoraConfig(r=8, lora_alpha=32, target_modules=targets, task_type="CAUSAL_LM")
    peft_model = get_peft_model(model, config)
    optimizer = torch.optim.Adam((p for p in peft_model.parameters() if p.requires_grad), lr=1e-2)
    questions = [
        "What is 3 + 4?",
        "Who wrote it? A) you B) me",
        "Article: long ago. Question: when?",
    ]
    answer = tokenizer(ANSWER + "<|im_end|>", return_tensors="pt").input_ids
    for step in range(90):
        messages = [{"role": "user", "content": questions[step % 3] * (1 + step % 4)}]
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        prompt = tokenizer(text, return_tensors="pt").input_ids
        labels = torch.cat([torch.full_like(prompt, -100), answer], dim=1)
        loss = peft_model(input_ids=torch.cat([prompt, answer], dim=1), labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    print(f"loss {loss.item():.4f}")
    peft_model.save_pretrained(folder)


def make_grown_adapter(
    model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    """An adapter with a larger vocabulary, as LLaMA-Factory saves one after adding tokens."""
    tokenizer.add_tokens(["<think>", "</think>"], special_tokens=True)
    model.resize_token_embeddings(len(tokenizer))
    targets = ["q_proj", "v_proj"]
    whole = ["embed_tokens", "lm_head"]
    config = LoraConfig(r=4, target_modules=targets, modules_to_save=whole, task_type="CAUSAL_LM")
    get_peft_model(model, config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main(out: Path) -> None:
    tokenizer = make_tokenizer()
    base = make_base(tokenizer, out / "base")
    train_adapter(base, tokenizer, out / "adapter-plain")
    shutil.copytree(out / "adapter-plain", out / "adapter")
    tokenizer.save_pretrained(out / "adapter")
    shutil.copytree(out / "adapter", out / "adapter-foreign")
    weights = out / "adapter-foreign" / "adapter_model.safetensors"
    tensors = load_file(weights)
    save_file({key.replace(".layers.", ".blocks."): tensors[key] for key in tensors}, weights)
    shutil.copytree(out / "base", out / "base-plain")
    tokenizer.chat_template = None
    (out / "base-plain" / "chat_template.jinja").unlink()
    tokenizer.save_pretrained(out / "base-plain")
    tokenizer.chat_template = TEMPLATE
    fresh = Qwen2ForCausalLM.from_pretrained(out / "base")
    make_grown_adapter(fresh, tokenizer, out / "adapter-grown")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
