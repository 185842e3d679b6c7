"""MLflow: check it before the launch, record an evaluation after it. Last but one on the line.

Scores, samples and files of a finished evaluation go into a benchmark run, linked both ways with
the run that trained the adapter. The layout is described in ``scores`` (metrics), ``contents``
(tags and params), ``artifacts`` and ``training``. Only this package imports mlflow, and lazily.
"""

from __future__ import annotations

from ftbench.tracking.attended import (
    FAILED,
    FINISHED,
    KILLED,
    OpenRun,
    Settled,
    TrainingEnd,
    open_training_run,
    settle_training_run,
)
from ftbench.tracking.check import check, training_status
from ftbench.tracking.deltas import experiment_name, record_deltas
from ftbench.tracking.environment import export_credentials, redact, split_credentials
from ftbench.tracking.names import model_label
from ftbench.tracking.receipt import recorded_anyhow, recorded_before
from ftbench.tracking.recorded import Recorded
from ftbench.tracking.recorder import record
from ftbench.tracking.restoring import restore
from ftbench.tracking.sweeps import RecordedSweep, open_sweep, record_sweep
from ftbench.tracking.trained import TrainedRun, bring, find_trained, get_trained, is_active
from ftbench.tracking.warm import warmed_up

__all__ = [
    "FAILED",
    "FINISHED",
    "KILLED",
    "OpenRun",
    "Recorded",
    "RecordedSweep",
    "Settled",
    "TrainedRun",
    "TrainingEnd",
    "bring",
    "check",
    "experiment_name",
    "export_credentials",
    "find_trained",
    "get_trained",
    "is_active",
    "model_label",
    "open_sweep",
    "open_training_run",
    "record",
    "record_deltas",
    "record_sweep",
    "recorded_anyhow",
    "recorded_before",
    "redact",
    "restore",
    "settle_training_run",
    "split_credentials",
    "training_status",
    "warmed_up",
]
