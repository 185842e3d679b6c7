"""The options of each dataset: said for all of them, or for one under ``per_dataset``.

    per_dataset.humaneval+.limit=20 'per_dataset.mmlu:ppl.test_range=[10:20]'

Hydra's grammar takes no ``+`` or ``:`` in a key and reads ``[10:20]`` as a list, so these overrides
are put into its own words first.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ftbench.errors import Problem
from ftbench.options import OPTION_NAMES, DatasetOptions, contradictions, wrong_values
from ftbench.own_rows import own_name
from ftbench.preset import normalise
from ftbench.training_command import in_hydras_words as with_quotes

_OVERRIDE = re.compile(
    r"\+{0,2}(?P<group>gate\.)?per_dataset\.(?P<name>.+)\.(?P<option>\w+)=(?P<value>.*)",
    re.DOTALL,
)

_RANGES = re.compile(r"\[[^\[\]]*\](,\[[^\[\]]*\])*")

_PLAIN = re.compile(r"[\w/\-+.$%*@?|]")
"""Characters that Hydra 1.3 takes unescaped in the key of a dictionary."""

_ALTERNATIVES = {"split": "test_range", "test_range": "split"}


def in_hydras_words(override: str) -> str:
    """An override as Hydra understands it; one that it understands already stays as it is.

    Args:
        override: As on the command line; values may be sweeps, such as ``1,2``.
    """
    found = _OVERRIDE.fullmatch(override)
    if not found:
        override = with_quotes(override)
        key, sign, value = override.partition("=")
        is_range = key.lstrip("+") == "test_range" and _RANGES.fullmatch(value)
        return f"{key}{sign}{_quoted_ranges(value)}" if is_range else override
    group, name, option, value = found.group("group", "name", "option", "value")
    key = re.sub(r".", lambda m: m[0] if _PLAIN.match(m[0]) else "\\" + m[0], name)
    if option == "test_range" and _RANGES.fullmatch(value):
        value = _quoted_ranges(value)
    values = _top_level_parts(value)
    entries = ",".join(f"{{{key}:{{{option}:{part}}}}}" for part in values)
    return f"+{group or ''}per_dataset={entries}"


def _quoted_ranges(value: str) -> str:
    return ",".join(f'"{part}"' for part in re.findall(r"\[[^\[\]]*\]", value))


def _top_level_parts(value: str) -> list[str]:
    """A sweep's values: what stands between commas outside of brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for mark in value:
        if quote:
            quote = "" if mark == quote else quote
        elif mark in "\"'":
            quote = mark
        elif mark in "[{(":
            depth += 1
        elif mark in "]})":
            depth -= 1
        elif mark == "," and not depth:
            parts.append("")
            continue
        parts[-1] += mark
    return parts


def option_problems(
    overall: Mapping[str, Any],
    own: Sequence[tuple[str, Mapping[str, Any]]],
    names: Sequence[str],
) -> Iterator[Problem]:
    """Everything that is wrong with the options of a configuration.

    Args:
        overall: Those of all datasets, by option.
        own: Key in the configuration, such as ``mmlu``, and the options of one dataset.
        names: The chosen datasets, as tables show them.
    """
    broken = False
    for prefix, values in [("", overall), *((f"per_dataset.{key}.", each) for key, each in own)]:
        for name, must in wrong_values(values):
            broken = True
            yield Problem(f"{prefix}{name}={_text(values[name])}", must)
    for key, _ in own:
        if names and _named(key, names) is None:
            yield _not_chosen(key, names)
    if broken:
        return
    seen = set()
    for name in names:
        options, keys = resolve_options(name, overall, own, names)
        for option, happened, cure in contradictions(options):
            where = next((f"per_dataset.{key}." for key in keys), "")
            problem = Problem(f"{where}{option}", happened, cure)
            if problem not in seen:
                yield problem
            seen.add(problem)


def resolve_options(
    name: str,
    overall: Mapping[str, Any],
    own: Sequence[tuple[str, Mapping[str, Any]]],
    names: Sequence[str],
) -> tuple[DatasetOptions, list[str]]:
    """The options of one dataset.

    Args:
        name: The dataset, as tables show it.
        overall, own, names: As in ``option_problems``; later entries of ``own`` win.

    Returns:
        Them, and the keys of ``own`` that had a say.
    """
    values: dict[str, Any] = {option: overall.get(option) for option in OPTION_NAMES}
    keys = []
    for key, each in own:
        given = {option: value for option, value in each.items() if value is not None}
        if _named(key, names) != name or not given:
            continue
        keys.append(key)
        for option, value in given.items():
            # What is said for one dataset stands in for the other way to choose its rows.
            if option in _ALTERNATIVES and given.get(_ALTERNATIVES[option]) is None:
                values[_ALTERNATIVES[option]] = None
            values[option] = value
    values["pass_k"] = tuple(sorted(set(values["pass_k"] or ())))
    return DatasetOptions(**values), keys


def option_values(conf: Any) -> dict[str, Any]:
    """The fields of a configuration object that are options of a dataset."""
    return {name: getattr(conf, name) for name in OPTION_NAMES}


def options_text(options: DatasetOptions) -> str:
    """Options in a few words, such as ``limit=20, num_runs=4``; empty where there are none."""
    return ", ".join(f"{name}={_text(value)}" for name, value in options.given().items())


def _text(value: Any) -> str:
    is_many = isinstance(value, Sequence) and not isinstance(value, str)
    return f"[{','.join(map(str, value))}]" if is_many else str(value)


def _named(key: str, names: Sequence[str]) -> str | None:
    """The chosen dataset that a key means; case and punctuation do not matter."""
    if key in names:
        return key
    wanted = normalise(key)
    by_name = next((name for name in names if normalise(name) == wanted), None)
    # Whether "mine.py" is a file, which tables show as "mine", only the catalogue can tell.
    python = (name for name in names if name.endswith(".py"))
    return by_name or next((n for n in python if normalise(own_name(Path(n))) == wanted), None)


def _not_chosen(key: str, names: Sequence[str]) -> Problem:
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    happened = f"'{key}' is not among the datasets that are chosen{hint}"
    return Problem(f"per_dataset.{key}", happened, f"one of: {', '.join(names)}")
