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

from ftbench.errors import LaunchError, Problem
from ftbench.preset import DataSource, Preset

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
    """Lists the sources that are not on disk, once for each dataset that needs them.

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
    if source.is_on_hub:
        return hub_dir / f"datasets--{source.path.replace('/', '--')}"
    return data_dir / source.path


def linked_data(chosen: Iterable[tuple[str, Preset]], data_dir: Path, hub_dir: Path) -> list[Path]:
    """Sources that lie elsewhere, because a link leads out of the data folder to them."""
    sources = {s for _, preset in chosen for s in preset.sources if s.kind in ("download", "local")}
    real = {place_of(source, data_dir, hub_dir).resolve() for source in sources}
    return sorted(p for p in real if p.exists() and not p.is_relative_to(data_dir.resolve()))


def make_folders(folders: Iterable[Path]) -> None:
    """Makes the folders that downloads go to: an engine mounts no folder that is not there.

    Raises:
        LaunchError: One cannot be made.

    Side effects: creates them and their parents.
    """
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            cure = "data_dir=DIR, or set COMPASS_DATA_CACHE or HF_HUB_CACHE to another folder"
            happened = f"it cannot be made: {exc.strerror or exc}"
            raise LaunchError(Problem(f"folder {folder}", happened, cure)) from exc


def check_downloads(
    missing: Iterable[Missing], network_allowed: bool, hub_offline: bool
) -> list[Problem]:
    """Says which missing data cannot be brought; asks each server once whether it answers.

    Args:
        missing: From ``find_missing``.
        network_allowed: The configuration lets the evaluation have a network.
        hub_offline: The caller forbids downloads from the hub.
    """
    reached: dict[str, str] = {}
    problems = []
    for item in missing:
        obstacle = _obstacle(item, network_allowed, hub_offline, reached)
        if obstacle:
            problems.append(
                Problem(
                    f"dataset {item.dataset}",
                    f"its data is not at {item.place}, {obstacle}",
                    _cure(item, network_allowed, hub_offline),
                )
            )
    return problems


def _cure(item: Missing, network_allowed: bool, hub_offline: bool) -> str:
    if item.source.is_on_hub:
        cure = f"copy that folder from a machine that has downloaded {item.source.path}"
    else:
        cure = (
            f"bring the files of {item.source.path} to {item.place} by hand, "
            "or say where they are with data_dir=DIR (the folder that contains data/)"
        )
    if item.source.kind != "local" and not network_allowed:
        return f"{cure}, or leave runtime.network=none out"
    is_off = item.source.is_on_hub and hub_offline
    return f"{cure}, or unset HF_HUB_OFFLINE" if is_off else cure


def _obstacle(
    item: Missing, network_allowed: bool, hub_offline: bool, reached: dict[str, str]
) -> str:
    if item.source.kind == "local":
        return "and OpenCompass knows no download for it"
    if not network_allowed:
        return "and runtime.network=none forbids a download"
    if hub_offline and item.source.is_on_hub:
        return "and HF_HUB_OFFLINE forbids a download"
    url = _HUB if item.source.is_on_hub else _DOWNLOADS
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
        reason = getattr(exc, "reason", exc)
        return str(getattr(reason, "strerror", None) or reason).lower()
    return ""
