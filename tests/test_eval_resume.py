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


@pytest.mark.parametrize("content", ['{"0": {"predi', '{"0": {}}', "[]"])
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


@pytest.mark.parametrize("content", ['{"accuracy": 1', '{"error": "no"}'])
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


def test_previous_seconds_refuses_another_evaluation(files: RunFiles) -> None:
    write_result(files.progress, Result(fingerprint="1" * 64))
    with pytest.raises(Refused, match="its fingerprint is 11111111, this one's 22222222"):
        previous_seconds(files, "2" * 64)
