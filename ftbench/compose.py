"""From the command line and ``conf/`` to one typed configuration, with every problem at once.

Hydra stops at the first wrong override; here each is tried by itself, so that a user mends all of
them in one go. Only this module and ``run`` know Hydra.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ValueType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from ftbench.config import HELP, Config, closest, closest_key, validate
from ftbench.errors import ConfigError, Problem
from ftbench.paths import conf_dir

SCHEMA_NAME = "ftbench_schema"

COMPOSE_ERRORS = (HydraException, OmegaConfBaseException, ValueError, TypeError, YAMLError)
"""Hydra 1.3.8 lets ValueError (group=null) and YAML errors through as they are."""

_GRAMMAR = "missing EQUAL|no viable|mismatched input|token recognition|extraneous input"
"""What the parser of Hydra 1.3.8 says of an argument that it cannot read."""

_NO_SPACES = "a list without spaces, such as datasets=[mmlu,gsm8k]"

_TYPES = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false"}


def register_schema() -> None:
    """Puts the typed schema where ``conf/config.yaml`` refers to it."""
    ConfigStore.instance().store(name=SCHEMA_NAME, node=Config)


def compose_config(
    overrides: Sequence[str], config_dir: Path | None = None, config_name: str = "config"
) -> Config:
    """Composes and checks one configuration.

    Args:
        overrides: As on the command line, such as ``datasets=[mmlu]``.
        config_dir: A folder of the user's own options.
        config_name: The primary configuration, where it is not ftbench's own.

    Raises:
        ConfigError: Listing everything that is wrong.
    """
    problems: list[Problem] = []
    if config_dir is not None and not config_dir.is_dir():
        happened = "it is a file" if config_dir.exists() else "there is no such folder"
        cure = "--config-dir=DIR with folders such as suite/ in it"
        raise ConfigError(Problem(f"--config-dir={config_dir}", happened, cure))
    cfg = _compose_what_can_be(list(overrides), config_dir, config_name, problems)
    if cfg is not None:
        # What a rejected override was meant to set is not missing as well.
        groups = {problem.tried.lstrip("+~").split("=")[0].split(".")[0] for problem in problems}
        meant = groups | ({"datasets"} if "suite" in groups else set())
        problems += [p for p in validate(cfg) if p.tried not in meant]
    if problems or cfg is None:
        raise ConfigError(problems)
    return to_config(cfg)


def check_sweep(
    overrides: Sequence[str], config_dir: Path | None = None, config_name: str = "config"
) -> None:
    """Finds overrides that no job of a sweep could use, before the first job starts.

    Each override is tried with its first value; what is wrong with a later one, its own job says.

    Args:
        overrides: As on the command line, such as ``model.adapter=a,b``.
        config_dir: A folder of the user's own options.
        config_name: The primary configuration, where it is not ftbench's own.

    Raises:
        ConfigError: Listing everything that is wrong.
    """
    problems: list[Problem] = []
    firsts: list[str] = []
    for override in overrides:
        try:
            parsed = OverridesParser.create().parse_override(override)
        except HydraException as exc:
            problems.append(explain(override, exc))
            continue
        if not parsed.is_sweep_override():
            firsts.append(override)
        elif parsed.value_type == ValueType.GLOB_CHOICE_SWEEP:
            problems += _check_glob(override, parsed.key_or_group, config_dir)
        elif parsed.is_discrete_sweep():
            firsts.append(f"{parsed.get_key_element()}={next(parsed.sweep_string_iterator())}")
    _compose_what_can_be(firsts, config_dir, config_name, problems)
    if problems:
        raise ConfigError(problems)


def _check_glob(override: str, key: str, config_dir: Path | None) -> list[Problem]:
    # Hydra 1.3.8 finds no option in what is no group, runs no job and calls that a success.
    folders = [conf_dir(), *([config_dir] if config_dir else [])]
    if key.startswith("hydra/") or any((folder / key).is_dir() for folder in folders):
        return []
    happened = "glob(...) finds options of a group such as suite, and no folders"
    return [Problem(override, happened, f"{key}=VALUE1,VALUE2")]


def to_config(cfg: DictConfig) -> Config:
    """Turns a checked composition into plain dataclasses.

    Raises:
        ConfigError: Something is wrong with it after all.
    """
    problems = validate(cfg)
    if problems:
        raise ConfigError(problems)
    if OmegaConf.is_missing(cfg, "datasets"):
        cfg.datasets = []
    config = OmegaConf.to_object(cfg)
    assert isinstance(config, Config)
    return config


def _compose_what_can_be(
    overrides: list[str], config_dir: Path | None, config_name: str, problems: list[Problem]
) -> DictConfig | None:
    try:
        return _compose(overrides, config_dir, config_name)
    except COMPOSE_ERRORS as exc:
        together = exc
    if config_name != "config":
        try:
            _compose([], config_dir, config_name)
        except COMPOSE_ERRORS as exc:
            problems.append(explain(f"--config-name={config_name}", exc))
            return None
    good = []
    for override in overrides:
        try:
            _compose([override], config_dir, config_name)
            good.append(override)
        except COMPOSE_ERRORS as exc:
            problems.append(explain(override, exc))
    if not problems:
        problems.append(explain(" ".join(overrides) or "conf/config.yaml", together))
        return None
    try:
        return _compose(good, config_dir, config_name)
    except COMPOSE_ERRORS:
        return None


def _compose(overrides: list[str], config_dir: Path | None, config_name: str) -> DictConfig:
    register_schema()
    GlobalHydra.instance().clear()
    # Sweeps and Hydra's own keys have no place in one configuration.
    search = (
        [f"hydra.searchpath=[{_quoted(f'file://{config_dir.absolute()}')}]"] if config_dir else []
    )
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        parser = OverridesParser.create()
        own = [o for o in overrides if not _is_hydra_key(parser, o)]
        return compose(config_name, overrides=[*search, *own])


def override(key: str, value: object) -> str:
    """An override that sets a text, whatever characters are in it.

    Args:
        key: Such as ``model.adapter``.
        value: Such as a path; it may hold quotes, commas, ``=`` and ``$``.
    """
    return f"{key}={_quoted(str(value))}"


def _quoted(text: str) -> str:
    """The text as a quoted value of Hydra's override grammar."""
    # Backslashes are themselves, but before a quote (Hydra) and before "${" (OmegaConf), which
    # would begin an interpolation.
    escaped = re.sub(r'(\\*)("|\$\{|\Z)', lambda m: m[1] * 2 + ("\\" + m[2] if m[2] else ""), text)
    return f'"{escaped}"'


def _is_hydra_key(parser: OverridesParser, override: str) -> bool:
    name = parser.parse_override(override).get_key_element()
    return name.lstrip("+~").startswith("hydra.") or name.lstrip("+~").startswith("hydra/")


def explain(override: str, error: Exception) -> Problem:
    """Says in one line what Hydra says in several.

    Args:
        override: The text that led to it.
        error: What Hydra or OmegaConf raised; its causes are looked at too.
    """
    text = _whole_message(error)
    key, _, value = override.partition("=")
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
    listed = re.search(r"Available options in '[^']*':\n((?:\t.*\n?)*)", text)
    options = [line.strip() for line in listed.group(1).splitlines()] if listed else []
    happened = f"there is no '{option}' in {group or 'the configuration'}{closest(option, options)}"
    cure = f"{group}= one of {', '.join(options)}" if options else HELP
    return Problem(override, happened, cure)
