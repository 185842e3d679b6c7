"""The root-cause line of a log."""

from pathlib import Path

from ftbench.logs import root_cause, root_cause_of, start_mark


def test_the_last_exception_line_is_the_cause() -> None:
    text = "ValueError: first\nsome text: Error: no\r50%|..|\rRuntimeError: second\n  at x\n"
    assert root_cause_of(text) == "RuntimeError: second"


def test_an_exception_that_points_upwards_gives_way_to_the_first() -> None:
    text = "torch.OutOfMemoryError: CUDA out of memory\nRuntimeError: See root cause above.\n"
    assert root_cause_of(text) == "torch.OutOfMemoryError: CUDA out of memory"


def test_no_exception_no_cause(tmp_path: Path) -> None:
    assert root_cause_of("all is well\n") == ""
    assert root_cause(tmp_path / "absent.log") == ""


def test_root_cause_is_that_of_the_last_launch(tmp_path: Path) -> None:
    log = tmp_path / "launch.log"
    log.write_text(f"{start_mark()}ValueError: the first\n{start_mark()}loading\n")
    assert root_cause(log) == ""
    with log.open("a") as lines:
        lines.write("KeyError: 'the second'\n")
    assert root_cause(log) == "KeyError: 'the second'"
