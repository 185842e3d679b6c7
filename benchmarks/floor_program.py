"""Generates what a run generated, and nothing else; runs in the evaluation environment.

    python floor_program.py CONFIG FOLDER

CONFIG is the OpenCompass config that a run wrote. OpenCompass's own task makes the prompts and the
batches, subset by subset, and its own wrapper answers them; only the time inside
``wrapper.generate`` counts. Predictions go to FOLDER. Prints one JSON object.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmengine.config.utils
import torch
from mmengine.config import Config, ConfigDict
from opencompass.tasks import OpenICLInferTask
from opencompass.utils import build_model_from_cfg


class Clock:
    """Counts the seconds, calls and inputs of one function."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.processor_seconds = 0.0
        self.calls = 0
        self.inputs = 0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        # OpenCompass looks at the signature of generate, which wraps() keeps visible.
        @functools.wraps(function)
        def clocked(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            started, used = time.monotonic(), time.process_time()
            answers = function(inputs, *args, **kwargs)
            self.seconds += time.monotonic() - started
            self.processor_seconds += time.process_time() - used
            self.calls += 1
            self.inputs += len(inputs)
            return answers

        return clocked


def main(config_path: Path, folder: Path) -> None:
    # As OpenCompass's own command does not: its Python is not that of a virtual environment.
    mmengine.config.utils.PYTHON_ROOT_DIR = sys.base_prefix
    config = Config.fromfile(str(config_path), format_python_code=False)
    (model_config,) = config["models"]
    model = build_model_from_cfg(ConfigDict(model_config))
    clock = Clock()
    model.generate = clock.around(model.generate)
    for dataset in config["datasets"]:
        task = ConfigDict(models=[model_config], datasets=[[dataset]], work_dir=str(folder))
        OpenICLInferTask(task).run(cur_model=model, cur_model_abbr=model_config["abbr"])
    print(json.dumps({**vars(clock), "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
