"""Samples as a parquet file and as a table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet as pq

from ftbench.plan import TrackingPlan
from ftbench.schema import DatasetResult, Sample, SubsetResult
from ftbench.tracking import samples
from ftbench.tracking.samples import TABLE_COLUMNS, WrittenSamples, verdict, write_samples
from tests.tracking_fixtures import RunFolder, answer, gsm8k, make_run_folder, mmlu, result_of


def folder_with(path: Path, dataset: DatasetResult, **more: Any) -> RunFolder:
    return make_run_folder(path / "ws", TrackingPlan("none"), result_of(dataset), **more)


def write(folder: RunFolder, path: Path) -> WrittenSamples:
    dataset = folder.result.datasets[0]
    files = folder.plan.files
    return write_samples(
        files, folder.plan.model_abbr, dataset, path / "out.parquet", path / "out.json"
    )


def table_of(path: Path) -> list[list[Any]]:
    value = json.loads((path / "out.json").read_text())
    assert value["columns"] == list(TABLE_COLUMNS)
    rows: list[list[Any]] = value["data"]
    return rows


def test_every_sample_is_in_the_parquet_file(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, mmlu(4))

    written = write(folder, tmp_path)

    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert (written.rows, written.table_rows, written.broken_lines) == (456, 456, 0)
    assert len(rows) == 456
    assert rows[8 * 3 + 7] == {
        "dataset": "mmlu",
        "subset": "lukaemon_mmlu_subject_03",
        "index": 7,
        "repeat": 0,
        "prompt": "Question 7 of subject_03: which letter?\nA. one\nB. two",
        "prediction": "The answer is B.",
        "extracted": "B",
        "reference": "A",
        "correct": False,
        "truncated": False,
        "output_tokens": 6,
        "unknown_why": "",
        "judge_reply": None,
        "opencompass": json.dumps(
            {
                "origin_prompt": [
                    {
                        "role": "HUMAN",
                        "prompt": "Question 7 of subject_03: which letter?\nA. one\nB. two",
                    }
                ],
                "prediction": "The answer is B.",
                "gold": "A",
            }
        ),
    }


def test_the_table_has_what_people_compare_first(tmp_path: Path) -> None:
    write(folder_with(tmp_path, gsm8k(25.0)), tmp_path)

    rows = table_of(tmp_path)
    assert len(rows) == 16
    prompt = "Question 3 of gsm8k: which letter?\nA. one\nB. two"
    assert rows[3] == ["gsm8k/3", "✓ A", prompt, "The answer is A.", "A", "A", "false", 6]
    assert [row[1] for row in rows[3:5]] == ["✓ A", "✗ B (reference A)"]


def test_a_large_table_is_an_even_choice_that_answers_do_not_change(tmp_path: Path) -> None:
    # 57 subsets of 50 rows: 2850 samples for 2000 rows.
    write(folder_with(tmp_path / "good", mmlu(8, rows=50)), tmp_path)
    good = table_of(tmp_path)
    write(folder_with(tmp_path / "bad", mmlu(0, rows=50)), tmp_path)
    bad = table_of(tmp_path)

    assert len(good) == 2000
    assert [row[0] for row in good] == [row[0] for row in bad]
    assert good[0][0] == "mmlu/subject_00/0"
    per_subset = [sum(r[0].startswith(f"mmlu/subject_{n:02d}/") for r in good) for n in range(57)]
    assert set(per_subset) == {35, 36}


def test_a_table_shows_one_row_per_sample_when_samples_repeat(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, gsm8k())
    path = folder.plan.files.samples("gsm8k")
    lines = path.read_text().splitlines()
    again = [json.dumps({**json.loads(line), "repeat": 1}) for line in lines]
    path.write_text("\n".join([*lines, *again]))

    written = write(folder, tmp_path)

    assert (written.rows, written.table_rows) == (32, 16)


def test_a_half_written_line_costs_only_itself(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, gsm8k())
    path = folder.plan.files.samples("gsm8k")
    path.write_text(path.read_text()[:-40])

    written = write(folder, tmp_path)

    assert (written.rows, written.broken_lines) == (15, 1)


def test_predictions_stand_in_where_scoring_never_came(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, gsm8k())
    folder.plan.files.samples("gsm8k").unlink()

    written = write(folder, tmp_path)

    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert written.rows == 16
    assert [row["index"] for row in rows] == list(range(16))
    assert rows[2]["prompt"] == "Question 2 of gsm8k: which letter?\nA. one\nB. two"
    assert (rows[2]["prediction"], rows[2]["reference"]) == ("The answer is A.", "A")
    assert rows[2]["correct"] is None
    assert table_of(tmp_path)[2][1] == "? The answer is A."


def test_nothing_is_written_where_nothing_was_answered(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, gsm8k())
    folder.plan.files.samples("gsm8k").unlink()
    (folder.plan.files.predictions / folder.plan.model_abbr / "gsm8k.json").write_text('{"0": {')

    assert write(folder, tmp_path).rows == 0
    assert not (tmp_path / "out.parquet").exists()
    assert not (tmp_path / "out.json").exists()


def test_half_a_surrogate_pair_does_not_stop_the_recording(tmp_path: Path) -> None:
    def odd(subset: SubsetResult, index: int) -> Sample:
        return replace(answer(subset, index), prediction="half", extracted=None)

    folder = folder_with(tmp_path, gsm8k(), sample=odd)
    path = folder.plan.files.samples("gsm8k")
    path.write_text(path.read_text().replace('"half"', '"\\ud83d half"'))

    write(folder, tmp_path)

    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert rows[0]["prediction"] == "? half"
    assert table_of(tmp_path)[0][3] == "? half"


def test_long_texts_are_cut_in_the_table_and_whole_in_the_file(tmp_path: Path) -> None:
    def long(subset: SubsetResult, index: int) -> Sample:
        return replace(answer(subset, index), prediction="x" * 5000)

    write(folder_with(tmp_path, gsm8k(), sample=long), tmp_path)

    assert table_of(tmp_path)[0][3] == "x" * 3999 + "…"
    assert len(pq.read_table(tmp_path / "out.parquet")["prediction"][0].as_py()) == 5000


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"extracted": "A", "correct": True}, "✓ A"),
        ({"extracted": "D", "correct": False}, "✗ D (reference A)"),
        ({"extracted": "D", "correct": None}, "? D"),
        ({"prediction": "So\n it is  4.", "correct": None}, "? So it is 4."),
        ({"correct": False, "reference": None}, "✗"),
        ({"extracted": "x" * 70, "correct": True}, "✓ " + "x" * 59 + "…"),
    ],
)
def test_verdict(row: dict[str, Any], text: str) -> None:
    whole = {"extracted": None, "prediction": None, "reference": "A", **row}

    assert verdict(whole) == text


def reordered(path: Path, order: list[int]) -> None:
    """Puts the records of a file of predictions into another order."""
    records = json.loads(path.read_text())
    path.write_text(json.dumps({str(index): records[str(index)] for index in order}))


@pytest.mark.parametrize("order", [range(16), range(15, -1, -1), [*range(8, 16), *range(8)]])
@pytest.mark.parametrize("repeats", [1, 2])
def test_every_row_has_its_own_record_whatever_their_order(
    tmp_path: Path, order: list[int], repeats: int
) -> None:
    folder = folder_with(tmp_path, gsm8k())
    path = folder.plan.files.samples("gsm8k")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    asked = [json.dumps({**line, "repeat": n}) for n in range(repeats) for line in lines]
    path.write_text("\n".join(asked))
    reordered(folder.plan.files.predictions / folder.plan.model_abbr / "gsm8k.json", list(order))

    write(folder, tmp_path)

    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [(row["repeat"], row["index"]) for row in rows] == [
        (n, index) for n in range(repeats) for index in range(16)
    ]
    for row in rows:
        (turn,) = json.loads(row["opencompass"])["origin_prompt"]
        assert turn["prompt"] == row["prompt"]


def test_records_before_a_tear_are_kept(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, gsm8k())
    path = folder.plan.files.predictions / folder.plan.model_abbr / "gsm8k.json"
    path.write_text(path.read_text()[: path.read_text().index('"5": {') + 20])

    write(folder, tmp_path)

    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["index"] for row in rows if row["opencompass"] is not None] == [0, 1, 2, 3, 4]
    assert len(rows) == 16


@pytest.mark.parametrize("limit", ["_BATCH_ROWS", "_BATCH_CHARACTERS"])
def test_batches_do_not_change_what_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    folder = folder_with(tmp_path, mmlu(4))
    write(folder, tmp_path)
    once = pq.read_table(tmp_path / "out.parquet")
    monkeypatch.setattr(samples, limit, 7)
    write(folder, tmp_path)
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == once.to_pylist()
    assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups > 60


def test_the_pages_rows_hold_no_more_than_the_page_shows(tmp_path: Path) -> None:
    def long(subset: SubsetResult, index: int) -> Sample:
        return replace(answer(subset, index), prompt="p" * 100_000)

    written = write(folder_with(tmp_path, gsm8k(), sample=long), tmp_path)

    assert "opencompass" not in written.page_rows[0].row
    assert written.page_rows[0].row["prompt"] == "p" * 3999 + "…"
