"""Scores hand-made predictions with OpenCompass's real evaluators; runs in the evaluation
environment, in one process.

    run_evaluators.py FOLDER [CASE...]

Leaves ``predictions/m/<case>.json`` and ``results/m/<case>.json`` in FOLDER, as a run would, and
``failures.json``: why a case has no result, by its name.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from cases import Case, read_cases
from ftbench_eval.evalplus_data import accept_limited_humaneval_plus
from ftbench_eval.scoring_child import accept_limited_humaneval
from ftbench_eval.upstream_fixes import mend_upstream


def main(folder: Path, wanted: list[str]) -> None:
    multiprocessing.set_start_method("fork", force=True)
    write_evalplus(folder)
    from datasets import Dataset
    from mmengine.config import ConfigDict
    from opencompass.datasets.base import BaseDataset
    from opencompass.registry import LOAD_DATASET
    from opencompass.tasks import OpenICLEvalTask

    class HandMade(BaseDataset):
        @staticmethod
        def load(path: str) -> Any:
            return Dataset.from_list(json.loads(Path(path).read_text()))

    LOAD_DATASET.register_module(module=HandMade)
    accept_limited_humaneval()
    accept_limited_humaneval_plus()
    mend_upstream()
    failures = {}
    for case in read_cases():
        if not wanted or case.name in wanted:
            config = ConfigDict(write(case, folder))
            try:
                OpenICLEvalTask(config).run()
            except Exception as exc:
                traceback.print_exc()
                failures[case.name] = f"{type(exc).__name__}: {exc}"
    (folder / "failures.json").write_text(json.dumps(failures, indent=1))


def write_evalplus(folder: Path) -> None:
    """Writes problems like those of HumanEval+ and MBPP+, more than are asked."""
    for variable, name in (("HUMANEVAL", "HumanEval"), ("MBPP", "Mbpp")):
        problems = [
            {
                "task_id": f"{name}/{i}",
                "prompt": "def f(x):\n",
                "canonical_solution": "    return x + 1\n",
                "entry_point": "f",
                "base_input": [[1]],
                "plus_input": [[1], [5]],
                "atol": 0,
                "test": "",
                "contract": "",
                "assertion": "",
            }
            for i in range(10, 20)
        ]
        path = folder / f"{name}Plus.jsonl"
        path.write_text("".join(json.dumps(problem) + "\n" for problem in problems))
        # evalplus reads them when it is imported.
        os.environ[f"{variable}_OVERRIDE_PATH"] = str(path)


def write(case: Case, folder: Path) -> dict[str, Any]:
    """Writes a case's rows and predictions.

    Returns:
        The task config that scores them.
    """
    columns = {"reference": list(case.references), **case.columns}
    rows = [{name: values[i] for name, values in columns.items()} for i in range(case.count)]
    path = folder / "data" / f"{case.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
    predictions = {}
    for i, (said, reference) in enumerate(zip(case.predictions, case.references, strict=True)):
        predictions[str(i)] = {"origin_prompt": f"question {i}", "prediction": said}
        if reference:
            predictions[str(i)]["gold"] = reference
    path = folder / "predictions" / "m" / f"{case.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(predictions, indent=1, ensure_ascii=False))
    dataset = {
        "abbr": case.name,
        "type": "HandMade",
        "path": str(folder / "data" / f"{case.name}.json"),
        "reader_cfg": {
            "input_columns": [],
            "output_column": "reference",
            "train_split": "test",
            "test_split": "test",
        },
        "eval_cfg": {"evaluator": {"type": case.evaluator, **case.options}, **case.evaluation},
    }
    return {
        "models": [{"abbr": "m"}],
        "datasets": [[dataset]],
        "work_dir": str(folder),
        "eval": {"runner": {"task": {"dump_details": True}}},
    }


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    main(Path(sys.argv[1]), sys.argv[2:])
