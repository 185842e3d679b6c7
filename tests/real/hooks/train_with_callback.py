"""A short LoRA training with transformers' Trainer and the callback, as a user's script has it.

Runs in the training environment:

    python train_with_callback.py '{"base": ..., "output_dir": ..., "callback": {...}, ...}'

Keys: ``training`` are further TrainingArguments, ``callback`` the callback's arguments, ``resume``
goes on from the last checkpoint, ``evaluate`` calls ``trainer.evaluate()`` after the training,
``trl`` trains with TRL's SFTTrainer.
"""

import json
import sys

from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

from ftbench.hooks import BenchmarkCallback

wanted = json.loads(sys.argv[1])
callback = BenchmarkCallback(**wanted["callback"])
tokenizer = AutoTokenizer.from_pretrained(wanted["base"])
model = AutoModelForCausalLM.from_pretrained(wanted["base"])
lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
texts = ["one two three four five six seven eight", "eight seven six five four three two one"]
arguments = {
    "output_dir": wanted["output_dir"],
    "per_device_train_batch_size": 2,
    "learning_rate": 0.01,
    "logging_steps": 1,
    "report_to": "mlflow",
    "disable_tqdm": True,
    "use_cpu": True,
    **wanted["training"],
}

if wanted.get("trl"):
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(**arguments),
        train_dataset=Dataset.from_list([{"text": text} for text in texts * 8]),
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[callback],
    )
else:
    rows = [tokenizer(text) for text in texts]
    rows = [{"input_ids": row["input_ids"], "labels": row["input_ids"]} for row in rows]
    longest = max(len(row["input_ids"]) for row in rows)
    rows = [{key: (ids * longest)[:longest] for key, ids in row.items()} for row in rows]
    trainer = Trainer(
        model=get_peft_model(model, lora),
        args=TrainingArguments(**arguments),
        train_dataset=rows * 8,
        eval_dataset=rows,
        processing_class=tokenizer,
        callbacks=[callback],
    )
trainer.train(resume_from_checkpoint=wanted.get("resume", False))
trainer.save_model()
if wanted.get("evaluate"):
    trainer.evaluate()
