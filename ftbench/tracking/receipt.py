"""What a run folder remembers of its recording, so that a reused result is not recorded again.

A receipt holds for one tracker, one result and one set of tags and params; it is believed only
while the tracker still has the run. ``python -m ftbench.record`` takes no notice of it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ftbench import __version__
from ftbench.plan import Plan
from ftbench.schema import Result, RunFiles, from_json, to_json, write_atomically
from ftbench.tracking import contents
from ftbench.tracking.glance import look_up_run
from ftbench.tracking.recorded import Recorded

_FINAL = ("FINISHED", "FAILED")
"""A run stays RUNNING until everything of it is there."""


def keep_receipt(plan: Plan, result: Result, recorded: Recorded) -> None:
    """Notes that a result is recorded.

    Side effects: writes ``recorded.json`` into the run folder.
    """
    uri = plan.tracking.uri
    receipt = {"what": _what(plan, result), "uri": uri, "recorded": to_json(recorded)}
    write_atomically(plan.files.receipt, json.dumps(receipt, ensure_ascii=False, indent=1))


def recorded_last(files: RunFiles) -> Recorded | None:
    """Where a run folder was recorded last, in whichever tracker; None where it never was."""
    kept = _read(files)
    return kept[1] if kept else None


def recorded_before(plan: Plan, result: Result) -> Recorded | None:
    """Where a result stands already; None when it is to be recorded, or that is not certain.

    Args:
        plan: Of the present command.
        result: Collected.
    """
    if plan.tracking.kind == "none":
        return None
    try:
        receipt = json.loads(plan.files.receipt.read_text(encoding="utf-8"))
        recorded = from_json(Recorded, receipt["recorded"])
        is_same = receipt["what"] == _what(plan, result)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not is_same or not isinstance(recorded, Recorded):
        return None
    uri, training_run_id = plan.tracking.uri, recorded.training_run_id
    run = look_up_run(uri, recorded.run_id)
    if run is None or run.lost_files or run.status not in _FINAL:
        return None
    if training_run_id and look_up_run(uri, training_run_id) is None:
        return None
    return recorded


def recorded_anyhow(plan: Plan, experiment_id: str) -> Recorded | None:
    """Where a run folder stands already, with whatever params and tags it was recorded.

    Args:
        plan: Of the run folder, with the tracker in question.
        experiment_id: Where it has to be.
    """
    kept = _read(plan.files)
    if kept is None:
        return None
    uri, recorded = kept
    if uri != plan.tracking.uri or recorded.experiment_id != experiment_id:
        return None
    run = look_up_run(plan.tracking.uri, recorded.run_id)
    is_there = run is not None and not run.lost_files and run.status in _FINAL
    return recorded if is_there else None


def recorded_place(run_dir: Path) -> tuple[str, str] | None:
    """Tracking URI and id of the benchmark run that a run folder was recorded as last.

    Args:
        run_dir: The run folder.

    Returns:
        None where it was not recorded, or the tracker does not plainly have the run any more.
    """
    kept = _read(RunFiles(run_dir))
    if kept is None or look_up_run(kept[0], kept[1].run_id) is None:
        return None
    return kept[0], kept[1].run_id


def _read(files: RunFiles) -> tuple[str, Recorded] | None:
    """Tracking URI and what was recorded there; None without a receipt that can be read."""
    try:
        receipt = json.loads(files.receipt.read_text(encoding="utf-8"))
        recorded = from_json(Recorded, receipt["recorded"])
        uri = str(receipt["uri"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return (uri, recorded) if isinstance(recorded, Recorded) else None


def _what(plan: Plan, result: Result) -> str:
    """Identifies what a recording depends on, but for the training run's own values."""
    parts = [
        __version__,
        plan.run_dir.name,
        to_json(plan.tracking),
        contents.run_tags(plan, result, None),
        contents.run_params(plan, None),
        to_json(result),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
