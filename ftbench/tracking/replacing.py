"""Puts values in the place of those that an earlier recording of the same evaluation left.

MLflow keeps every value of a metric, and shows of those of one step the one of the latest moment,
and of those of one moment the highest (3.17): a new value needs a later moment. No metric can be
deleted; one that holds no more becomes NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

NO_NUMBER = math.nan
"""Stands where a difference was and is not any more."""


def replacing(
    client: MlflowClient, run: Run, values: Mapping[str, float], timestamp_ms: int, step: int = 0
) -> list[Any]:
    """What is to be logged so that a run shows these values; nothing where it shows them already.

    Args:
        client: Where the run is.
        run: As it is now.
        values: By metric key; NO_NUMBER only replaces what is there.
        timestamp_ms: End of the evaluation, in milliseconds since the epoch: what stands at this
            moment, and at those that follow it at once, is its own.
        step: Where on the run's axis.
    """
    from mlflow.entities import Metric

    metrics = []
    for key, value in values.items():
        shown: dict[int, float] = {}
        if key in run.data.metrics:
            history = client.get_metric_history(run.info.run_id, key)
            for metric in history:
                if metric.step == step:
                    shown[metric.timestamp] = max(
                        metric.value, shown.get(metric.timestamp, -math.inf)
                    )
        moment = timestamp_ms
        while moment in shown:
            moment += 1
        if math.isnan(value):
            # Of an earlier end too, such as that of an evaluation which was completed later.
            earlier = [at for at in shown if at < moment]
            is_shown = not earlier or math.isnan(shown[max(earlier)])
        else:
            is_shown = shown.get(moment - 1, NO_NUMBER) == value
        if not is_shown:
            metrics.append(Metric(key, value, moment, step))
    return metrics


def remove_tags(client: MlflowClient, run: Run, keys: Iterable[str]) -> None:
    """Takes tags off a run, as far as it has them.

    Args:
        client: Where the run is.
        run: As it was; what another process took off since is gone as well.
        keys: Of the tags.
    """
    from mlflow.exceptions import MlflowException

    for key in keys:
        if key not in run.data.tags:
            continue
        try:
            client.delete_tag(run.info.run_id, key)
        except MlflowException:
            if key in client.get_run(run.info.run_id).data.tags:
                raise
