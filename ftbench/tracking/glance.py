"""Looks at a tracker without MLflow's client, whose import takes three seconds and more.

What is seen here is only ever good news. Whatever is not plainly in order (a database of another
release, an answer other than 200, settings of MLflow's client that this knows nothing of) gives
None, and the caller asks MLflow's client, which says what is wrong and how to mend it.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import re
import sqlite3
import urllib.parse
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftbench.tracking.environment import PASSWORD, TOKEN, USERNAME, split_credentials
from ftbench.tracking.names import sqlite_path

_TIMEOUT_S = 5
"""A server that takes longer is asked by MLflow's client, with its own patience."""

_KNOWN = ("MLFLOW_TRACKING_URI", USERNAME, PASSWORD, TOKEN)
"""Variables of MLflow's client that this takes into account; another one may change everything."""

_REVISION = re.compile(r"^(down_revision|revision)\b.*?= *[\"'](\w+)[\"']", re.MULTILINE)


@dataclass(frozen=True)
class SeenRun:
    """A run that is there and not deleted, in an experiment that is not deleted.

    Attributes:
        status: MLflow's own word, such as FINISHED.
        experiment_id: Where it is.
        lost_files: Its folder of artifacts should lie on this machine, and is not there.
    """

    status: str
    experiment_id: str
    lost_files: bool = False


def is_ready(uri: str, experiment: str | None = None) -> bool:
    """Whether a tracker would plainly take a run; False: ask MLflow's client.

    Args:
        uri: Tracking URI without credentials.
        experiment: Name that the run shall go to; it need not be there yet.
    """
    path = sqlite_path(uri)
    try:
        if path is not None:
            return _database_is_ready(path, experiment)
        if experiment:
            query = urllib.parse.urlencode({"experiment_name": experiment})
            found = _get(uri, f"experiments/get-by-name?{query}")
            return found is not None and found["experiment"]["lifecycle_stage"] == "active"
        return _get(uri, "experiments/search?max_results=1") is not None
    except (sqlite3.Error, OSError, ValueError, KeyError, TypeError):
        return False


def look_up_run(uri: str, run_id: str) -> SeenRun | None:
    """A run as the tracker has it; None: it is not plainly there, ask MLflow's client.

    Args:
        uri: Tracking URI without credentials.
        run_id: MLflow's id of it.
    """
    path = sqlite_path(uri)
    try:
        if path is not None:
            return _run_in_database(path, run_id)
        found = _get(uri, f"runs/get?{urllib.parse.urlencode({'run_id': run_id})}")
        if found is None or found["run"]["info"]["lifecycle_stage"] != "active":
            return None
        info = found["run"]["info"]
        experiment_id = str(info["experiment_id"])
        found = _get(uri, f"experiments/get?experiment_id={urllib.parse.quote(experiment_id)}")
        if found is None or found["experiment"]["lifecycle_stage"] != "active":
            return None
        return SeenRun(str(info["status"]), experiment_id)
    except (sqlite3.Error, OSError, ValueError, KeyError, TypeError):
        return None


def _database_is_ready(path: Path, experiment: str | None) -> bool:
    if not (os.access(path, os.R_OK | os.W_OK) and os.access(path.parent, os.W_OK)):
        return False
    with closing(_open(path)) as database:
        if database.execute("SELECT version_num FROM alembic_version").fetchall() != _newest():
            return False
        if not experiment:
            return True
        found = database.execute(
            "SELECT lifecycle_stage FROM experiments WHERE name = ?", (experiment,)
        ).fetchall()
    return found in ([], [("active",)])


def _run_in_database(path: Path, run_id: str) -> SeenRun | None:
    with closing(_open(path)) as database:
        found = database.execute(
            "SELECT r.status, r.experiment_id, r.artifact_uri FROM runs r JOIN experiments e"
            " ON r.experiment_id = e.experiment_id WHERE r.run_uuid = ?"
            " AND r.lifecycle_stage = 'active' AND e.lifecycle_stage = 'active'",
            (run_id,),
        ).fetchone()
    if found is None:
        return None
    status, experiment_id, uri = map(str, found)
    place = urllib.parse.urlparse(uri)
    is_local = place.scheme in ("", "file")
    return SeenRun(
        status, experiment_id, is_local and not Path(urllib.parse.unquote(place.path)).is_dir()
    )


def _open(path: Path) -> sqlite3.Connection:
    """Read-only: nothing is created, and a look never waits for who writes."""
    quoted = urllib.parse.quote(str(path))
    return sqlite3.connect(f"file:{quoted}?mode=ro", uri=True, timeout=1)


def _newest() -> list[tuple[str]]:
    """The schema version that the installed MLflow works with, as a database has it.

    Read from its migrations, each of which names the one before it. Source: mlflow 3.18,
    ``store/db_migrations/versions``.
    """
    spec = importlib.util.find_spec("mlflow")
    folders = (spec.submodule_search_locations if spec else None) or []
    names: dict[str, set[str]] = {"revision": set(), "down_revision": set()}
    for folder in folders:
        for path in Path(folder, "store", "db_migrations", "versions").glob("*.py"):
            for key, value in _REVISION.findall(path.read_text(encoding="utf-8")):
                names[key].add(value)
    return [(name,) for name in sorted(names["revision"] - names["down_revision"])]


def _get(uri: str, request: str) -> dict[str, Any] | None:
    """A server's answer; None where MLflow's client might ask in another way."""
    if not uri.startswith(("http://", "https://")) or _has_other_settings(os.environ):
        return None
    asked = urllib.request.Request(f"{uri.rstrip('/')}/api/2.0/mlflow/{request}")
    login = _login(uri, os.environ)
    if login:
        asked.add_header("Authorization", login)
    opener = urllib.request.build_opener(_NoRedirect)
    with opener.open(asked, timeout=_TIMEOUT_S) as answer:
        value = json.load(answer)
    return value if isinstance(value, dict) else None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """It would take the login along, to whatever server."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None


def _has_other_settings(environ: Mapping[str, str]) -> bool:
    names = [name for name in environ if name.startswith("MLFLOW_TRACKING_")]
    is_stored = Path("~/.mlflow/credentials").expanduser().exists()
    return is_stored or any(name not in _KNOWN for name in names)


def _login(uri: str, environ: Mapping[str, str]) -> str:
    """The header that MLflow's client would send: a user's name first, else a token."""
    user, password = environ.get(USERNAME), environ.get(PASSWORD)
    ambient, ambient_user, ambient_password = split_credentials(
        environ.get("MLFLOW_TRACKING_URI", "")
    )
    if ambient == uri and ambient_user:
        user, password = ambient_user, ambient_password
    if user and password:
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    return f"Bearer {environ[TOKEN]}" if environ.get(TOKEN) else ""
