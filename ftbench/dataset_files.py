"""Where the data of the chosen datasets lies, and what of it must still be downloaded.

Data in OpenCompass's layout lies in one folder that contains ``data/``; datasets of the Hugging
Face hub lie in its cache. What is missing is downloaded by OpenCompass itself, inside the
evaluation, which then gets a network; otherwise it has none.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ftbench.catalogue import DataSource, Preset
from ftbench.errors import Problem

_DOWNLOADS = "http://opencompass.oss-cn-shanghai.aliyuncs.com"
"""Where OpenCompass 0.5.4 keeps its data (opencompass/utils/datasets_info.py)."""

_HUB = "https://huggingface.co"

_REACH_TIMEOUT_S = 5


@dataclass(frozen=True)
class Missing:
    """One source that is not on this machine.

    Attributes:
        dataset: The user's name of the dataset that needs it.
        place: Where it was looked for.
    """

    dataset: str
    source: DataSource
    place: Path


def find_missing(
    chosen: Iterable[tuple[str, Preset]], data_dir: Path, hub_dir: Path
) -> list[Missing]:
    """Lists the sources that are not on disk, each once.

    Args:
        chosen: The user's dataset names with their presets.
        data_dir: Folder that contains ``data/``.
        hub_dir: Hugging Face hub cache.
    """
    missing = []
    for name, preset in chosen:
        for source in preset.sources:
            if source.kind == "bundled":
                continue
            place = place_of(source, data_dir, hub_dir)
            if not place.exists():
                missing.append(Missing(name, source, place))
    return missing


def place_of(source: DataSource, data_dir: Path, hub_dir: Path) -> Path:
    """Where a source lies once it is on this machine."""
    if source.kind == "hub":
        return hub_dir / f"datasets--{source.path.replace('/', '--')}"
    return data_dir / source.path


def check_downloads(missing: Iterable[Missing], network_allowed: bool) -> list[Problem]:
    """Says which missing data cannot be brought; asks each server once whether it answers.

    Args:
        missing: From ``find_missing``.
        network_allowed: The configuration lets the evaluation have a network.
    """
    reached: dict[str, str] = {}
    problems = []
    for item in missing:
        obstacle = _obstacle(item, network_allowed, reached)
        if obstacle:
            problems.append(
                Problem(
                    f"dataset {item.dataset}",
                    f"its data is not at {item.place}, {obstacle}",
                    f"bring the files of {item.source.path} to {item.place} by hand, "
                    "or say where they are with data_dir=DIR (the folder that contains data/)",
                )
            )
    return problems


def _obstacle(item: Missing, network_allowed: bool, reached: dict[str, str]) -> str:
    if item.source.kind == "local":
        return "and OpenCompass knows no download for it"
    if not network_allowed:
        return "and runtime.network=none forbids a download"
    url = _HUB if item.source.kind == "hub" else _DOWNLOADS
    if url not in reached:
        reached[url] = _why_unreachable(url)
    return f"and {url} cannot be reached: {reached[url]}" if reached[url] else ""


def _why_unreachable(url: str) -> str:
    try:
        urllib.request.urlopen(
            urllib.request.Request(url, method="HEAD"), timeout=_REACH_TIMEOUT_S
        ).close()
    except urllib.error.HTTPError:
        return ""  # it answers; what it says to a bare request does not matter
    except (OSError, ValueError) as exc:
        return str(getattr(exc, "reason", exc))
    return ""
