"""The files that stand behind a dataset's scores, and whether they bear the scores out.

A score is believed only where OpenCompass's own files say the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ftbench.json_files import read_object
from ftbench.options import run_abbrs
from ftbench.schema import OK, DatasetResult, RunFiles, SubsetResult

_CHUNK_BYTES = 1 << 20


def doubt(subset: SubsetResult, folder: Path) -> str | None:
    """Why an ok subset cannot be believed; None when OpenCompass's own file bears it out.

    Args:
        subset: With status ok.
        folder: OpenCompass's results of the model, ``results/<model_abbr>``.
    """
    if subset.expected < 1 or subset.completed != subset.expected:
        return f"{subset.completed} of {subset.expected} samples have a prediction"
    if subset.score is None or not math.isfinite(subset.score):
        return f"its score is {subset.score}"
    paths = [folder / f"{abbr}.json" for abbr in run_abbrs(subset.abbr, subset.repeats)]
    try:
        values = [_metrics(path)[subset.metric] for path in paths]
        value = math.fsum(values) / len(values)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        return f"OpenCompass's result cannot be read: {type(exc).__name__}: {exc}"
    if value != subset.score:
        return f"OpenCompass's result says {value}, result.json says {subset.score}"
    return None


def _metrics(path: Path) -> dict[str, Any]:
    """OpenCompass's own result, whose details may be of any size and are not kept."""
    return read_object(path, "details", lambda item: None)


def evidence_files(
    files: RunFiles, model_abbr: str, dataset: DatasetResult
) -> Iterator[tuple[str, Path]]:
    """Every file behind a dataset's scores: predictions, results and samples of each subset.

    Args:
        files: The run folder.
        model_abbr: Name of the model's folders in it.
        dataset: Names the subsets.

    Yields:
        A name that is the same whatever the model is called, such as
        ``predictions/gsm8k.json``, and where the file is, or would be.
    """
    for subset in dataset.subsets:
        for abbr in run_abbrs(subset.abbr, subset.repeats):
            yield f"predictions/{abbr}.json", files.predictions / model_abbr / f"{abbr}.json"
            yield f"results/{abbr}.json", files.results / model_abbr / f"{abbr}.json"
        yield f"samples/{subset.abbr}.jsonl", files.samples(subset.abbr)


def lacks(files: RunFiles, model_abbr: str, dataset: DatasetResult) -> str | None:
    """Why a dataset cannot be taken from a run folder; None when everything of it is there.

    Args:
        files: The run folder.
        model_abbr: Name of the model's folders in it.
        dataset: As the folder's collected result has it.
    """
    if dataset.status != OK or not dataset.subsets:
        return f"it is {dataset.status}"
    for name, path in evidence_files(files, model_abbr, dataset):
        if not path.is_file():
            return f"{name} is missing"
    for subset in dataset.subsets:
        if why := doubt(subset, files.results / model_abbr):
            return f"{subset.abbr}: {why}"
        lines = _count_lines(files.samples(subset.abbr))
        if lines != subset.expected:
            return f"{subset.abbr}: {lines} of {subset.expected} samples are there"
    return None


def _count_lines(path: Path) -> int:
    count = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            count += chunk.count(b"\n")
    return count
