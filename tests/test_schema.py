"""The shapes as files: what is written, to the letter, and what is read of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from ftbench.plan import read_plan, write_plan
from ftbench.schema import (
    Reason,
    Sample,
    iterate_samples,
    read_result,
    read_samples,
    to_json,
    write_lines_atomically,
    write_result,
    write_samples,
)
from tests.builders import make_plan, scored_result

ASKED = Sample("mmlu_law", 3, "Which?\nA. “one”", "A 🙂", "A", "B", False, 1, True, 7)
UNASKED = Sample("mmlu_law", 4, "", "", unknown_why="no rule", judge_reply="CORRECT")


def test_a_sample_is_one_line_with_every_field(tmp_path: Path) -> None:
    write_samples(tmp_path / "samples" / "mmlu_law.jsonl", [ASKED, UNASKED])
    assert (tmp_path / "samples" / "mmlu_law.jsonl").read_text(encoding="utf-8") == (
        '{"subset": "mmlu_law", "index": 3, "prompt": "Which?\\nA. “one”", "prediction": "A 🙂", '
        '"extracted": "A", "reference": "B", "correct": false, "repeat": 1, "truncated": true, '
        '"output_tokens": 7, "unknown_why": "", "judge_reply": null}\n'
        '{"subset": "mmlu_law", "index": 4, "prompt": "", "prediction": "", "extracted": null, '
        '"reference": null, "correct": null, "repeat": 0, "truncated": null, '
        '"output_tokens": null, "unknown_why": "no rule", "judge_reply": "CORRECT"}\n'
    )


def test_samples_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_samples(tmp_path / "s.jsonl", [ASKED, UNASKED])
    assert read_samples(tmp_path / "s.jsonl") == [ASKED, UNASKED]
    assert read_samples(tmp_path / "absent.jsonl") == []


def test_samples_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    line = json.dumps({"subset": "s", "index": 0, "prompt": "p", "prediction": "a", "newer": 1})
    (tmp_path / "s.jsonl").write_text(f"\n{line}\nno sample\n")
    samples = iterate_samples(tmp_path / "s.jsonl")
    assert next(samples) == Sample("s", 0, "p", "a")
    with pytest.raises(ValueError, match="Expecting value"):
        next(samples)


def test_a_plan_is_on_the_disk_before_anything_is_launched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(
        "os.fsync", lambda number: synced.append(Path(f"/proc/self/fd/{number}").readlink())
    )
    plan = make_plan(tmp_path)
    write_plan(plan)
    assert synced == [plan.files.plan]


def test_to_json_gives_what_a_file_would_give_back(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    for value in (plan, scored_result(), Reason("timeout", "ü"), ASKED):
        assert to_json(value) == json.loads(json.dumps(dataclasses.asdict(value), default=str))
    write_plan(plan)
    assert read_plan(plan.run_dir) == plan


def test_a_passing_result_is_on_one_line_and_reads_the_same(tmp_path: Path) -> None:
    write_result(tmp_path / "progress.json", scored_result(), is_passing=True)
    write_result(tmp_path / "result.json", scored_result())
    assert (tmp_path / "progress.json").read_text().count("\n") == 0
    assert (tmp_path / "result.json").read_text().startswith('{\n "schema_version": 2,\n "finger')
    for name in ("progress.json", "result.json"):
        assert read_result(tmp_path / name) == scored_result()


def test_lines_that_cannot_be_made_leave_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    write_lines_atomically(path, ["a\n", "b\n"])
    assert path.read_text() == "a\nb\n"
    with pytest.raises(ZeroDivisionError):
        write_lines_atomically(path, (str(1 / number) for number in (1, 0)))
    assert path.read_text() == "a\nb\n"
