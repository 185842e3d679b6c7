"""Runs in the evaluation environment: OpenCompass's own group scores for given subset scores.

Reads from standard input, by preset: ``scores`` (subset abbr to percent) and ``groups``
(``FILE/NAME`` of OpenCompass's summary groups, members first). Writes the scores by group name.
"""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Any

import opencompass
from mmengine.config import Config
from opencompass.summarizers import DefaultSummarizer

FOLDER = Path(opencompass.__file__).parent / "configs" / "summarizers" / "groups"


@functools.cache
def definitions(file: str) -> dict[str, Any]:
    config = Config.fromfile(str(FOLDER / f"{file}.py"), format_python_code=False)
    lists = [config[name] for name in config if name.endswith("_summary_groups")]
    # The catalogue takes the first of a name: bbeh's second one is a harmonic mean.
    return {group["name"]: group for groups in reversed(lists) for group in reversed(groups)}


def group_scores(scores: dict[str, float], keys: list[str]) -> dict[str, float]:
    summary_groups = [definitions(file)[name] for file, name in (k.split("/", 1) for k in keys)]
    config = {"models": [{"abbr": "m"}], "datasets": [], "work_dir": "."}
    summarizer = DefaultSummarizer(config, summary_groups=summary_groups)
    # Some groups ask for one of these names.
    parsed = {"m": {abbr: {"score": score, "accuracy": score} for abbr, score in scores.items()}}
    metrics = {abbr: ["score", "accuracy"] for abbr in scores}
    _, found, _, _ = summarizer._calculate_group_metrics({"m": {}}, parsed, metrics, {})
    return {
        group["name"]: next(
            v for k, v in found["m"][group["name"]].items() if k.endswith("_average")
        )
        for group in summary_groups
    }


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    answer = {path: group_scores(each["scores"], each["groups"]) for path, each in asked.items()}
    json.dump(answer, sys.stdout)
