"""Tags of runs and experiments that several recordings may set at the same moment.

On a database, MLflow's ``set_tag`` and ``set_experiment_tag`` fail when another process sets the
first value of the same key in between (mlflow 3.17: look, then insert).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MAX_TAGS = 100
"""Tags that MLflow takes in one request."""
_TRIES = 3


def set_tags(client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    """Sets tags of a run; of several values at the same moment one stays.

    Raises:
        MlflowException: The tracker did not take them.
    """
    from mlflow.entities import RunTag

    # ``log_batch`` tries again by itself where another process was in between.
    wanted = [RunTag(key, value) for key, value in tags.items()]
    for start in range(0, len(wanted), _MAX_TAGS):
        client.log_batch(run_id, tags=wanted[start : start + _MAX_TAGS])


def set_experiment_tag(client: MlflowClient, experiment_id: str, key: str, value: str) -> None:
    """Sets a tag of an experiment; of several values at the same moment one stays.

    Raises:
        MlflowException: The tracker did not take it.
    """
    from mlflow.exceptions import MlflowException

    for left in reversed(range(_TRIES)):
        try:
            client.set_experiment_tag(experiment_id, key, value)
            break
        except MlflowException:
            if not left:
                raise
