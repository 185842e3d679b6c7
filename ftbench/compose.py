"""From the command line and ``conf/`` to one typed configuration, with every problem at once.

Hydra stops at the first wrong override; here each is tried by itself, so that a user mends all of
them in one go. Only this module and ``run`` know Hydra.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ValueType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from ftbench.config import Config
from ftbench.config_checks import validate
from ftbench.dataset_options import in_hydras_words
from ftbench.errors import ConfigError, Problem
from ftbench.explain import explain
from ftbench.paths import conf_dir
from ftbench.quoting import quoted

SCHEMA_NAME = "ftbench_schema"

_NO_ADAPTER = "model.adapter=null"

_MAX_TRIED = 50
"""Values of one setting that are tried before a sweep; Hydra itself tries each job."""

COMPOSE_ERRORS = (HydraException, OmegaConfBaseException, ValueError, TypeError, YAMLError)
"""Hydra 1.3.8 lets ValueError (group=null) and YAML errors through as they are."""


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

    Every value is tried for its form; whether it is in its range, its own job says.

    Args:
        overrides: As on the command line, such as ``model.adapter=a,b``.
        config_dir: A folder of the user's own options.
        config_name: The primary configuration, where it is not ftbench's own.

    Raises:
        ConfigError: Listing everything that is wrong.
    """
    firsts, problems = _first_values(overrides, config_dir)
    _compose_what_can_be(firsts, config_dir, config_name, problems)
    # Hydra would stop at the first of them, once everything is prepared for the jobs.
    problems = problems or _wrong_later_values(overrides, config_dir, config_name)
    if problems:
        raise ConfigError(problems)


def _wrong_later_values(
    overrides: Sequence[str], config_dir: Path | None, config_name: str
) -> list[Problem]:
    problems = []
    parser = OverridesParser.create()
    for parsed in (parser.parse_override(in_hydras_words(override)) for override in overrides):
        # Any text names a model, and there may be hundreds of them.
        key = parsed.key_or_group
        if not parsed.is_discrete_sweep() or key in ("model.adapter", "model.base"):
            continue
        if parsed.value_type == ValueType.GLOB_CHOICE_SWEEP:
            continue
        values = itertools.islice(parsed.sweep_string_iterator(), 1, _MAX_TRIED)
        for override in (f"{parsed.get_key_element()}={value}" for value in values):
            try:
                _compose([override], config_dir, config_name)
            except COMPOSE_ERRORS as exc:
                problems.append(explain(override, exc))
    return problems


def _first_values(
    overrides: Sequence[str], config_dir: Path | None
) -> tuple[list[str], list[Problem]]:
    """The overrides with the first value of each sweep, and those that cannot be read."""
    problems: list[Problem] = []
    firsts: list[str] = []
    for override in overrides:
        try:
            parsed = OverridesParser.create().parse_override(in_hydras_words(override))
        except HydraException as exc:
            problems.append(explain(override, exc))
            continue
        if not parsed.is_sweep_override():
            firsts.append(override)
        elif parsed.value_type == ValueType.GLOB_CHOICE_SWEEP:
            problems += _check_glob(override, parsed.key_or_group, config_dir)
        elif parsed.is_discrete_sweep():
            firsts.append(f"{parsed.get_key_element()}={next(parsed.sweep_string_iterator())}")
    return firsts, problems


@dataclass(frozen=True)
class PlannedSweep:
    """What Hydra is about to do.

    Attributes:
        folder: Absolute, ``hydra.sweep.dir``.
        jobs: Settings of every job, in Hydra's order; empty where only its sweeper knows them.
        telling: Configuration of the first job with an adapter, else of the first, unchecked.
    """

    folder: Path
    jobs: tuple[tuple[str, ...], ...]
    telling: DictConfig


def plan_sweep(
    overrides: Sequence[str], config_dir: Path | None = None, config_name: str = "config"
) -> PlannedSweep:
    """Finds out what Hydra will make of a sweep that ``check_sweep`` let through.

    Args:
        overrides: As on the command line.
        config_dir: A folder of the user's own options.
        config_name: The primary configuration, where it is not ftbench's own.

    Raises:
        ConfigError: Hydra's own settings, such as its launcher, cannot be used.
    """
    firsts, _ = _first_values(overrides, config_dir)
    try:
        cfg = _compose(firsts, config_dir, config_name, with_hydra=True)
        folder = Path(str(cfg.hydra.sweep.dir)).absolute()
        jobs = _jobs(overrides, cfg, config_dir)
        with_adapter = (job for job in jobs if not {_NO_ADAPTER, f"+{_NO_ADAPTER}"} & set(job))
        telling = next(iter([*itertools.islice(with_adapter, 1), *jobs[:1]]), firsts)
        cfg = _compose(list(telling), config_dir, config_name)
    except COMPOSE_ERRORS as exc:
        hydras = [o for o in overrides if o.lstrip("+~").startswith("hydra")]
        raise ConfigError(explain(" ".join(hydras or overrides), exc)) from exc
    return PlannedSweep(folder, jobs, cfg)


def _jobs(
    overrides: Sequence[str], cfg: DictConfig, config_dir: Path | None
) -> tuple[tuple[str, ...], ...]:
    sweeper = cfg.hydra.sweeper
    if not str(sweeper.get("_target_", "")).endswith(f".{BasicSweeper.__name__}"):
        return ()
    of_config = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
        own = [in_hydras_words(o) for o in overrides]
        task = [*of_config, *(o for o in own if not _is_hydra_key(parser, o))]
        parsed = parser.parse_overrides(task)
        globs = [o for o in parsed if o.value_type == ValueType.GLOB_CHOICE_SWEEP]
        if config_dir is not None and globs:
            return ()  # this parser does not see the user's own options
        (jobs,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return tuple(map(tuple, jobs))


def find_setting(
    key: str, overrides: Sequence[str], config_dir: Path | None = None, config_name: str = "config"
) -> str | None:
    """One setting, as those overrides that can be read make it; None when nothing sets it."""
    problems: list[Problem] = []
    firsts, _ = _first_values(overrides, config_dir)
    cfg = _compose_what_can_be(firsts, config_dir, config_name, problems)
    value = OmegaConf.select(cfg, key) if cfg is not None else None
    return str(value) if value else None


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


def _compose(
    overrides: list[str], config_dir: Path | None, config_name: str, with_hydra: bool = False
) -> DictConfig:
    register_schema()
    GlobalHydra.instance().clear()
    # Sweeps and Hydra's own keys have no place in one configuration.
    search = (
        [f"hydra.searchpath=[{quoted(f'file://{config_dir.absolute()}')}]"] if config_dir else []
    )
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        parser = OverridesParser.create()
        understood = [in_hydras_words(override) for override in overrides]
        own = [o for o in understood if with_hydra or not _is_hydra_key(parser, o)]
        return compose(config_name, overrides=[*search, *own], return_hydra_config=with_hydra)


def override(key: str, value: object) -> str:
    """An override that sets a text, whatever characters are in it.

    Args:
        key: Such as ``model.adapter``.
        value: Such as a path; it may hold quotes, commas, ``=`` and ``$``.
    """
    return f"{key}={quoted(str(value))}"


def _is_hydra_key(parser: OverridesParser, override: str) -> bool:
    name = parser.parse_override(override).get_key_element()
    return name.lstrip("+~").startswith("hydra.") or name.lstrip("+~").startswith("hydra/")
