"""Asks the model: one subset at a time, with OpenCompass's own inference task."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ftbench_eval.presets import LIKELIHOOD, Subset


def infer_subset(
    subset: Subset, model: Any, model_config: dict[str, Any], work_dir: Path, seed: int
) -> None:
    """Writes ``predictions/<model>/<abbr>.json``; goes on from partial predictions.

    Args:
        subset: What to ask.
        model: OpenCompass wrapper with the weights loaded.
        model_config: The config it was built from.
        work_dir: The run folder.
        seed: Of every random generator, set anew so that subsets do not depend on each other.

    Raises:
        Exception: Whatever OpenCompass raises.
    """
    from mmengine.config import ConfigDict
    from opencompass.tasks import OpenICLInferTask

    set_seeds(seed)
    config = ConfigDict(models=[model_config], datasets=[[subset.config]], work_dir=str(work_dir))
    OpenICLInferTask(config).run(cur_model=model, cur_model_abbr=model_config["abbr"])


def set_seeds(seed: int) -> None:
    """Seeds Python's, numpy's and torch's random generators."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def count_calls(model: Any, on_inputs: Callable[[int], None]) -> None:
    """Reports how many inputs the model has just answered, after every batch.

    Args:
        model: OpenCompass wrapper.
        on_inputs: Called with the number of inputs in the batch.

    Side effects: puts counting functions before ``generate`` and ``get_ppl`` of this one object.
    """
    for name in ("generate", "get_ppl"):
        original = getattr(model, name, None)
        if original is not None:
            setattr(model, name, _counted(original, on_inputs))


def inputs_per_sample(subset: Subset) -> int:
    """How often the model is asked per sample: once, or once per label for perplexity."""
    if subset.role != LIKELIHOOD:
        return 1
    template = subset.config["infer_cfg"].get("prompt_template") or {}
    labels = template.get("template")
    if not isinstance(labels, dict) or {"round", "begin"} & labels.keys():
        return 1
    return len(labels)


def _counted(original: Callable[..., Any], on_inputs: Callable[[int], None]) -> Callable[..., Any]:
    # OpenCompass looks at the signature of generate, which wraps() keeps visible.
    @functools.wraps(original)
    def counted(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        answers = original(inputs, *args, **kwargs)
        on_inputs(len(inputs))
        return answers

    return counted
