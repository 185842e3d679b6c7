"""Puts a comparison beside the scores of the runs that it is of: as artifacts of their runs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ftbench.tracking.names import file_stem
from ftbench.tracking.searching import open_tracker, reading

FOLDER = "comparison"


def record_comparison(
    tracking_uri: str, run_ids: Sequence[str], baseline: str, texts: Mapping[str, str]
) -> str:
    """Writes ``comparison/vs-<baseline>.<ending>`` to each run, in place of an earlier one.

    Args:
        tracking_uri: Of the tracker that has the runs, without credentials.
        run_ids: The runs that were compared, without the baseline.
        baseline: What the baseline is called.
        texts: Content of each file by its ending, such as ``html``.

    Returns:
        Path of the files inside each run, without the ending.

    Raises:
        ReadingError: The tracker does not take them.
    """
    name = f"vs-{file_stem(baseline)}"
    client = open_tracker(tracking_uri).client
    with tempfile.TemporaryDirectory(prefix="ftbench-comparison-") as folder:
        for ending, text in texts.items():
            (Path(folder) / f"{name}.{ending}").write_text(text, encoding="utf-8")
        with reading(tracking_uri, "recording the comparison"):
            for run_id in run_ids:
                client.log_artifacts(run_id, folder, FOLDER)
    return f"{FOLDER}/{name}"
