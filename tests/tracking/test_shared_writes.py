"""When a write is tried again: only where another process was first."""

from __future__ import annotations

from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from ftbench.tracking.shared_writes import set_tags


class Refusing(MlflowClient):
    """A client that refuses as often as it is told, and then takes everything."""

    def __init__(self, message: str, times: int) -> None:
        self.message = message
        self.times = times
        self.calls = 0

    def log_batch(self, run_id: str, **values: Any) -> None:  # type: ignore[override]
        self.calls += 1
        if self.calls <= self.times:
            raise MlflowException(self.message)


@pytest.mark.parametrize(
    "message",
    [
        "(sqlite3.IntegrityError) UNIQUE constraint failed: tags.key, tags.run_uuid",
        '(psycopg2.errors.UniqueViolation) duplicate key value violates "tag_pk"',
        "(pymysql.err.IntegrityError) (1062, Duplicate entry)",
    ],
)
def test_who_was_second_looks_again(message: str) -> None:
    client = Refusing(message, times=2)
    set_tags(client, "run", {"note": "text"})
    assert client.calls == 3


def test_a_server_that_is_away_is_asked_once() -> None:
    client = Refusing("API request failed: connection refused", times=1)
    with pytest.raises(MlflowException, match="refused"):
        set_tags(client, "run", {"note": "text"})
    assert client.calls == 1


def test_a_value_that_is_never_taken_is_an_error() -> None:
    with pytest.raises(MlflowException, match="Duplicate"):
        set_tags(Refusing("Duplicate", times=99), "run", {"note": "text"})
