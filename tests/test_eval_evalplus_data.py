"""Where evalplus finds its tests."""

from __future__ import annotations

from pathlib import Path

from ftbench_eval.evalplus_data import provide_evalplus_tests


def test_files_in_the_data_folder_are_named(tmp_path: Path) -> None:
    tests = tmp_path / "data" / "evalplus" / "HumanEvalPlus-v0.1.9.jsonl"
    tests.parent.mkdir(parents=True)
    tests.touch()
    environ: dict[str, str] = {}
    provide_evalplus_tests(tmp_path, environ)
    assert environ == {"HUMANEVAL_OVERRIDE_PATH": str(tests)}


def test_variable_of_the_user_stays(tmp_path: Path) -> None:
    tests = tmp_path / "data" / "evalplus" / "MbppPlus-v0.1.0.jsonl"
    tests.parent.mkdir(parents=True)
    tests.touch()
    environ = {"MBPP_OVERRIDE_PATH": "/mine.jsonl"}
    provide_evalplus_tests(tmp_path, environ)
    assert environ == {"MBPP_OVERRIDE_PATH": "/mine.jsonl"}
