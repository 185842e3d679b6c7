"""Credentials, and the variables that MLflow's client reads."""

from __future__ import annotations

import os

import pytest

from ftbench.tracking import export_credentials, redact, split_credentials
from ftbench.tracking.environment import mlflow_environment

SECRET = "s3cr3t/p@ss"
QUOTED = "s3cr3t%2Fp%40ss"


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("http://host:5000", ("http://host:5000", None, None)),
        ("sqlite:////a/b@c.db", ("sqlite:////a/b@c.db", None, None)),
        (f"https://me:{QUOTED}@host/mlflow", ("https://host/mlflow", "me", SECRET)),
        ("https://me@host/x?a=1", ("https://host/x?a=1", "me", None)),
    ],
)
def test_split_credentials(uri: str, parts: tuple[str, str | None, str | None]) -> None:
    assert split_credentials(uri) == parts


def test_export_credentials_sets_only_what_the_uri_has() -> None:
    environ = {"MLFLOW_TRACKING_PASSWORD": "old"}

    assert export_credentials("https://me@host", environ) == "https://host"
    assert environ == {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "old"}
    assert export_credentials(f"https://you:{QUOTED}@host", environ) == "https://host"
    assert environ == {"MLFLOW_TRACKING_USERNAME": "you", "MLFLOW_TRACKING_PASSWORD": SECRET}


def test_redact_removes_uris_credentials_and_exported_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter22")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "tok-123")

    text = redact("GET https://me:pw@host/a failed for hunter22 with tok-123")

    assert text == "GET https://host/a failed for *** with ***"


def test_mlflow_environment_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "a-trainers-run")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")
    before = dict(os.environ)

    with mlflow_environment("http://host", request_timeout_s=7, retries=1):
        assert "MLFLOW_RUN_ID" not in os.environ
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"

    assert dict(os.environ) == before


@pytest.mark.parametrize(("uri", "user"), [("http://host", "me"), ("http://other", None)])
def test_ambient_credentials_go_to_their_own_server_only(
    monkeypatch: pytest.MonkeyPatch, uri: str, user: str | None
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:pw@host")
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)

    with mlflow_environment(uri, request_timeout_s=7, retries=1):
        assert os.environ.get("MLFLOW_TRACKING_USERNAME") == user

    assert "MLFLOW_TRACKING_USERNAME" not in os.environ
