"""Loads OpenCompass's preset files, and names what is in them as OpenCompass does."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmengine.config.utils
import opencompass
from mmengine.config import Config
from opencompass.utils.abbr import dataset_abbr_from_cfg

ROOT = Path(opencompass.__file__).parent / "configs" / "datasets"


@dataclass(frozen=True)
class Loaded:
    """One preset file.

    Attributes:
        path: Below ``opencompass/configs/datasets``.
        datasets: OpenCompass dataset configs, one per subset, in order, each abbr once.
        plain: The same as JSON can hold them, which is much quicker to walk through.
        error: Why it did not load; empty when it did.
        content: sha256 over the datasets: equal for presets that say the same.
    """

    path: str
    datasets: tuple[dict[str, Any], ...] = ()
    plain: tuple[dict[str, Any], ...] = ()
    error: str = ""
    content: str = ""


def preset_paths() -> list[str]:
    """Every Python file below ``opencompass/configs/datasets``, sorted."""
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def load(path: str) -> Loaded:
    """Loads one preset file; what goes wrong is in ``error``."""
    try:
        config = load_config(ROOT / path)
        datasets = _unique_datasets(config)
        # Touching every value makes mmengine do the imports that it put off.
        values = tuple(plain(dataset) for dataset in datasets)
        content = json.dumps(values, sort_keys=True)
    except Exception as exc:  # a preset is a program: it fails in every way that a program can
        return Loaded(path, error=_first_line(exc))
    return Loaded(path, datasets, values, content=hashlib.sha256(content.encode()).hexdigest())


def load_config(path: Path) -> Config:
    """Loads one of OpenCompass's config files; it fails in every way that a program can."""
    # In a virtual environment mmengine takes the standard library for third-party code, and presets
    # that call it while they load die (mmengine 0.10.7).
    mmengine.config.utils.PYTHON_ROOT_DIR = sys.base_prefix
    # Some print what they define.
    with contextlib.redirect_stdout(io.StringIO()):
        return Config.fromfile(str(path), format_python_code=False)


def abbr(dataset: dict[str, Any]) -> str:
    """OpenCompass's name of a subset."""
    return str(dataset_abbr_from_cfg(dataset))


def types_in(value: Any) -> Iterator[Any]:
    """Every ``type`` in a config, nested ones too: classes, functions or registered names."""
    if isinstance(value, dict):
        if value.get("type") is not None:
            yield value["type"]
        for item in value.values():
            yield from types_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from types_in(item)


def _unique_datasets(config: Config) -> tuple[dict[str, Any], ...]:
    # What `opencompass --datasets` takes: variables that end in _datasets. Files that list both
    # their parts and the whole would count twice; the first of each abbr is kept.
    found: dict[str, dict[str, Any]] = {}
    for name in config:
        if name.endswith("_datasets") and isinstance(config[name], list):
            for dataset in config[name]:
                found.setdefault(abbr(dataset), dataset)
    return tuple(found.values())


def _first_line(exc: Exception) -> str:
    text = str(exc).replace(f"{ROOT}/", "").replace(f"{ROOT.parents[2]}/", "")
    text = re.sub(r" in \S+, line \d+ for ", ": ", text)
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return f"{type(exc).__name__}: {line}" if line else type(exc).__name__


def plain(value: Any) -> Any:
    """A config as JSON can hold it: classes and functions by name."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    name = getattr(value, "__qualname__", None)
    return f"{value.__module__}.{name}" if name else f"<{type(value).__qualname__}>"
