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
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from ftbench.config import HELP, Config, closest, closest_key, validate
from ftbench.errors import ConfigError, Problem
from ftbench.paths import conf_dir

SCHEMA_NAME = "ftbench_schema"

COMPOSE_ERRORS = (HydraException, OmegaConfBaseException, ValueError, TypeError, YAMLError)
"""Hydra 1.3.8 lets ValueError (group=null) and YAML errors through as they are."""

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
    cfg = _compose_what_can_be(list(overrides), config_dir, config_name, problems)
    if cfg is not None:
        # What a rejected override was meant to set is not missing as well.
        groups = {problem.tried.lstrip("+~").split("=")[0].split(".")[0] for problem in problems}
        meant = groups | ({"datasets"} if "suite" in groups else set())
        problems += [p for p in validate(cfg) if p.tried not in meant]
    if problems or cfg is None:
        raise ConfigError(problems)
    return to_config(cfg)


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
    # Backslashes are themselves, but before a quote; "${" would begin an interpolation.
    escaped = re.sub(r'(\\*)("|$)', lambda m: m[1] * 2 + ("\\" + m[2] if m[2] else ""), text)
    return '"' + escaped.replace("${", "\\${") + '"'


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
    if found := re.search(r"Key '([^']+)' not in '\w+'", text):
        return _explain_unknown_key(override, found.group(1))
    if found := re.search(
        r"Value '(.*?)' (?:of type '\w+' )?could not be converted to (\w+)", text
    ):
        value, kind = found.groups()
        return Problem(override, f"'{value}' is not {_TYPES.get(kind, kind)}")
    if found := re.search(
        r"Value '(.*?)' \('?\w+'?\) is not a valid value for type|"
        r"Value '(.*?)' is not a valid bool",
        text,
    ):
        return Problem(override, f"'{found.group(1) or found.group(2)}' is not true or false")
    if re.search(r"(Cannot assign|is not a ListConfig|Invalid value assigned|Cannot merge)", text):
        return _explain_wrong_shape(override, text)
    if found := re.search(r"(?:Could not find|Could not load) '([^']+)'", text):
        return _explain_unknown_option(override, found.group(1), text)
    if "Config group override must be a string" in text:
        group = override.partition("=")[0]
        return Problem(override, f"{group} needs the name of an option", f"leave {group} out")
    if "mismatched input" in text or "token recognition" in text or "extraneous input" in text:
        return Problem(
            override,
            "cannot be read: a value with = , space, brackets or quotes needs its own quotes",
            "for example 'model.adapter=\"runs/step=5\"'",
        )
    if "Ambiguous value" in text:
        key, _, value = override.partition("=")
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


def _explain_wrong_shape(override: str, text: str) -> Problem:
    key, _, value = override.partition("=")
    if key == "datasets":
        return Problem(override, "datasets is a list", f"datasets=[{value}]")
    return Problem(override, text.splitlines()[0], HELP)


def _explain_unknown_option(override: str, config: str, text: str) -> Problem:
    group, _, option = config.rpartition("/")
    listed = re.search(r"Available options in '[^']*':\n((?:\t.*\n?)*)", text)
    options = [line.strip() for line in listed.group(1).splitlines()] if listed else []
    happened = f"there is no '{option}' in {group or 'the configuration'}{closest(option, options)}"
    cure = f"{group}= one of {', '.join(options)}" if options else HELP
    return Problem(override, happened, cure)
