"""Turns the config that a run wrote into a stock one; runs in the evaluation environment.

    python stock_config.py CONFIG OUT [--subsets 4] [--workers 16]

Without options: the same models and datasets, and nothing of how to run them, so that the command
takes its own partitioners and runners. --workers: one task per subset in both stages, and so many
of them at once. --subsets: the first so many subsets.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import mmengine.config.utils
from mmengine.config import Config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--subsets", type=int)
    parser.add_argument("--workers", type=int)
    options = parser.parse_args()
    mmengine.config.utils.PYTHON_ROOT_DIR = sys.base_prefix
    written = Config.fromfile(str(options.config), format_python_code=False)
    config: dict[str, Any] = {
        "models": written["models"],
        "datasets": written["datasets"][: options.subsets],
    }
    if options.workers:
        config["infer"] = stage("OpenICLInferTask", options.workers)
        config["eval"] = stage("OpenICLEvalTask", options.workers)
    options.out.write_text(Config(config, format_python_code=False).pretty_text, encoding="utf-8")


def stage(task: str, workers: int) -> dict[str, Any]:
    """One process per subset."""
    return {
        "partitioner": {"type": "opencompass.partitioners.NaivePartitioner"},
        "runner": {
            "type": "opencompass.runners.LocalRunner",
            "max_num_workers": workers,
            "task": {"type": f"opencompass.tasks.{task}"},
        },
    }


if __name__ == "__main__":
    main()
