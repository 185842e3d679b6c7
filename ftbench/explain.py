"""What Hydra and OmegaConf say of a wrong setting, in one line that a user can act on.

Source: the messages of hydra-core 1.3.8 and omegaconf 2.3.
"""

from __future__ import annotations

import re

from yaml import MarkedYAMLError

from ftbench.config_checks import HELP, closest, closest_key, is_key_of_judge, key_problem
from ftbench.errors import Problem

_GRAMMAR = "missing EQUAL|no viable|mismatched input|token recognition|extraneous input"
"""What the parser of Hydra 1.3.8 says of an argument that it cannot read."""

_NO_SPACES = "a list without spaces, such as datasets=[mmlu,gsm8k]"

_EXTRAS = {"joblib": "parallel", "submitit_slurm": "slurm", "submitit_local": "slurm"}
"""Launchers that come as plugins of Hydra, and the extra of ftbench that brings each."""

_TYPES = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false"}


def explain(override: str, error: Exception) -> Problem:
    """Says in one line what Hydra says in several.

    Args:
        override: The text that led to it.
        error: What Hydra or OmegaConf raised; its causes are looked at too.
    """
    text = _whole_message(error)
    key, _, value = override.partition("=")
    if is_key_of_judge(key.lstrip("+~")):
        return key_problem(key.lstrip("+~"))
    if isinstance(error, MarkedYAMLError) and (mark := error.problem_mark):
        happened = f"{mark.name} is no YAML: line {mark.line + 1}, {error.problem}"
        return Problem(override, happened)
    if re.search(_GRAMMAR, text) and value.startswith("[") != override.endswith("]"):
        return Problem(override, "is a piece of a list: a space ends an argument", _NO_SPACES)
    if "missing EQUAL" in text or "Could not override ''" in text:
        return Problem(override, "is no setting: KEY=VALUE is expected", HELP)
    if "Cannot find primary config" in text:
        return Problem(override, "there is no such configuration", "leave --config-name out")
    if found := re.search(r"Key '([^']+)' not in '\w+'", text):
        return _explain_unknown_key(override, found.group(1))
    if problem := _explain_value(override, text):
        return problem
    if found := re.search(r"(?:Could not find|Could not load) '([^']+)'", text):
        return _explain_unknown_option(override, found.group(1), text)
    if "Config group override must be a string" in text:
        return Problem(override, f"{key} needs the name of an option", f"leave {key} out")
    if re.search(_GRAMMAR, text):
        return Problem(
            override,
            "cannot be read: a value with = , space, brackets or quotes needs its own quotes",
            "for example 'model.adapter=\"runs/step=5\"'",
        )
    if "Ambiguous value" in text:
        return Problem(
            override, "is a sweep over several values", f"{key}=[{value}], or -m to sweep"
        )
    return Problem(override, text.splitlines()[0] if text else type(error).__name__, HELP)


def _whole_message(error: BaseException | None) -> str:
    lines = []
    while error is not None:
        lines.append(str(error))
        error = error.__cause__ or error.__context__
    return "\n".join(lines)


def _explain_unknown_key(override: str, key: str) -> Problem:
    full = override.partition("=")[0].lstrip("+~")
    name = full if key in full.split(".") else key
    return Problem(override, f"unknown key '{name}'{closest_key(name)}", HELP)


def _explain_value(override: str, text: str) -> Problem | None:
    """What is wrong with a value, or None when the value is not what Hydra complains of."""
    key = override.partition("=")[0]
    if "is not Optional" in text:
        cure = "datasets=[mmlu,gsm8k]" if key == "datasets" else f"leave {key} out"
        return Problem(override, "null is no value for it", cure)
    if found := re.search(
        r"Value '(.*?)' (?:of type '\w+' )?could not be converted to (\w+)", text
    ):
        wrong, kind = found.groups()
        return Problem(override, f"{_inner(key, text)}'{wrong}' is not {_TYPES.get(kind, kind)}")
    if found := re.search(
        r"Value '(.*?)' \('?\w+'?\) is not a valid value for type|"
        r"Value '(.*?)' is not a valid bool",
        text,
    ):
        wrong = found.group(1) or found.group(2)
        return Problem(override, f"{_inner(key, text)}'{wrong}' is not true or false")
    if re.search(
        "Cannot assign|is not a ListConfig|Invalid value assigned|Cannot merge|Cannot convert|"
        "Merge error",
        text,
    ):
        return _explain_wrong_shape(override, text)
    return None


def _inner(key: str, text: str) -> str:
    """The key that an option's file sets wrongly, as a beginning; empty for the override's own."""
    found = re.search(r"full_key: (\S+)", text)
    return "" if found is None or found.group(1) == key else f"{found.group(1)}: "


def _explain_wrong_shape(override: str, text: str) -> Problem:
    key, _, value = override.partition("=")
    inner = _inner(key, text).removesuffix(": ")
    if "is not a ListConfig" in text:
        cure = f"{inner.rpartition('.')[2]}: [...] in its file" if inner else f"{key}=[{value}]"
        return Problem(override, f"{inner or key} is a list", cure)
    if "to string" in text:
        return Problem(override, f"{inner or key} is a single text", HELP)
    if "Merge error" in text:
        return Problem(override, "its file holds no settings, such as 'limit: 10'")
    return Problem(override, text.splitlines()[0], HELP)


def _explain_unknown_option(override: str, config: str, text: str) -> Problem:
    group, _, option = config.rpartition("/")
    if group == "hydra/launcher" and option in _EXTRAS:
        return _explain_missing_plugin(override, option)
    listed = re.search(r"Available options in '[^']*':\n((?:\t.*\n?)*)", text)
    options = [line.strip() for line in listed.group(1).splitlines()] if listed else []
    happened = f"there is no '{option}' in {group or 'the configuration'}{closest(option, options)}"
    cure = f"{group}= one of {', '.join(options)}" if options else HELP
    return Problem(override, happened, cure)


def _explain_missing_plugin(override: str, launcher: str) -> Problem:
    chosen = [part for part in override.split() if part.startswith("hydra/launcher=")]
    happened = f"Hydra's plugin for {launcher} is not installed here"
    return Problem(
        chosen[0] if chosen else override, happened, f"pip install 'ftbench[{_EXTRAS[launcher]}]'"
    )
