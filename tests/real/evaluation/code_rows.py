"""Right and wrong programs for every walled-off code benchmark; runs in the evaluation environment.

    code_rows.py FOLDER

Prints one JSON object: what each benchmark's own function says of each row.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

CALL = json.dumps({"fn_name": "double", "inputs": ["1", "5"], "outputs": ["2", "10"]})
APPS_CALL = json.dumps({"fn_name": "double", "inputs": [[1], [5]], "outputs": [[2], [10]]})
INPUT = json.dumps({"inputs": ["1\n2\n", "5\n6\n"], "outputs": ["3\n", "11\n"]})

SOLUTIONS = {
    "right": "class Solution:\n    def double(self, x):\n        return 2 * x\n",
    "wrong": "class Solution:\n    def double(self, x):\n        return x + 1\n",
    "equal": "class E(int):\n    def __eq__(self, o): return True\n"
    "class Solution:\n    def double(self, x):\n        return E(7)\n",
    "broken": "class Solution:\n    def double(self, x)\n        return 2 * x\n",
    "raises": "class Solution:\n    def double(self, x):\n        return 1 // 0\n",
    "exits": "import os\nos._exit(0)\n",
}
READERS = {
    "right": "a = int(input())\nb = int(input())\nprint(a + b)\n",
    "main": "import sys\nif __name__ == '__main__':\n"
    "    a, b = sys.stdin.read().split()\n    print(int(a) + int(b))\n",
    "wrong": "print(3)\n",
    "exits": "import sys\nprint(int(input()) + int(input()))\nsys.exit()\n",
}


def main() -> None:
    import opencompass.datasets
    from ftbench_eval.answer_walls import wall_off_answers
    from ftbench_eval.code_walls import wall_off_programs
    from ftbench_eval.program_host import ProgramHost

    assert opencompass.datasets
    upstream = {"lcbench": lcbench(), "evaluated": evaluated([])}
    host = ProgramHost(Path(sys.argv[1]))
    wall_off_programs(host, Path(sys.argv[1]))
    wall_off_answers(host)
    said = {
        "upstream": upstream,
        "livecodebench": livecodebench(),
        "apps": contest("apps", "APPSEvaluator"),
        "taco": contest("taco", "TACOEvaluator"),
        "cruxeval": cruxeval(),
        "execution": execution(),
        "lcbench": lcbench(),
        "evalplus": evalplus(),
        "evaluated": evaluated([]),
        "exits": evaluated(["exit()"]),
    }
    print(json.dumps(said))


def livecodebench() -> dict[str, Any]:
    from opencompass.datasets.livecodebench import evaluator

    def check(io: str, program: str) -> Any:
        results, facts = evaluator.codegen_check_correctness({"input_output": io}, program, 6)
        return [results, facts.get("error_code")]

    rows = {f"call {name}": check(CALL, text) for name, text in SOLUTIONS.items()}
    return rows | {f"input {name}": check(INPUT, text) for name, text in READERS.items()}


def contest(name: str, evaluator: str) -> dict[str, Any]:
    import importlib

    module = importlib.import_module(f"opencompass.datasets.{name}")
    judge = getattr(module, evaluator).__new__(getattr(module, evaluator))

    def check(io: str, program: str) -> Any:
        return judge.check_correctness({"input_output": io}, program, 10, debug=False)

    chosen = ("right", "wrong", "exits")
    rows = {f"call {key}": check(APPS_CALL, SOLUTIONS[key]) for key in chosen}
    return rows | {f"input {key}": check(INPUT, READERS[key]) for key in ("right", "wrong")}


def cruxeval() -> dict[str, Any]:
    from opencompass.datasets.cruxeval import _check_correctness

    code = "def f(x):\n    return [x, x]"
    answers = ("[1, 1]", "[1, 2]", "1 or True", "(lambda: [1, 1])()", "__import__('os')._exit(0)")
    return {answer: _check_correctness(f"{code}\nassert [1, 1] == {answer}") for answer in answers}


def execution() -> dict[str, Any]:
    from opencompass.datasets.livecodebench import evaluator

    code, stated = "def f(x):\n    return x, 'a'", "(1, 'a')"
    answers = ("(1, 'a')", "(1.0, 'a')", "(1, 'a')) or (True", "1, 'a'")
    return {a: evaluator.evaluate_score([[a], (code, "f(1)", stated)])[0] for a in answers}


def lcbench() -> dict[str, Any]:
    from opencompass.datasets.LCBench import execution as execute

    test = "assert double(2) == 4"
    programs = {"right": "def double(x): return 2 * x", "wrong": "def double(x): return x"}
    return {name: execute((text, test), 0, 3)[1] for name, text in programs.items()}


def evalplus() -> dict[str, Any]:
    from evalplus import evaluate

    programs = {
        "right": "def double(x): return 2 * x",
        "near": "def double(x): return 2 * x + 1e-9",
        "half": "def double(x): return 2 * x if x < 3 else 0",
        "slow": "import time\ndef double(x): time.sleep(60)",
        "exits": "import os\nos._exit(0)",
    }
    return {
        name: evaluate.untrusted_check(
            "humaneval", text, [[1], [5]], "double", [2.0, 10.0], 1e-6, [0.01, 0.01],
            min_time_limit=0.2, gt_time_limit_factor=4.0,
        )
        for name, text in programs.items()
    }  # fmt: skip


def evaluated(hostile: list[str]) -> dict[str, Any]:
    """What comes of answers, and of hostile ones beside them."""
    from opencompass.datasets import MedCalc_Bench, humaneval
    from opencompass.datasets.korbench.korbench_utils import method_10
    from opencompass.datasets.livecodebench.evaluator import check_testcase_output
    from opencompass.datasets.supergpqa.supergpqa_utils import method_9
    from opencompass.datasets.TheoremQA import TheoremQA_postprocess_v3
    from opencompass.datasets.TheoremQA.utils import compare_answer_with_groundtruth
    from opencompass.utils.text_postprocessors import general_eval_wrapper_postprocess

    return {
        "theoremqa": [
            TheoremQA_postprocess_v3("The answer is 2*sqrt(2)"),
            compare_answer_with_groundtruth("sqrt(16)", "4", 4),
            compare_answer_with_groundtruth("(1, 2)", "[1, 2]", [1, 2]),
        ],
        "korbench": [method_10("(1+2+5)*3", "3*(1+2+5)"), method_10("1+2+3*5", "3*(1+2+5)")],
        "supergpqa": [method_9("2*3=6", "3*2=6"), method_9("2*4=8", "3*2=6")],
        "medcalc": MedCalc_Bench.check_correctness("round(2.4)", "2", 4, "2", "2"),
        "test output": [check_testcase_output(t, "[1, 2]") for t in ["[1]+[2]", *hostile]],
        "text": [general_eval_wrapper_postprocess(t) for t in ["'a' + 'b'", "a b", *hostile]],
        "humaneval": humaneval.humaneval_internal_v1_postprocess("'x = ' + '1'"),
    }


if __name__ == "__main__":
    main()
