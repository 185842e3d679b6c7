"""How many examples stand before each question, where the preset lets choose."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ftbench.catalogue import Catalogue
from ftbench.preset import Preset, is_usable
from ftbench_eval.reasons import Refused

_RETRIEVERS = "opencompass.openicl.icl_retriever"

_LONG_PROMPT = 1500
"""Characters of fixed text from which on a prompt may hold examples that nothing marks as such."""


def choose_shots(config: Any, shots: int) -> bool:
    """Puts a number of examples before each question.

    Returns:
        Whether that is possible: the preset takes examples from its training rows, or has that
        number already.

    Side effects: changes the retriever in ``config``.
    """
    infer = config["infer_cfg"]
    retriever = infer.get("retriever") or {}
    kind = _type_name(retriever)
    if kind not in ("FixKRetriever", "ZeroRetriever"):
        return False
    ids = list(retriever.get("fix_id_list") or [])
    if len(ids) == shots and (ids or written_shots(infer) == 0):
        return True
    if not _takes_examples(infer):
        return written_shots(infer) == shots
    if not shots:
        infer["retriever"] = {"type": f"{_RETRIEVERS}.ZeroRetriever"}
        return True
    unused = (i for i in itertools.count() if i not in ids)
    kept = {key: value for key, value in retriever.items() if key != "type"}
    infer["retriever"] = {
        **(kept if kind == "FixKRetriever" else {}),
        "type": f"{_RETRIEVERS}.FixKRetriever",
        "fix_id_list": [*ids, *itertools.islice(unused, shots)][:shots],
    }
    return True


def written_shots(infer: Any) -> int | None:
    """Examples that are written into the prompt; None when that cannot be told.

    Args:
        infer: ``infer_cfg`` of a dataset config.
    """
    template = (infer.get("prompt_template") or {}).get("template")
    if hasattr(template, "keys") and not {"round", "begin"} & set(template.keys()):
        template = next(iter(template.values()), None)  # one for each label (perplexity)
    if not hasattr(template, "keys"):
        return 0 if isinstance(template, str) and len(template) < _LONG_PROMPT else None
    begin = template.get("begin")
    turns = [*(begin if isinstance(begin, list) else []), *(template.get("round") or [])]
    turns = [turn for turn in turns if hasattr(turn, "get")]
    asked = [i for i, turn in enumerate(turns) if turn.get("role") == "HUMAN"]
    last = max(asked, default=0)
    answered = sum(turn.get("role") == "BOT" for turn in turns[:last])
    text = sum(len(str(turn.get("prompt", ""))) for turn in turns)
    return answered if answered or text < _LONG_PROMPT else None


def refuse_shots(
    preset: Preset,
    shots: int,
    catalogue: Catalogue,
    load: Callable[[Path], list[Any]],
    folder: Path,
) -> Refused:
    """Says that a preset cannot have this number of examples, and which others of its family can.

    Args:
        load: Reads a preset file.
        folder: Where presets lie.
    """
    able = []
    for other in catalogue.presets(preset.family) if preset.family else []:
        if other.path == preset.path or not is_usable(other):
            continue
        try:
            if all(choose_shots(config, shots) for config in load(folder / other.path)):
                able.append(other.name)
        except Exception:  # foreign code; a preset that does not load is no advice
            continue
    message = f"num_shots={shots}: the examples of {preset.name} cannot be chosen"
    offer = f"; presets with {shots}: {', '.join(able)}" if able else ", nor those of its family"
    return Refused("unsupported", f"{message}{offer if preset.family else ''}")


def _takes_examples(infer: Any) -> bool:
    """Whether examples have a template, and a mark in the prompt where they go."""
    examples, prompt = infer.get("ice_template"), infer.get("prompt_template")
    marked = prompt if prompt else examples
    return bool(examples and marked and marked.get("ice_token"))


def _type_name(config: Any) -> str:
    kind = config.get("type", "")
    return str(kind.rpartition(".")[2] if isinstance(kind, str) else kind.__name__)
