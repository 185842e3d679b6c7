"""Secrets come as files, and stand in the environment only while something needs them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, MutableMapping
from pathlib import Path

from ftbench.schema import SECRET_NAMES

_LOADING = ("HF_TOKEN",)
"""What loading a model or a dataset may need."""


def read_secret(folder: Path | None, name: str) -> str:
    """The value of one secret; empty when there is none.

    Args:
        folder: Has one file per secret, named like its variable; None: there are none.
        name: One of ``schema.SECRET_NAMES``.
    """
    path = folder / name if folder is not None else None
    if path is None or not path.is_file():
        return ""
    return path.read_text(encoding="utf-8").strip()


@contextlib.contextmanager
def loading_secrets(folder: Path | None, environ: MutableMapping[str, str]) -> Iterator[None]:
    """Puts the secrets that loading needs into the environment, and takes them out again.

    Args:
        folder: Has one file per secret, named like its variable; None: there are none.
        environ: ``os.environ``.
    """
    names = [name for name in SECRET_NAMES if name in _LOADING]
    for name in names:
        value = read_secret(folder, name)
        if value:
            environ[name] = value
    try:
        yield
    finally:
        for name in names:
            environ.pop(name, None)
