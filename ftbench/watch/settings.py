"""The settings that a watcher hands on: checked before it starts, and what they amount to.

Two watchers have the same settings when every evaluation of theirs would ask the same and record it
in the same place, however that is written on the command line.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from ftbench.catalogue import load_catalogue
from ftbench.choosing import choose_datasets
from ftbench.compose import compose_config, override
from ftbench.config import Config, flatten
from ftbench.errors import ConfigError, Problem
from ftbench.host import Host
from ftbench.tracking import export_credentials
from ftbench.uris import strip_credentials
from ftbench.watch.options import Options

_FOUND = "the watcher finds it for each model"

_ITS_OWN = {
    "model.adapter": _FOUND,
    "tracking.step": _FOUND,
    "training.command": "a watcher waits for what others train",
    "dry_run": "a watcher evaluates",
    "reuse": "a watcher evaluates each model once",
}
"""Settings that are the watcher's own business."""


@dataclass(frozen=True)
class Settings:
    """What is handed on to every evaluation.

    Attributes:
        arguments: Of ``ftbench.run``, without credentials.
        tracking_uri: Where scores go by these settings, without credentials.
        identity: What tells these settings from others, for people to read.
    """

    arguments: tuple[str, ...]
    tracking_uri: str
    identity: dict[str, str]

    @property
    def digest(self) -> str:
        """12 hex digits; equal for the same settings."""
        text = json.dumps(self.identity, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def check_settings(options: Options, host: Host) -> Settings:
    """Composes and checks what is handed on.

    Raises:
        ConfigError: Listing everything that is wrong.

    Side effects: user name and password of the tracking URI go into MLflow's own environment
        variables, which evaluations inherit.
    """
    own = [_without_credentials(setting) for setting in options.settings]
    if options.tracking_uri:
        own.append(override("tracking.uri", export_credentials(options.tracking_uri)))
    problems = _problems(options, own)
    names = [_key(setting) for setting in own]
    usable = [s for s, name in zip(own, names, strict=True) if name not in _ITS_OWN]
    config_dir = Path(options.config_dir) if options.config_dir else None
    name = options.config_name or "config"
    model = override("model.adapter", options.folder or f"runs:/{options.experiment}")
    try:
        config = compose_config([model, *usable], config_dir, name)
        chosen = choose_datasets(config, host, load_catalogue())
    except ConfigError as exc:
        raise ConfigError([*problems, *exc.problems]) from exc
    if config.dry_run or config.reuse == "never":
        happened = "it sets dry_run or reuse=never, and a watcher evaluates each model once"
        problems.append(Problem(f"--config-dir={options.config_dir}", happened))
    if problems:
        raise ConfigError(problems)
    uri = host.tracking_store(config.tracking.uri)
    if options.experiment is not None:
        own.append(override("tracking.uri", uri))
    flags = [f"--config-dir={options.config_dir}"] if options.config_dir else []
    flags += [f"--config-name={options.config_name}"] if options.config_name else []
    files = {d.name: d.own.sha256 for d in chosen.datasets if d.own}
    return Settings((*flags, *own), uri, _identity(options, config, uri, files))


def _problems(options: Options, settings: list[str]) -> list[Problem]:
    its_own = dict(_ITS_OWN)
    if options.experiment is not None:
        its_own["tracking.training_run_id"] = _FOUND
    return [
        Problem(setting, its_own[_key(setting)], f"leave {_key(setting)} out")
        for setting in settings
        if _key(setting) in its_own
    ]


def _identity(options: Options, config: Config, uri: str, files: dict[str, str]) -> dict[str, str]:
    # Only what differs from the defaults: a later version's new keys change nothing.
    default = flatten(Config(datasets=[]), keep_unset=True)
    given = {
        key: strip_credentials(value)[0]
        for key, value in flatten(config, keep_unset=True).items()
        if value != default.get(key, "") and key not in _ITS_OWN
    }
    selection = {
        "experiment": options.experiment,
        "where": options.where,
        "since": options.since,
        "take": options.take if options.folder else "",
        "only_marked": options.only_marked,
        "every": options.every,
    }
    chosen = {f"--{key}": str(value) for key, value in selection.items() if value}
    return given | {f"sha256 of {n}": s for n, s in files.items()} | chosen | {"tracking.uri": uri}


def _key(setting: str) -> str:
    return setting.lstrip("+~").partition("=")[0]


def _without_credentials(setting: str) -> str:
    return export_credentials(setting) if _key(setting) == "tracking.uri" else setting
