"""What a kill leaves behind is made fit to go on from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ftbench_eval.reasons import Refused
from ftbench_eval.resume import drop_torn_lines, partial_count, previous_seconds, repair

from ftbench.schema import DatasetResult, Result, RunFiles, SubsetResult, write_result


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    for kind in ("predictions", "results"):
        (tmp_path / kind / "m").mkdir(parents=True)
    return RunFiles(tmp_path)


def write_predictions(files: RunFiles, abbr: str, rows: int) -> Path:
    path = files.predictions / "m" / f"{abbr}.json"
    path.write_text(json.dumps({str(i): {"prediction": "x"} for i in range(rows)}))
    return path


@pytest.mark.parametrize(
    ("torn", "kept"),
    [
        (b'{"idx": "0"}\n{"idx": "1"}\n', b'{"idx": "0"}\n{"idx": "1"}\n'),
        (b'{"idx": "0"}\n{"idx": "1', b'{"idx": "0"}\n'),
        (b'{"idx": "0"}\n{"idx": "1"}', b'{"idx": "0"}\n'),
        (b'{"id', b""),
    ],
)
def test_drop_torn_lines(tmp_path: Path, torn: bytes, kept: bytes) -> None:
    path = tmp_path / "tmp_gsm8k.jsonl"
    path.write_bytes(torn)
    drop_torn_lines(path)
    assert path.read_bytes() == kept


def test_repair_keeps_complete_predictions_and_results(files: RunFiles) -> None:
    path = write_predictions(files, "gsm8k", 2)
    result = files.results / "m" / "gsm8k.json"
    result.write_text('{"accuracy": 1.0}')
    repair(files, "m", {"gsm8k": 2})
    assert path.is_file()
    assert result.is_file()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\0" * 64,
        '{"0": {"predi',
        '{"0": {"prediction": "x"}}',
        '{"0": {"prediction": "x"}, "1": {"prediction": "x"}, "2": {"prediction": "x"}}',
        '{"0": {"prediction": "x"}, "2": {"prediction": "x"}}',
        '{"0": {"prediction": "x"}, "1": {}}',
        '{"0": {"prediction": "x"}, "1": 1}',
        "[]",
        "[1, 2]",
        "null",
    ],
)
def test_repair_removes_torn_or_incomplete_predictions_and_their_score(
    files: RunFiles, content: str
) -> None:
    path = files.predictions / "m" / "gsm8k.json"
    path.write_text(content)
    result = files.results / "m" / "gsm8k.json"
    result.write_text('{"accuracy": 1.0}')
    repair(files, "m", {"gsm8k": 2})
    assert not path.exists()
    assert not result.exists()


def test_repair_removes_what_is_no_text(files: RunFiles) -> None:
    path = files.predictions / "m" / "gsm8k.json"
    path.write_bytes(b"\xff\xfe\x00")
    repair(files, "m", {"gsm8k": 2})
    assert not path.exists()


def test_repair_leaves_what_another_model_predicted(files: RunFiles) -> None:
    foreign = files.predictions / "other" / "gsm8k.json"
    foreign.parent.mkdir()
    foreign.write_text('{"0": {"prediction": "x"}}')
    repair(files, "m", {"gsm8k": 1})
    assert foreign.is_file()
    assert not (files.predictions / "m" / "gsm8k.json").exists()


def test_repair_removes_what_was_not_moved_into_place(files: RunFiles) -> None:
    half = [files.root / ".progress.json.123.tmp", files.results / "m" / ".x.json.7.tmp"]
    for path in half:
        path.write_text("{")
    repair(files, "m", {})
    assert not any(path.exists() for path in half)


@pytest.mark.parametrize("content", ["", "{}", '{"accuracy": 1', '{"error": "no"}', "[]"])
def test_repair_removes_results_without_a_score(files: RunFiles, content: str) -> None:
    write_predictions(files, "gsm8k", 2)
    result = files.results / "m" / "gsm8k.json"
    result.write_text(content)
    repair(files, "m", {"gsm8k": 2})
    assert not result.exists()


def test_partial_count(files: RunFiles) -> None:
    assert partial_count(files, "m", "gsm8k") == 0
    (files.predictions / "m" / "tmp_gsm8k.jsonl").write_text('{"idx": "0"}\n{"idx": "1"}\n')
    assert partial_count(files, "m", "gsm8k") == 2


def test_previous_seconds_of_the_same_evaluation(files: RunFiles) -> None:
    assert previous_seconds(files, "abc") == {}
    dataset = DatasetResult("gsm8k", subsets=(SubsetResult("gsm8k", "gsm8k", seconds=2.5),))
    write_result(files.progress, Result(fingerprint="abc", datasets=(dataset,)))
    assert previous_seconds(files, "abc") == {"gsm8k": 2.5}


@pytest.mark.parametrize("torn", ["", "\0\0", '{"schema_version": 2, "fing', "[]"])
def test_previous_seconds_of_a_torn_file_go_by_the_plan(files: RunFiles, torn: str) -> None:
    files.progress.write_text(torn)
    with pytest.raises(Refused, match="is not a result"):
        previous_seconds(files, "abc")
    files.plan.write_text('{"fingerprint": "abc"}')
    assert previous_seconds(files, "abc") == {}
    with pytest.raises(Refused, match="is not a result"):
        previous_seconds(files, "abd")


def test_previous_seconds_refuses_another_evaluation(files: RunFiles) -> None:
    write_result(files.progress, Result(fingerprint="1" * 64))
    with pytest.raises(Refused, match="its fingerprint is 11111111, this one's 22222222"):
        previous_seconds(files, "2" * 64)
