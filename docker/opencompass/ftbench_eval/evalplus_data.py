"""Lets evalplus, which scores HumanEval+ and MBPP+, use tests that lie in the data folder.

It would download them while it scores, where there is no network. And it refuses to score the
first rows alone; that is put right for HumanEval+ here (OpenCompass does it for MBPP+).
"""

from __future__ import annotations

import functools
import json
import threading
from argparse import Namespace
from collections.abc import MutableMapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_FOLDER = Path("data", "evalplus")

_FILES = {
    "HUMANEVAL_OVERRIDE_PATH": "HumanEvalPlus-v0.1.9.jsonl",
    "MBPP_OVERRIDE_PATH": "MbppPlus-v0.1.0.jsonl",
}
"""evalplus 0.2.1: the variable that names a file of tests, and the release that it asks for."""


def provide_evalplus_tests(data_folder: Path, environ: MutableMapping[str, str]) -> None:
    """Names the files that are there; a variable that is set already stays.

    Args:
        data_folder: As COMPASS_DATA_CACHE; the files lie in ``data/evalplus`` below it, unpacked
            and named as the releases of evalplus are.
        environ: ``os.environ`` of the process that imports evalplus later.

    Side effects: changes ``environ``.
    """
    for variable, name in _FILES.items():
        path = data_folder / _FOLDER / name
        if path.is_file():
            environ.setdefault(variable, str(path.absolute()))


def accept_limited_humaneval_plus() -> None:
    """Lets evalplus score the HumanEval+ problems that were asked; with all it changes no score.

    Side effects: replaces ``evaluate`` of evalplus in this process, and its threads: one watches
        over the others and sleeps for 20 s, which the process would wait for at its end.
    """
    try:
        from evalplus import evaluate as module
    except ImportError:
        return
    evaluate, problems_of = module.evaluate, module.get_human_eval_plus

    def evaluate_asked(flags: Namespace) -> None:
        lines = Path(flags.samples).read_text(encoding="utf-8").splitlines()
        asked = {json.loads(line)["task_id"] for line in lines}

        def asked_problems(**options: Any) -> dict[str, Any]:
            problems = problems_of(err_incomplete=False, **options)
            return {name: problems[name] for name in problems if name in asked}

        module.get_human_eval_plus = asked_problems
        evaluate(flags)

    module.evaluate = evaluate_asked
    module.threading = SimpleNamespace(Thread=functools.partial(threading.Thread, daemon=True))
