"""What several recordings may write at the same moment: tags, and the datasets of an experiment.

MLflow looks whether it is there and then inserts it, so that of two processes the second fails on
the database's unique key (mlflow 3.17, sqlite and PostgreSQL). Here it looks again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, LoggedModelInput

_MAX_TAGS = 100
"""Tags that MLflow takes in one request."""
_TRIES = 5
_IS_THERE = re.compile("IntegrityError|UniqueViolation|duplicate", re.IGNORECASE)
"""How sqlite, PostgreSQL and MySQL say that another process was first."""


def set_tags(client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    """Sets tags of a run; of several values at the same moment one stays.

    Raises:
        MlflowException: The tracker did not take them.
    """
    from mlflow.entities import RunTag

    wanted = [RunTag(key, value) for key, value in tags.items()]
    for start in range(0, len(wanted), _MAX_TAGS):
        some = wanted[start : start + _MAX_TAGS]
        _until_first_or_there(partial(client.log_batch, run_id, tags=some))


def set_experiment_tag(client: MlflowClient, experiment_id: str, key: str, value: str) -> None:
    """Sets a tag of an experiment; of several values at the same moment one stays.

    Raises:
        MlflowException: The tracker did not take it.
    """
    _until_first_or_there(partial(client.set_experiment_tag, experiment_id, key, value))


def log_inputs(
    client: MlflowClient,
    run_id: str,
    datasets: Sequence[DatasetInput],
    models: Sequence[LoggedModelInput],
) -> None:
    """Links a run to its datasets, which all runs of the experiment share, and its models.

    Raises:
        MlflowException: The tracker did not take them.
    """
    _until_first_or_there(partial(client.log_inputs, run_id, list(datasets), list(models)))


def _until_first_or_there(write: Callable[[], object]) -> None:
    from mlflow.exceptions import MlflowException

    for left in reversed(range(_TRIES)):
        try:
            write()
            break
        except MlflowException as exc:
            if not left or not _IS_THERE.search(str(exc)):
                raise
