"""Imports what is needed after an evaluation while it runs, and this process waits.

statsmodels, which tests differences, takes two processor seconds, MLflow's client and matplotlib
three to five, which would otherwise pass between the last score and the end of the command.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Iterator

from ftbench.plan import TrackingPlan
from ftbench.plots import load_matplotlib
from ftbench.tracking.environment import no_telemetry

_TESTING = ("scipy.stats", "statsmodels.stats.contingency_tables")

_RECORDING = (
    "mlflow.artifacts",
    "mlflow.client",
    "mlflow.entities.evaluation_dataset",
    "mlflow.store.artifact.local_artifact_repo",
    "pandas",
    "pyarrow.parquet",
)


@contextlib.contextmanager
def warmed_up(tracking: TrackingPlan) -> Iterator[None]:
    """Imports in a thread while the block runs, and is done when the block is.

    Args:
        tracking: Where the block's result will be recorded, if it will.

    Side effects: imports. A block that fails does not wait.
    """
    thread = threading.Thread(target=_import, args=(tracking,), name="warm-up", daemon=True)
    thread.start()
    yield
    thread.join()


def _import(tracking: TrackingPlan) -> None:
    # What cannot be imported is told by whoever needs it.
    with contextlib.suppress(Exception), no_telemetry():
        for name in _TESTING:
            importlib.import_module(name)
        if tracking.kind == "none":
            return
        store = "sqlalchemy_store" if tracking.uri.startswith("sqlite:") else "rest_store"
        for name in (*_RECORDING, f"mlflow.store.tracking.{store}"):
            importlib.import_module(name)
        load_matplotlib()
