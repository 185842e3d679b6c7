"""Evaluators that send what the model wrote elsewhere: to services outside, or to own judges.

Standard library only: host and evaluation program share this module. Source: evaluators and presets
of OpenCompass 0.5.4.
"""

from __future__ import annotations

from collections.abc import Iterable

_EXECUTOR = "https://opencompass-multiple-evaluator.hf.space"
_OWN_SERVER = "http://localhost:5000, a code server that you run"

SERVICES: dict[str, str] = {
    "BigCodeBenchEvaluator": "https://opencompass-opencompass-bigcodebench-evaluator.hf.space",
    "DS1000ServiceEvaluator": _OWN_SERVER,
    "HumanevalMultiEvaluator": _OWN_SERVER,
    "HumanevalProEvaluator": _EXECUTOR,
    "HumanevalXEvaluator": _OWN_SERVER,
    "LCBProEvaluator": "http://lightcpverifier.ailab.ailab.ai",
    "MBPPProEvaluator": _EXECUTOR,
    "MultiplEEvaluator": _EXECUTOR,
    "PMMEvalHumanEvalXLEvaluator": _OWN_SERVER,
    "ToxicEvaluator": "https://commentanalyzer.googleapis.com",
}
"""Evaluator class to the address that gets the model's answers, mostly programs to execute."""

OWN_JUDGES = (
    "ATLASLLMEvaluator",
    "GaoKaoMATHEvaluator",
    "HealthBenchEvaluator",
    "LiveMathBenchEvaluator",
    "LMEvaluator",
    "OmniMathEvaluator",
)
"""Evaluators that ask a judge each in its own way, which ours does not stand in for."""


def addresses(evaluators: Iterable[str]) -> list[str]:
    """Where the answers would go that these evaluators score; each address once."""
    return list(dict.fromkeys(SERVICES[name] for name in evaluators if name in SERVICES))
