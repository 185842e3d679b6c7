"""The root-cause line of a log."""

from pathlib import Path

from ftbench.logs import root_cause, root_cause_of


def test_the_last_exception_line_is_the_cause() -> None:
    text = "ValueError: first\nsome text: Error: no\r50%|..|\rRuntimeError: second\n  at x\n"
    assert root_cause_of(text) == "RuntimeError: second"


def test_an_exception_that_points_upwards_gives_way_to_the_first() -> None:
    text = "torch.OutOfMemoryError: CUDA out of memory\nRuntimeError: See root cause above.\n"
    assert root_cause_of(text) == "torch.OutOfMemoryError: CUDA out of memory"


def test_no_exception_no_cause(tmp_path: Path) -> None:
    assert root_cause_of("all is well\n") == ""
    assert root_cause(tmp_path / "absent.log") == ""
