"""The evaluation program with its real model, which thinks for an hour after some batches.

    python pensive_program.py BATCHES

What a test does to the program meanwhile meets it in the middle of an inference, on any machine.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from ftbench_eval import evaluation
from ftbench_eval.main import main
from ftbench_eval.model_load import LoadedModel


def pensive(generate: Callable[..., Any], batches: int) -> Callable[..., Any]:
    """A model's ``generate`` that is quick only so many times."""
    done = 0

    def think(*args: Any, **options: Any) -> Any:
        nonlocal done
        if done == batches:
            time.sleep(3600)
        done += 1
        return generate(*args, **options)

    return think


if __name__ == "__main__":
    load_model = evaluation.load_model

    def load_pensive(*args: Any, **options: Any) -> LoadedModel:
        loaded = load_model(*args, **options)
        for wrapper in loaded.wrappers.values():
            wrapper.generate = pensive(wrapper.generate, int(sys.argv[1]))
        return loaded

    evaluation.load_model = load_pensive
    os.environ["CANARY"] = "false"  # its prompts are no batches to be counted
    sys.exit(main(os.environ))
