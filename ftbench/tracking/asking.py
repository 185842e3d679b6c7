"""The wall before MLflow: what it raises inside a block becomes a TrackingError with a cure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ftbench.errors import TrackingError
from ftbench.tracking.environment import mlflow_environment
from ftbench.tracking.failures import explain

RETRIES = 2
REQUEST_TIMEOUT_S = 30


@contextmanager
def asking(
    uri: str, tried: str, *, request_timeout_s: int = REQUEST_TIMEOUT_S, cure: str = ""
) -> Iterator[None]:
    """Sets how MLflow's client behaves in a block, and translates what goes wrong in it.

    Args:
        uri: Tracking URI without credentials.
        tried: What is done there, for the error.
        request_timeout_s: Seconds that one request may take; MLflow counts whole ones, and 0 would
            be no limit at all.
        cure: What to type when the cause is mended.

    Raises:
        TrackingError: The tracker, its database or the file system refused.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    with mlflow_environment(uri, max(1, request_timeout_s), RETRIES):
        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError, ValueError) as exc:
            raise TrackingError(explain(exc, tried, uri, cure)) from exc
