"""The resolved settings as JSON values: every path absolute, every name spelled out, no secret.

They are kept in the plan, so that an evaluation can be asked for again from any folder, after the
files of ``conf/`` have changed, and with no look at the command line that once led to them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from ftbench.choosing import Chosen
from ftbench.config import Config, dataset_names, flatten
from ftbench.errors import ConfigError, Problem
from ftbench.host import Host
from ftbench.model_source import ModelSource
from ftbench.training_command import blot_out
from ftbench.uris import strip_credentials

_LEFT_OUT = ("training", "dry_run")
"""What trained the model is no part of its evaluation, and its command may hold secrets."""


def resolved_settings(
    config: Config, host: Host, source: ModelSource, chosen: Chosen
) -> dict[str, Any]:
    """Every setting by name, groups as objects, as ``config.Config`` has them.

    Args:
        config: A checked configuration.
        host: Where its relative paths start.
        source: The model as it was found.
        chosen: The datasets as they were found.
    """
    value = dataclasses.asdict(config)
    for name in _LEFT_OUT:
        del value[name]
    named = dict(zip(dataset_names(config), chosen.datasets, strict=False))
    files = {name: str(dataset.own.path) for name, dataset in named.items() if dataset.own}
    value["datasets"] = [files.get(name, name) for name in config.datasets]
    value["suite"]["datasets"] = [files.get(name, name) for name in config.suite.datasets]
    value["model"]["adapter"] = str(source.adapter) if source.adapter else None
    value["model"]["base"] = source.base or None
    value["data_dir"] = str(host.path(config.data_dir or host.data_dir))
    for group, key in (("runtime", "environment"), (None, "workspace")):
        owner = value[group] if group else value
        owner[key] = str(host.path(owner[key])) if owner[key] else None
    if config.tracking.name != "none":
        value["tracking"]["uri"] = host.tracking_store(config.tracking.uri)
    cleaned = without_secrets(value, host)
    assert isinstance(cleaned, dict)
    return cleaned


def without_secrets(value: Any, host: Host) -> Any:
    """The same value without credentials of URIs and known secrets in its texts."""
    if isinstance(value, str):
        return blot_out(strip_credentials(value)[0], host.known_secrets)
    if isinstance(value, dict):
        return {key: without_secrets(item, host) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(item, host) for item in value]
    return value


def refuse_secrets(config: Config, host: Host) -> None:
    """Refuses settings that hold a secret of the environment: they are recorded with the scores.

    A training's command may: what is recorded of it shows none.

    Raises:
        ConfigError: Naming the settings and the variables, never a value.
    """
    problems = [
        Problem(
            key,
            f"it holds the value of {name}, and settings are recorded with the scores",
            f"leave it out: ftbench takes {name} from the environment",
        )
        for key, text in flatten(config).items()
        for name, secret in host.secrets.items()
        if len(secret) >= 4 and secret in text and not key.startswith("training.")
    ]
    if problems:
        raise ConfigError(problems)
