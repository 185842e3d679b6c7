"""What is amiss in OpenCompass 0.5.4 and mended where scoring begins; no metric changes."""

from __future__ import annotations

import functools
from typing import Any

from ftbench_eval.recording import record_samples


def mend_upstream() -> None:
    """Mends what is amiss, in this process; called once, before a subset is scored.

    Side effects: replaces functions of OpenCompass.
    """
    keep_skipped_math_rows()
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
