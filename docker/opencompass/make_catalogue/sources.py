"""Finds where a dataset's data comes from, by letting its own loader ask for it.

The loader runs with every way to data replaced by one that notes what was asked for: OpenCompass's
``get_data_path``, the Hugging Face hub, opening a file. It ends at the first file, so that nothing
is read and nothing is downloaded.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import glob
import io
import os
import posixpath
import re
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import datasets
import huggingface_hub
import opencompass
from opencompass.utils.build import build_dataset_from_cfg
from opencompass.utils.datasets_info import DATASETS_MAPPING, DATASETS_URL

from ftbench.preset import BUNDLED, DOWNLOAD, GATED, HUB, LOCAL

Source = tuple[str, str]
"""Kind and path, as in ``ftbench.preset.DataSource``."""

_ELSEWHERE = "/ftbench-has-no-such-folder"

_FILE_FORMATS = {"json", "csv", "parquet", "text", "pandas", "arrow"}
"""Names that ``load_dataset`` takes for a file format instead of a hub id."""


_PACKAGES = {"datasets", "huggingface_hub"}

_HUB_FUNCTIONS = ("load_dataset", "load_from_disk", "snapshot_download", "hf_hub_download")


_GATED = {"cais/hle"}
"""Hub datasets for accounts that accepted their terms; nothing in OpenCompass tells which."""

_INSIDE = Path(opencompass.__file__).parent


class _Asked(BaseException):
    """Ends a loader; no ``except Exception`` in it may swallow this."""


@dataclass(frozen=True)
class Found:
    """Where a subset's data comes from.

    Attributes:
        sources: Each once, in the order it was asked for; empty where the loader failed early and
            its arguments name none.
        num_rows: Of a subset that loads with what comes with OpenCompass; None for others.
    """

    sources: tuple[Source, ...]
    num_rows: int | None = None


def find_sources(dataset: dict[str, Any]) -> Found:
    """What the loader of one subset asks for.

    Args:
        dataset: OpenCompass dataset config.
    """
    asked: list[Source] = []
    num_rows = None
    with contextlib.ExitStack() as stack:
        stack.enter_context(_replaced(_hub_replacements(asked)))
        for patch in _file_patches(asked):
            stack.enter_context(patch)
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        # It ends at the first file, or on what it did not find.
        with contextlib.suppress(_Asked, Exception):
            num_rows = len(build_dataset_from_cfg(dataset).test)
    outside = tuple(dict.fromkeys(source for source in asked if source[0] != BUNDLED))
    if num_rows is not None and not outside:
        return Found(tuple(dict.fromkeys(asked)) or ((BUNDLED, ""),), num_rows)
    # A loader may read a list of words that comes with OpenCompass as well: no data of its own.
    return Found(outside or _named_in(dataset))


def _named_in(dataset: dict[str, Any]) -> tuple[Source, ...]:
    """For a loader that failed before it asked for data: the paths that its arguments name."""
    named = [value for value in dataset.values() if isinstance(value, str)]
    known = [str(DATASETS_MAPPING[name]["local"]) for name in named if name in DATASETS_MAPPING]
    plain = [name for name in named if name.startswith(("data/", "./data/"))]
    return tuple(dict.fromkeys(map(_data_source, [*known, *plain])))


def _hub_replacements(asked: list[Source]) -> dict[str, Callable[..., Any]]:
    """By name, what notes the data that is asked for in place of bringing it."""

    def get_data_path(dataset_id: str, local_mode: bool = False) -> str:
        if posixpath.isabs(dataset_id):
            return dataset_id
        known = DATASETS_MAPPING.get(dataset_id, {})
        path = dataset_id if local_mode else known.get("local", dataset_id)
        if path:  # livemathbench leaves it to its user
            asked.append(_data_source(path))
        return posixpath.join(_ELSEWHERE, path)

    def from_hub(repo_id: Any = None, *args: Any, **kwargs: Any) -> None:
        _note_hub(asked, repo_id or kwargs.get("path") or kwargs.get("repo_id"), kwargs)
        raise _Asked

    return {"get_data_path": get_data_path} | dict.fromkeys(_HUB_FUNCTIONS, from_hub)


@contextlib.contextmanager
def _replaced(replacements: dict[str, Callable[..., Any]]) -> Iterator[None]:
    """Puts the replacements wherever loaders have the originals, while it lasts."""
    # Some 400 places, for each of some 1500 loaders: mock.patch would take half of the scan.
    places = _places(len(sys.modules))
    before = [vars(module)[name] for module, name in places]
    for module, name in places:
        setattr(module, name, replacements[name])
    try:
        yield
    finally:
        for (module, name), original in zip(places, before, strict=True):
            setattr(module, name, original)


@functools.cache
def _places(num_modules: int) -> tuple[tuple[Any, str], ...]:
    """Modules that have one of the replaced functions; loaders import them by name.

    Args:
        num_modules: Loaded now; with more of them there may be more places.
    """
    modules = [m for n, m in list(sys.modules.items()) if n.startswith("opencompass.") and m]
    found: list[tuple[Any, str]] = []
    for module in [datasets, huggingface_hub, *modules]:
        for name in ("get_data_path", *_HUB_FUNCTIONS):
            current = vars(module).get(name)
            # A loader may call a function of its own load_dataset as well.
            if getattr(current, "__module__", "").split(".")[0] in _PACKAGES or (
                name == "get_data_path" and current is not None
            ):
                found.append((module, name))
    return tuple(found)


def _file_patches(asked: list[Source]) -> Iterator[Any]:
    real_open = builtins.open

    def note(path: Any, real: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if isinstance(path, int) or Path(os.fspath(path)).exists():
            _note_bundled(asked, path)
            return real(path, *args, **kwargs)
        _note_file(asked, os.fspath(path))
        raise _Asked

    def opened(file: Any, *args: Any, **kwargs: Any) -> Any:
        return note(file, real_open, *args, **kwargs)

    def listing(real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda path=".", *args, **kwargs: note(path, real, *args, **kwargs)

    def refused(*args: Any, **kwargs: Any) -> None:
        raise _Asked

    yield mock.patch.object(builtins, "open", opened)
    yield mock.patch.object(io, "open", opened)
    for module, name in ((os, "listdir"), (os, "scandir"), (os, "walk")):
        yield mock.patch.object(module, name, listing(getattr(module, name)))
    yield mock.patch.object(glob, "glob", lambda pattern, *a, **k: note(pattern, lambda *_: []))
    yield mock.patch.object(socket, "getaddrinfo", refused)
    yield mock.patch.object(socket.socket, "connect", refused)


def _note_bundled(asked: list[Source], path: Any) -> None:
    place = Path(os.fspath(path)).absolute() if not isinstance(path, int) else Path()
    if place.is_relative_to(_INSIDE) and place.suffix in (".csv", ".json", ".jsonl", ".txt"):
        asked.append((BUNDLED, place.relative_to(_INSIDE).as_posix()))


def _note_hub(asked: list[Source], repo_id: Any, kwargs: dict[str, Any]) -> None:
    files = kwargs.get("data_files")
    if repo_id in _FILE_FORMATS or repo_id is None:
        for file in files.values() if isinstance(files, dict) else [files]:
            for one in file if isinstance(file, (list, tuple)) else [file]:
                if one:
                    _note_file(asked, str(one))
    elif str(repo_id).startswith((".", "/", "data/")):
        _note_file(asked, str(repo_id))
    else:
        asked.append(_hub_source(str(repo_id)))


def _note_file(asked: list[Source], path: str) -> None:
    hub = re.match(r"https?://huggingface.co/datasets/([^/]+/[^/]+)/", path)
    if hub:
        asked.append(_hub_source(hub.group(1)))
    elif path and not posixpath.isabs(path):  # an absolute one is some machine's own
        asked.append(_data_source(path))


def _hub_source(repo_id: str) -> Source:
    return GATED if repo_id in _GATED else HUB, repo_id


def _data_source(path: str) -> Source:
    # OpenCompass 0.5.4 looks for its archive's key anywhere in the path (utils/datasets.py).
    kind = DOWNLOAD if any(key in f"/{path}" for key in DATASETS_URL) else LOCAL
    return kind, posixpath.normpath(path)
