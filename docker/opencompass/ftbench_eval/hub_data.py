"""Loads datasets of the hub from its cache, where ``datasets`` alone would ask the hub.

Offline, ``datasets`` 3.6 finds only what it prepared itself earlier; the snapshots that the host
brought lie in the hub cache. Here a repository's name leads to its snapshot folder. Where a script
makes the rows, they are read from the hub's parquet copy, as ``datasets`` does online: no script of
a dataset is run.
"""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from ftbench import hub_cache

_CARDS = "FTBENCH_HUB_CARDS"
"""Variable that leads scoring processes to what ``folder_of`` made."""


def prepare_cache(environ: MutableMapping[str, str], scratch: Path) -> None:
    """Lets ``datasets`` write what it prepares into a folder that is removed at the end.

    Side effects: changes ``environ``; ``datasets`` reads it once, when it is imported.
    """
    environ["HF_DATASETS_CACHE"] = str(scratch / "datasets")
    environ[_CARDS] = str(scratch / "hub-cards")


def load_from_snapshots(environ: MutableMapping[str, str]) -> None:
    """Lets ``load_dataset`` find snapshots by the names of their repositories.

    Args:
        environ: Says where the hub cache is (HF_HUB_CACHE); ``prepare_cache`` went before.

    Side effects: replaces a function of ``datasets`` in this process, once.
    """
    import datasets.load

    original = datasets.load.dataset_module_factory
    if not {"HF_HUB_CACHE", _CARDS} <= environ.keys() or hasattr(original, "__wrapped__"):
        return
    hub_dir, cards = Path(environ["HF_HUB_CACHE"]), Path(environ[_CARDS])

    @functools.wraps(original)
    def find_module(path: str, revision: Any = None, *args: Any, **kwargs: Any) -> Any:
        folder = folder_of(path, str(revision or "main"), hub_dir, cards)
        if folder is None:
            return original(path, revision, *args, **kwargs)
        return original(str(folder), None, *args, **kwargs)

    datasets.load.dataset_module_factory = find_module


def folder_of(path: str, revision: str, hub_dir: Path, cards: Path) -> Path | None:
    """The folder that holds the rows of a hub dataset; None for everything else.

    Args:
        path: First argument of ``load_dataset``.
        revision: Branch or commit.
        hub_dir: The hub cache.
        cards: Receives folders that describe parquet copies.
    """
    if Path(path).exists() or path.count("/") > 1 or path.startswith("."):
        return None
    main = hub_cache.snapshot(hub_dir, path, revision)
    if main is None or not hub_cache.has_script(main, path):
        return main
    parquet = hub_cache.snapshot(hub_dir, path, hub_cache.PARQUET)
    return _describe(parquet, cards / path.replace("/", "--")) if parquet else None


def _describe(parquet: Path, folder: Path) -> Path:
    """Makes a folder that says which parquet file belongs to which configuration and split.

    Source: the hub's layout ``<config>/<split>/0000.parquet``, where the split of a dataset that is
    copied in part is ``partial-<split>``.
    """
    if folder.is_dir():
        return folder
    configs = []
    for config in sorted(path for path in parquet.iterdir() if path.is_dir()):
        splits = sorted(path for path in config.iterdir() if path.is_dir())
        files = [
            {
                "split": split.name.removeprefix("partial-"),
                "path": f"{config.name}/{split.name}/*.parquet",
            }
            for split in splits
        ]
        configs.append({"config_name": config.name, "data_files": files})
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent))
    for config in configs:
        (made / config["config_name"]).symlink_to(parquet / config["config_name"])
    # JSON is YAML.
    (made / "README.md").write_text(f"---\n{json.dumps({'configs': configs})}\n---\n")
    try:
        made.replace(folder)
    except OSError:
        if not folder.is_dir():  # another process made it meanwhile
            raise
    return folder
