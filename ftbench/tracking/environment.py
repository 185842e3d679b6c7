"""Credentials of the tracker, and the variables under which MLflow's client works for us."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from urllib.parse import unquote

from ftbench.uris import strip_credentials

USERNAME = "MLFLOW_TRACKING_USERNAME"
PASSWORD = "MLFLOW_TRACKING_PASSWORD"
TOKEN = "MLFLOW_TRACKING_TOKEN"

_FOREIGN = ("MLFLOW_RUN_ID", "MLFLOW_ACTIVE_MODEL_ID", "_MLFLOW_ACTIVE_MODEL_ID")
"""Fluent state of a trainer that may live in the same process; it must not bend what we write."""


def split_credentials(uri: str) -> tuple[str, str | None, str | None]:
    """Takes user name and password out of a tracking URI.

    MLflow prints URIs in links and error texts, so a password must not stay in one.

    Args:
        uri: Such as ``https://user:secret@host/mlflow``; a sqlite URI is returned as it is.

    Returns:
        The URI without them, the user name and the password, decoded, each None when absent.
    """
    clean, user, password = strip_credentials(uri)
    return clean, unquote(user) or None, unquote(password) or None


def export_credentials(uri: str, environ: MutableMapping[str, str] | None = None) -> str:
    """Hands a URI's credentials to MLflow's client through its own variables.

    Args:
        uri: Tracking URI, possibly with user name and password.
        environ: Variables to set; None for this process's own.

    Returns:
        The URI without credentials, fit for plans, logs and files.

    Side effects: sets MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD when the URI has them.
    """
    env = os.environ if environ is None else environ
    clean, user, password = split_credentials(uri)
    if user is not None:
        env[USERNAME] = user
    if password is not None:
        env[PASSWORD] = password
    return clean


def redact(text: str) -> str:
    """Removes credentials from a text: user info of every URI in it, and the exported secrets."""
    for name in (PASSWORD, TOKEN):
        secret = os.environ.get(name, "")
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    return strip_credentials(text)[0]


@contextmanager
def no_telemetry() -> Iterator[None]:
    """Lets mlflow be imported in the block without its telemetry, unless the user asked for it."""
    name = "MLFLOW_DISABLE_TELEMETRY"
    is_given = name in os.environ
    os.environ.setdefault(name, "true")
    try:
        yield
    finally:
        if not is_given:
            os.environ.pop(name, None)


@contextmanager
def mlflow_environment(uri: str, request_timeout_s: int, retries: int) -> Iterator[None]:
    """Sets how MLflow's client behaves, and restores everything afterwards.

    Credentials that stand in MLFLOW_TRACKING_URI are used for that very server.

    Args:
        uri: Tracking URI without credentials.
        request_timeout_s: Seconds that one request may take.
        retries: Further tries of a failed request. MLflow's own 7 block each call for four
            minutes when the server is down; 2 take 5 seconds.
    """
    wanted = {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(request_timeout_s),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries),
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_DISABLE_TELEMETRY": os.environ.get("MLFLOW_DISABLE_TELEMETRY", "true"),
    }
    before = {name: os.environ.get(name) for name in (*wanted, *_FOREIGN, USERNAME, PASSWORD)}
    for name in _FOREIGN:
        os.environ.pop(name, None)
    ambient = os.environ.get("MLFLOW_TRACKING_URI", "")
    if split_credentials(ambient)[0] == uri:
        export_credentials(ambient)
    os.environ.update(wanted)
    try:
        with _quiet_loggers():
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _quiet_loggers() -> Iterator[None]:
    # Importing mlflow sets the levels of its loggers, so it comes first.
    import mlflow  # noqa: F401

    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
