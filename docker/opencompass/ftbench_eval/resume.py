"""Makes the files of an interrupted run fit to go on from: nothing torn, nothing foreign."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ftbench.schema import RunFiles, read_result
from ftbench_eval.reasons import Refused


def previous_seconds(files: RunFiles, fingerprint: str) -> dict[str, float]:
    """Checks that what a run folder has belongs to this evaluation.

    Returns:
        Inference seconds by subset, of what was done before; empty when the folder is new.

    Raises:
        Refused: Another evaluation wrote into it.
    """
    if not files.progress.is_file():
        return {}
    try:
        previous = read_result(files.progress)
    except ValueError as exc:
        if _planned_fingerprint(files) == fingerprint:
            # A machine that lost its power can leave an empty file; the launcher's own says whose.
            return {}
        raise Refused("foreign_folder", f"{files.root}: {exc}") from exc
    if previous.fingerprint != fingerprint:
        raise Refused(
            "foreign_folder",
            f"{files.root} belongs to another evaluation: its fingerprint is "
            f"{previous.fingerprint[:8]}, this one's {fingerprint[:8]}",
        )
    return {s.abbr: s.seconds for dataset in previous.datasets for s in dataset.subsets}


def ran_out_of_memory(files: RunFiles) -> bool:
    """Whether the launch before this one was killed for the memory that it took."""
    launch = read_json(files.launch)
    return isinstance(launch, dict) and launch.get("ending") == "out_of_memory"


def repair(files: RunFiles, model_abbr: str, rows: dict[str, int]) -> None:
    """Removes what a kill left torn, because OpenCompass goes by a file's existence alone.

    Args:
        files: The run folder.
        model_abbr: Name of the model's folders.
        rows: Samples of each subset, by abbr.

    Side effects: deletes unreadable or incomplete predictions, results without a metric, the torn
        last line of the partial predictions (OpenCompass would discard the whole file), and what
        ``write_atomically`` had not moved into place yet.
    """
    for half in files.root.rglob(".*.tmp"):
        half.unlink(missing_ok=True)
    predictions = files.predictions / model_abbr
    for partial in predictions.glob("tmp_*.jsonl"):
        drop_torn_lines(partial)
    for abbr, expected in rows.items():
        path = predictions / f"{abbr}.json"
        kept = read_json(path)
        if not _is_whole(kept, expected):
            path.unlink(missing_ok=True)
        else:
            (predictions / f"tmp_{abbr}.jsonl").unlink(missing_ok=True)
        scored = files.results / model_abbr / f"{abbr}.json"
        value = read_json(scored)
        if not isinstance(value, dict) or not value or "error" in value or not path.is_file():
            scored.unlink(missing_ok=True)


def _is_whole(predictions: Any, expected: int) -> bool:
    """One answer for each row, by its number: its keys depend on the kind of inferencer."""
    if not isinstance(predictions, dict) or len(predictions) != expected:
        return False
    rows = (predictions.get(str(index)) for index in range(expected))
    return all(isinstance(row, dict) and row for row in rows)


def _planned_fingerprint(files: RunFiles) -> str | None:
    plan = read_json(files.plan)
    return plan.get("fingerprint") if isinstance(plan, dict) else None


def drop_torn_lines(path: Path) -> None:
    """Cuts a JSON-lines file after its last line that is whole."""
    data = path.read_bytes()
    good = 0
    for line in data.splitlines(keepends=True):
        if not line.endswith(b"\n") or _parsed(line) is None:
            break
        good += len(line)
    if good < len(data):
        with path.open("r+b") as file:
            file.truncate(good)


def partial_count(files: RunFiles, model_abbr: str, abbr: str) -> int:
    """Samples of an unfinished subset that have a prediction."""
    partial = files.predictions / model_abbr / f"tmp_{abbr}.jsonl"
    if not partial.is_file():
        return 0
    with partial.open("rb") as lines:
        return sum(1 for line in lines if line.strip())


def read_json(path: Path) -> Any:
    """The value of a JSON file; None when it is absent or torn."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
