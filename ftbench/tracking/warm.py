"""Imports what recording needs while the evaluation runs, and this process waits for it.

MLflow's client and matplotlib take three to five processor seconds, which would otherwise pass
between the last score and the end of the command.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Iterator

from ftbench.plan import TrackingPlan
from ftbench.plots import load_matplotlib
from ftbench.tracking.environment import no_telemetry

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
        tracking: Where the block's result will be recorded; nothing is imported for ``none``.

    Side effects: imports. A block that fails does not wait.
    """
    thread = threading.Thread(target=_import, args=(tracking,), name="warm-up", daemon=True)
    if tracking.kind == "none":
        yield
        return
    thread.start()
    yield
    thread.join()


def _import(tracking: TrackingPlan) -> None:
    store = "sqlalchemy_store" if tracking.uri.startswith("sqlite:") else "rest_store"
    # What cannot be imported is told by whoever needs it.
    with contextlib.suppress(Exception), no_telemetry():
        for name in (*_RECORDING, f"mlflow.store.tracking.{store}"):
            importlib.import_module(name)
        load_matplotlib()
