"""A batch that has no room in memory is asked in halves, with the same predictions."""

import json
from dataclasses import replace
from pathlib import Path

from ftbench.schema import RunFiles
from tests.real.evaluation.conftest import ABBR, Program, write_lines

LIMITED = Path(__file__).parent / "limited_program.py"
ROWS = 160
ROOM_BYTES = 250 << 20
"""A batch of all rows takes some 600 MiB."""


def predictions(output: Path) -> list[str]:
    path = RunFiles(output).predictions / ABBR / "race-middle.json"
    return [row["prediction"] for row in json.loads(path.read_text()).values()]


def test_a_batch_without_room_is_halved(program: Program, tmp_path: Path) -> None:
    questions: list[dict[str, object]] = [
        {
            "article": f"Ann has {i} cats and {2 * i} dogs. " * 200,
            "question": "How many?",
            "options": [str(i + j) for j in range(4)],
            "answer": "A",
        }
        for i in range(ROWS)
    ]
    data = tmp_path / "data"
    for split in ("validation", "test"):
        write_lines(data / "data" / "race" / split / "middle.jsonl", questions)
        write_lines(data / "data" / "race" / split / "high.jsonl", questions[:1])
    given = {"COMPASS_DATA_CACHE": str(data), "MAX_OUT_LEN": "4"}
    exit_code, printed, _ = program.run(tmp_path / "small", "race", BATCH_SIZE="20", **given)
    assert exit_code == 0, printed
    limited = replace(program, command=(LIMITED, str(ROOM_BYTES)))
    large = {"BATCH_SIZE": str(ROWS + 1)}
    exit_code, printed, result = limited.run(tmp_path / "large", "race", **large, **given)
    assert exit_code == 0, printed
    assert "had no room in memory; going on with half as many" in printed
    assert [s.completed for s in result.datasets[0].subsets] == [ROWS, 1]
    assert predictions(tmp_path / "large") == predictions(tmp_path / "small")
