"""The evaluation program with a model that answers by a script, in the evaluation environment.

Only the model is another one: ``load_model`` gives it in place of the checkpoint's weights.
    python scripted_program.py SCRIPT.json      the script is what ``tests.benchmarks.script`` gives
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from ftbench_eval import evaluation
from ftbench_eval.main import main
from ftbench_eval.model_load import LoadedModel


def scripted_wrapper(replies: dict[str, str]) -> Any:
    """An OpenCompass model that finds one marker in each prompt and answers as the script says."""
    import numpy as np
    from opencompass.models.base import BaseModel

    class ScriptedModel(BaseModel):
        model = None

        def generate(self, inputs: list[Any], max_out_len: int, **_options: Any) -> list[str]:
            return [replies[self._marker(_text(prompt))] for prompt in inputs]

        def get_ppl(self, inputs: list[Any], mask_length: Any = None) -> Any:
            texts = [_text(prompt) for prompt in inputs]
            likely = [text.endswith(replies[self._marker(text)]) for text in texts]
            return np.array([1.0 if is_likely else 2.0 for is_likely in likely])

        def get_token_len(self, prompt: str) -> int:
            return len(prompt.split())

        def _marker(self, prompt: str) -> str:
            found = [marker for marker in replies if marker in prompt]
            if len(found) != 1:
                raise LookupError(f"{len(found)} markers in: {prompt[-200:]}")
            return found[0]

    return ScriptedModel("scripted", max_seq_len=10**6)


def _text(prompt: Any) -> str:
    """Of a prompt that may be a list of turns."""
    return prompt if isinstance(prompt, str) else "\n".join(turn["prompt"] for turn in prompt)


if __name__ == "__main__":
    script = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))

    def load_scripted(configs: Any, adapter: Any) -> LoadedModel:
        wrappers = {role: scripted_wrapper(script[role]) for role in configs}
        return LoadedModel(wrappers, 0, "script", "none", 0.0)

    evaluation.load_model = load_scripted
    os.environ["CANARY"] = "false"  # the script has no adapter
    sys.exit(main(os.environ))
