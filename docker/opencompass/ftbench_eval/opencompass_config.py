"""The resolved OpenCompass config: built as an object, written by the library, run by anyone.

``opencompass configs/ftbench.py -w DIR`` gives the same predictions and scores as this program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftbench.schema import write_atomically
from ftbench_eval.presets import Subset

ONE_TASK = 100_000
"""More model-dataset pairs than any run has: all go into one task, which imports Python once."""


def build_config(
    models: Mapping[str, dict[str, Any]], subsets: Sequence[Subset], work_dir: Path
) -> dict[str, Any]:
    """Puts models, datasets and the stock command's runners together.

    Args:
        models: OpenCompass model config by role (``Subset.role``); those of unused roles are left
            out.
        subsets: What to run, in order.
        work_dir: Where the stock command writes unless it is given ``-w``.
    """
    roles = [role for role in models if any(subset.role == role for subset in subsets)]
    config: dict[str, Any] = {
        "models": [models[role] for role in roles],
        "datasets": [subset.config for subset in subsets],
        "infer": {
            "partitioner": {
                "type": "opencompass.partitioners.NaivePartitioner",
                "n": ONE_TASK,
            },
            "runner": _runner("opencompass.tasks.OpenICLInferTask"),
        },
        "eval": {
            "partitioner": {
                "type": "opencompass.partitioners.NaivePartitioner",
                "n": ONE_TASK,
            },
            "runner": _runner("opencompass.tasks.OpenICLEvalTask", dump_details=True),
        },
        "work_dir": str(work_dir),
    }
    if len(roles) > 1:
        config["model_dataset_combinations"] = [
            {
                "models": [models[role]],
                "datasets": [subset.config for subset in subsets if subset.role == role],
            }
            for role in roles
        ]
    return config


def write_config(config: dict[str, Any], path: Path) -> Any:
    """Writes a config as Python and reads it back.

    Reading it back turns classes into their names, which OpenCompass's registries need.

    Returns:
        The mmengine ``Config`` as read back.
    """
    from mmengine.config import Config

    # Not formatted by yapf: that takes seconds for a large config and changes little.
    text = Config(config, format_python_code=False).pretty_text
    write_atomically(path, text)
    return Config.fromfile(str(path), format_python_code=False)


def use_real_python_root() -> None:
    """Lets mmengine recognise the standard library where Python runs in a virtual environment.

    Without it a preset that imports, say, ``copy`` at its top fails with an empty RuntimeError
    (mmengine-lite 0.11.0rc3).

    Side effects: changes a constant of mmengine.
    """
    import sys

    import mmengine.config.utils

    mmengine.config.utils.PYTHON_ROOT_DIR = sys.base_prefix


def _runner(task: str, **options: Any) -> dict[str, Any]:
    return {
        "type": "opencompass.runners.LocalRunner",
        "max_num_workers": 1,
        "task": {"type": task, **options},
    }
