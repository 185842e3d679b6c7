"""What several tests need and is dear to make, made once for all worker processes of a session.

With pytest-xdist every worker has fixtures of its own: a session fixture that takes minutes would
be made by each. ``made_once`` gives all of them one folder. What lies in it is read, never changed:
a test that has to change it copies it first.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Gives the folder of that name, which the first caller of the session fills.

    Args:
        factory: pytest's own.
        name: Of the folder, unique in the session.
        make: Called with the empty folder. Whoever else asks meanwhile waits.

    Returns:
        The complete folder.

    Raises:
        pytest.fail.Exception: Another worker tried and failed; trying again would take as long.
    """
    base = factory.getbasetemp()
    # Each worker has a folder of its own in the session's.
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, done, failed = root / name, root / f"{name}.done", root / f"{name}.failed"
    with FileLock(root / f"{name}.lock"):
        if failed.exists():
            pytest.fail(f"{name} was not made:\n{failed.read_text()}", pytrace=False)
        if not done.exists():
            folder.mkdir()
            try:
                make(folder)
            except BaseException as exc:
                failed.write_text(f"{type(exc).__name__}: {exc}")
                raise
            done.touch()
    return folder
