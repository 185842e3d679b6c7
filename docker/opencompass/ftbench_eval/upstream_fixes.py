"""What is amiss upstream and mended where scoring begins; no metric changes.

Held against OpenCompass 0.5.4 and evalplus 0.2.1.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftbench_eval.recording import record_samples


def mend_upstream() -> None:
    """Mends what is amiss, in this process; called once, before a subset is scored.

    Side effects: replaces functions of OpenCompass.
    """
    keep_skipped_math_rows()
    hand_on_evalplus_results()
    record_samples()


def keep_skipped_math_rows() -> None:
    """Lets MATHVerifyEvaluator keep the rows whose reference it cannot parse.

    It leaves them out of its details, so that every later row speaks of an earlier sample, yet
    counts them in its accuracy: as wrong. So do the details then. (In CascadeEvaluator such a row
    would be an error, since there it is the only one.)

    Side effects: wraps ``evaluator.math_evaluator._verify_with_timeout`` in this process.
    """
    from opencompass.evaluator import math_evaluator

    original = math_evaluator._verify_with_timeout

    @functools.wraps(original)
    def verify(pred: Any, ref: Any, timeout: float = 10) -> dict[str, Any]:
        verified: dict[str, Any] = original(pred, ref, timeout=timeout)
        if not verified.get("skipped"):
            return verified
        # The prediction was not looked at, hence no parsed answer.
        return {"answer_correct": 0.0, "answer_parsed": None, "gold_parsed": ref}

    math_evaluator._verify_with_timeout = verify


def hand_on_evalplus_results() -> None:
    """Hands on what HumanEval+ and MBPP+ find of each problem, and keeps limited runs apart.

    evalplus keeps what the problems should give under a name that is the same for some of them and
    for all, so that a limited run would break the next one.

    Side effects: wraps ``evaluate`` and ``get_groundtruth`` of ``evalplus.evaluate`` in this
        process, if it is installed. ``evaluate`` then returns what it writes.
    """
    try:
        from evalplus import evaluate as module
    except ImportError:
        return
    original, compute = module.evaluate, module.get_groundtruth

    @functools.wraps(original)
    def evaluate(flags: Any) -> Any:
        original(flags)
        written = Path(flags.samples.replace(".jsonl", "_eval_results.json"))
        return json.loads(written.read_text(encoding="utf-8"))

    @functools.wraps(compute)
    def get_groundtruth(problems: Mapping[str, Any], hashcode: str, *args: Any) -> Any:
        if (Path(module.CACHE_DIR) / f"{hashcode}.pkl").is_file():
            return compute(problems, hashcode, *args)
        names = hashlib.sha256("\n".join(sorted(problems)).encode()).hexdigest()[:16]
        return compute(problems, f"{hashcode}-{names}", *args)

    module.evaluate, module.get_groundtruth = evaluate, get_groundtruth
