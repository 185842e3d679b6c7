"""A private PostgreSQL in a folder, of Debian's package; its socket lies there, it has no port."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote


def find_postgres() -> Path | None:
    """Folder of PostgreSQL's programs, of the newest version, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Runs a server and yields the URI of its empty database.

    Args:
        folder: For everything that it writes; other users may enter it, and its path has less than
            80 characters.
    """
    programs = find_postgres()
    assert programs is not None, "PostgreSQL is not installed: apt-get install postgresql"
    data = folder / "data"
    data.mkdir()
    # It refuses to run as root.
    who: dict[str, Any] = {"cwd": folder}
    if os.getuid() == 0:
        for path in (folder, data):
            shutil.chown(path, "postgres", "postgres")
        who |= {"user": "postgres", "group": "postgres", "extra_groups": []}
    initdb = ["initdb", "--auth=trust", "--no-sync", "--username=me", f"--pgdata={data}"]
    subprocess.run([programs / initdb[0], *initdb[1:]], check=True, capture_output=True, **who)
    command = [programs / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses="]
    with (folder / "postgres.log").open("wb") as log:
        server = subprocess.Popen([*command, "-F"], stdout=log, stderr=log, **who)
    ready = [programs / "pg_isready", "-q", "-h", folder, "-U", "me"]
    try:
        deadline = time.monotonic() + 60
        while subprocess.run(ready, **who).returncode:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((folder / "postgres.log").read_text())
            time.sleep(0.1)
        yield f"postgresql+psycopg2://me@/postgres?host={quote(str(folder), safe='')}"
    finally:
        # Does not wait for clients that are still there.
        server.send_signal(signal.SIGINT)
        server.wait(timeout=60)
