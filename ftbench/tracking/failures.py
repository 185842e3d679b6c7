"""MLflow's exceptions in a user's words: what happened, and what to type next.

MLflow reports an unreachable server as a nested text of ``requests`` and ``urllib3``; the cause is
at its end. Nothing here imports mlflow.
"""

from __future__ import annotations

import re

from ftbench.errors import Problem
from ftbench.tracking.environment import PASSWORD, TOKEN, USERNAME, redact

_KNOWN: tuple[tuple[str, str, str], ...] = (
    (
        r"Connection refused|Failed to establish a new connection",
        "nothing answers there (connection refused)",
        "start the server (mlflow server), or choose another with tracking.uri=URI; "
        "tracking=none records nothing",
    ),
    (
        r"Name or service not known|Temporary failure in name resolution|NameResolutionError|"
        r"nodename nor servname|No address associated",
        "its host name is not known",
        "check tracking.uri; tracking=none records nothing",
    ),
    (
        r"[Tt]imed out|ReadTimeout|ConnectTimeout",
        "it does not answer in time",
        "check the server, or give it longer with tracking.request_timeout=SECONDS",
    ),
    (
        r"Connection aborted|RemoteDisconnected|Connection reset|Connection broken",
        "the server broke the connection",
        "check the server's log",
    ),
    (
        r"error code 401|\b401\b.*Unauthorized|not authenticated",
        "it refuses the credentials (401)",
        f"export {USERNAME} and {PASSWORD}, or {TOKEN}",
    ),
    (
        r"error code 403|Permission denied.*experiment|PERMISSION_DENIED",
        "the credentials do not permit it (403)",
        "ask for write permission on the experiment",
    ),
    (
        r"out-of-date database schema|Can't locate revision",
        "another MLflow version made this database",
        "python -m mlflow db upgrade {uri} (back it up first), or the MLflow version that made it",
    ),
    (
        r"unable to open database file",
        "its folder is missing or cannot be written",
        "choose another file with tracking.uri=sqlite:////ABSOLUTE/PATH.db",
    ),
    (
        r"readonly database",
        "the database cannot be written",
        "choose another file with tracking.uri=sqlite:////ABSOLUTE/PATH.db",
    ),
    (
        r"file is not a database",
        "the file is not an sqlite database",
        "choose another file with tracking.uri=sqlite:////ABSOLUTE/PATH.db",
    ),
    (
        r"unsupported URI",
        "MLflow does not know this kind of address",
        "http://HOST:PORT of a server, or sqlite:////ABSOLUTE/PATH.db",
    ),
    (
        r"in the deleted state|deleted state",
        "the experiment, or the run, is deleted",
        "restore it (mlflow experiments restore, mlflow runs restore), or choose another",
    ),
)


def explain(exc: BaseException, tried: str, uri: str, then: str = "", log: str = "") -> Problem:
    """Makes a problem of an exception that came out of MLflow or below it.

    Args:
        exc: What was raised.
        tried: What ftbench was doing.
        uri: Tracking URI, for cures that name it.
        then: What to type when the cause is mended.
        log: File with the whole traceback, or an empty string.
    """
    happened, remedy = _cause(exc)
    cures = [redact(remedy.format(uri=uri)), then]
    return Problem(tried, happened, "; then ".join(filter(None, cures)), log)


def _cause(exc: BaseException) -> tuple[str, str]:
    text = redact(str(exc))
    for pattern, happened, remedy in _KNOWN:
        if re.search(pattern, text, re.DOTALL):
            return happened, remedy
    # What MLflow's HTTP client raises is an OSError too, but has no file.
    if isinstance(exc, OSError) and exc.filename and exc.strerror:
        return f"{exc.strerror.lower()}: {exc.filename}", ""
    return f"{type(exc).__name__}: {_first_line(text)}", ""


def _first_line(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "no message")
    return line if len(line) <= 400 else line[:399] + "…"
