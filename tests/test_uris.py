"""Credentials in URIs, and relative sqlite paths."""

from pathlib import Path

import pytest

from ftbench.uris import sqlite_path, strip_credentials


@pytest.mark.parametrize(
    ("uri", "stripped"),
    [
        ("http://ada:pw@host:5000/x", ("http://host:5000/x", "ada", "pw")),
        ("http://ada@host", ("http://host", "ada", "")),
        ("http://host/a@b", ("http://host/a@b", "", "")),
        ("postgresql://u:p@ss@h/db", ("postgresql://h/db", "u", "p@ss")),
        ("sqlite:////data/mlflow.db", ("sqlite:////data/mlflow.db", "", "")),
        ("say http://a:b@h to http://c:d@i/", ("say http://h to http://i/", "a", "b")),
    ],
)
def test_strip_credentials_takes_them_all_out(uri: str, stripped: tuple[str, str, str]) -> None:
    assert strip_credentials(uri) == stripped


def test_sqlite_path_starts_a_relative_path_at_the_folder() -> None:
    assert sqlite_path("sqlite:///runs/m.db", Path("/home/ada")) == "sqlite:////home/ada/runs/m.db"
    assert sqlite_path("sqlite:////m.db", Path("/home/ada")) == "sqlite:////m.db"
    assert sqlite_path("http://host", Path("/home/ada")) == "http://host"
