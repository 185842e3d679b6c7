"""A user's own datasets on the host: which names are files, and whether they can be asked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ftbench.catalogue import Catalogue, UnknownDataset
from ftbench.config import looks_like_a_file
from ftbench.errors import Problem
from ftbench.own_rows import ROW_SUFFIXES, own_name, read_rows
from ftbench.preset import Preset

_DOCS = "docs/own-datasets.md shows the columns"


@dataclass(frozen=True)
class OwnDataset:
    """A user's own file.

    Attributes:
        name: Its stem, which heads every table.
        path: Absolute.
        sha256: Of its content, 64 hex digits.
    """

    name: str
    path: Path
    sha256: str

    @property
    def preset(self) -> Preset:
        """What stands for it among the presets; a Python config is read by the evaluation only."""
        is_python = self.path.suffix == ".py"
        return Preset(
            name=self.name,
            path=str(self.path),
            mode="own" if is_python else "gen",
            subsets=() if is_python else (self.name,),
            family="",
        )


def is_own(name: str, catalogue: Catalogue) -> bool:
    """Whether a dataset name is the path of a file; ``mmlu/mmlu_gen.py`` is a preset's."""
    if looks_like_a_file(name):
        return True
    if not name.endswith(".py"):
        return False
    try:
        catalogue.resolve(name)
    except UnknownDataset:
        return True
    return False


def read_own(name: str, path: Path, catalogue: Catalogue) -> OwnDataset | list[Problem]:
    """Reads a user's file.

    Args:
        name: As the user wrote it.
        path: Where that is, absolute.
        catalogue: Names that a file must not take.

    Returns:
        The dataset, or everything that is wrong with it.
    """
    tried = f"datasets: '{name}'"
    try:
        content = path.read_bytes()
        rows = read_rows(path) if path.suffix.lower() in ROW_SUFFIXES else None
    except OSError as exc:
        return [Problem(tried, f"{path}: {(exc.strerror or str(exc)).lower()}")]
    if rows is not None and rows.faults:
        happened = f"cannot be asked: {'; '.join(rows.faults)}"
        return [Problem(tried, happened, _DOCS)]
    own = OwnDataset(own_name(path), path, hashlib.sha256(content).hexdigest())
    try:
        catalogue.resolve(own.name)
    except UnknownDataset:
        return own
    happened = f"would be shown as '{own.name}', which is a dataset of OpenCompass"
    return [Problem(tried, happened, "rename the file")]
