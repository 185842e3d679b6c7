"""A batch that has no room in memory is asked in halves, with the same predictions."""

import json
import resource
import subprocess
from pathlib import Path

from ftbench.schema import RunFiles
from tests.real.evaluation.conftest import ABBR, Program, write_lines

ROWS = 192
LIMIT_BYTES = 6 << 30


def predictions(output: Path) -> list[str]:
    path = RunFiles(output).predictions / ABBR / "gsm8k.json"
    return [row["prediction"] for row in json.loads(path.read_text()).values()]


def test_a_batch_without_room_is_halved(program: Program, tmp_path: Path) -> None:
    data = tmp_path / "data"
    problems: list[dict[str, object]] = [
        {"question": f"Tom has {i} and gets 2 more?" * 40, "answer": f"So.\n#### {i + 2}"}
        for i in range(ROWS)
    ]
    for split in ("train", "test"):
        write_lines(data / "data" / "gsm8k" / f"{split}.jsonl", problems)
    options = {"DATASET_OPTIONS": json.dumps({"gsm8k": {"limit": ROWS}})}
    common = {"COMPASS_DATA_CACHE": str(data), **options}
    exit_code, printed, _ = program.run(tmp_path / "small", "gsm8k", BATCH_SIZE="8", **common)
    assert exit_code == 0, printed
    limited = subprocess.run(
        [program.python, *program.command],
        env=program.environment(tmp_path / "large", "gsm8k", BATCH_SIZE=str(ROWS), **common),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert limited.returncode == 0, limited.stdout
    assert "had no room in memory; going on with half as many" in limited.stdout
    assert predictions(tmp_path / "large") == predictions(tmp_path / "small")
