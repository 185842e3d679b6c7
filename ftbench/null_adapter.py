"""Which base model ``null`` means where it stands among adapters."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from ftbench.errors import ConfigError, Problem
from ftbench.list_functions import split, unquoted
from ftbench.tracking import get_trained

_KEY = "model.adapter"


def base_for_null(
    arguments: Sequence[str], cwd: Path, tracking_uri: Callable[[], str]
) -> str | None:
    """The base model that ``null`` means among adapters: the one that they all name.

    Args:
        arguments: Settings without functions.
        cwd: Where relative paths start.
        tracking_uri: Asked for the tracker where an adapter is named by its training run.

    Returns:
        A folder or a name; None where ``null`` is not among several values, or nothing is known.

    Raises:
        ConfigError: The adapters have different base models.
        TrackingError: The tracker cannot be asked.
    """
    found: dict[str, str] = {}
    for argument in arguments:
        key, _, value = argument.partition("=")
        parts = list(map(unquoted, split(value))) if key.lstrip("+") == _KEY else []
        if "null" not in parts or len(parts) < 2:
            continue
        for part in (part for part in parts if part != "null"):
            folder: Path | None = cwd / Path(part).expanduser()
            if part.startswith("runs:/"):
                run_id, _, below = part.removeprefix("runs:/").partition("/")
                trained = get_trained(tracking_uri(), run_id)
                is_named = below and trained.output is not None
                folder = trained.output / below if is_named and trained.output else trained.folder
            base = _base_of(folder, cwd) if folder else ""
            if base:
                found.setdefault(base, part)
        if len(found) > 1:
            named = ", ".join(f"{base} ({part})" for base, part in found.items())
            happened = f"null is the base model, and these adapters have several: {named}"
            cure = "one sweep for each of them, or model.base=DIR_OR_NAME"
            raise ConfigError(Problem(argument, happened, cure))
    return next(iter(found), None)


def _base_of(adapter: Path, cwd: Path) -> str:
    """What an adapter names as its base: a folder as an absolute path, else as it stands."""
    try:
        config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
        base = str(config["base_model_name_or_path"] or "")
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    folders = (start / Path(base).expanduser() for start in (cwd, adapter))
    return next((str(folder.resolve()) for folder in folders if base and folder.is_dir()), base)
