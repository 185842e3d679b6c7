"""Which params tell an experiment's benchmark runs apart: the columns worth a place on the page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

MAX_SHOWN = 8
_MAX_TEXT = 40

_FIRST = (
    "base_model",
    "setting",
    "step",
    "adapter.r",
    "adapter.lora_alpha",
    "train.learning_rate",
    "train.num_train_epochs",
)
_NOT_SHOWN = re.compile(
    # The run's name says which adapter it is; where and when it ran says nothing about a score.
    r"adapter|base_identity|model\..*|timeout|workspace|runtime\..*|tracking\..*|reuse|suite"
    r"|datasets|data_dir|flag_above|canary|download|training\..*"
    r"|.*(_dir|_name|_path|_id|output|logging|report_to|push_to).*",
    re.IGNORECASE,
)


def differing_params(params: Sequence[Mapping[str, str]]) -> list[str]:
    """Names of the params that differ between runs, the most telling first.

    Args:
        params: Of each run; those of base models are left out by the caller.

    Returns:
        At most 8 names. A word that is different in every run names it and is left out; what one
        param says, such as the setting's label, no second one says again.
    """
    names = dict.fromkeys(name for own in params for name in own)
    found = [name for name in names if _tells_apart(name, params)]
    settings = {own.get("setting", "") for own in params}
    groups = [[own for own in params if own.get("setting", "") == one] for one in settings]
    kept = [name for name in found if not _is_in_label(name, found, groups)]
    order = {name: index for index, name in enumerate(_FIRST)}
    kept.sort(key=lambda name: order.get(name, len(order)))
    telling: dict[tuple[int, ...], str] = {}
    for name in kept:
        telling.setdefault(_partition([own.get(name, "") for own in params]), name)
    return list(telling.values())[:MAX_SHOWN]


def _partition(values: Sequence[str]) -> tuple[int, ...]:
    """Which runs have the same value, whatever it is."""
    return tuple(values.index(value) for value in values)


def _tells_apart(name: str, params: Sequence[Mapping[str, str]]) -> bool:
    if _NOT_SHOWN.fullmatch(name) and name not in _FIRST:
        return False
    values = [own[name] for own in params if name in own]
    if len(set(values)) + (len(values) < len(params)) < 2 or max(map(len, values)) > _MAX_TEXT:
        return False
    is_name = len(values) > 3 and len(set(values)) == len(values)
    return name in _FIRST or not is_name or all(map(_is_number, values))


def _is_in_label(
    name: str, found: Sequence[str], groups: Sequence[Sequence[Mapping[str, str]]]
) -> bool:
    """A key of the configuration that differs only where the setting's label does."""
    if "setting" not in found or name in _FIRST or name.startswith(("train.", "adapter.")):
        return False
    return all(len({own.get(name) for own in group}) == 1 for group in groups)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
