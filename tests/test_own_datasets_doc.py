"""docs/own-datasets.md: its files can be asked, its commands compose, its prompt is real."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
from ftbench_eval.own import rows_config

from ftbench.compose import compose_config
from ftbench.own_rows import read_rows

DOC = (Path(__file__).parents[1] / "docs" / "own-datasets.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)```", DOC, re.DOTALL))
COMMANDS = re.findall(r"```sh\n(.*?)\n```", DOC, re.DOTALL)


@pytest.mark.parametrize(("name", "schema"), [("quiz.jsonl", "mcq"), ("trivia.csv", "qa")])
def test_the_files_can_be_asked(name: str, schema: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(FILES[name])
    rows = read_rows(path)
    assert (rows.faults, rows.schema, len(rows.rows)) == ((), schema, 2)


def test_the_prompt_is_the_one_that_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl"
    path.write_text(FILES["quiz.jsonl"])
    template = rows_config("quiz", path)["infer_cfg"]["prompt_template"]["template"]
    prompt = template["round"][0]["prompt"].format(**read_rows(path).rows[0][1])
    assert f"```text\n{prompt}\n```" in DOC


def test_the_config_is_python_with_a_list_of_datasets() -> None:
    assigned = [n for n in ast.parse(FILES["mine.py"]).body if isinstance(n, ast.Assign)]
    assert [ast.unparse(node.targets[0]) for node in assigned] == ["summary_datasets"]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_compose(command: str) -> None:
    assert compose_config(shlex.split(command)[3:]).datasets[0].startswith("./")


def test_the_document_has_what_the_tests_above_look_for() -> None:
    assert (sorted(FILES), len(COMMANDS)) == (["mine.py", "quiz.jsonl", "trivia.csv"], 3)
