"""Secrets as files that only the evaluation program's user can read, for one launch."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ftbench.runtimes.orphans import private_folder


@contextlib.contextmanager
def secret_files(
    secrets: Mapping[str, str], names: Sequence[str], user: str, fingerprint: str = ""
) -> Iterator[Path | None]:
    """Writes each secret to a file named like its variable.

    Args:
        secrets: Values by name.
        names: Those that the program receives; one without a value is left out.
        user: ``uid:gid`` that reads them; files can be given to another user only by root.
        fingerprint: Of the evaluation; those that a killed launcher of it left are removed.

    Yields:
        Their folder (mode 0700, files 0600), or None when there is no secret to hand on.

    Side effects: removes the folder at the end.
    """
    chosen = {name: secrets[name] for name in names if secrets.get(name)}
    if not chosen:
        yield None
        return
    with private_folder("ftbench-secrets", fingerprint) as folder:
        for name, value in chosen.items():
            path = folder / name
            path.touch(mode=0o600)
            path.write_text(value, encoding="utf-8")
        if os.getuid() == 0:
            uid, gid = map(int, user.split(":"))
            for path in (folder, *folder.iterdir()):
                os.chown(path, uid, gid)
        yield folder
