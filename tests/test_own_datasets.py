"""A user's own files: told from names, checked row by row, and followed by the fingerprint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftbench.config import DatasetConf
from ftbench.errors import ConfigError
from ftbench.own_rows import own_name, read_rows
from ftbench.plan import DatasetPlan, Mount
from tests.surroundings import CATALOGUE, make_config, make_host, make_world, planned

QUIZ = '{"question": "1+1?", "A": "1", "B": "2", "answer": "B"}\n'
TRIVIA = "question,answer\nWho?,Ann\n"


@pytest.fixture
def world(weird_tmp_path: Path) -> Path:
    root = make_world(weird_tmp_path)
    (root / "quiz.jsonl").write_text(QUIZ)
    (root / "my trivia.csv").write_text(TRIVIA)
    (root / "mine.py").write_text("datasets = []\n")
    return root


def problems_of(world: Path, *names: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        planned(make_config(datasets=list(names)), make_host(world))
    return [str(problem) for problem in caught.value.problems]


def test_files_become_datasets(world: Path) -> None:
    names = ["gsm8k", "./quiz.jsonl", "my trivia.csv", "mine.py"]
    plan = planned(make_config(datasets=names, limit=1), make_host(world))
    assert [(d.name, d.subsets, d.mode) for d in plan.datasets] == [
        ("gsm8k", ("gsm8k",), "gen"),
        ("quiz", ("quiz",), "gen"),
        ("my_trivia", ("my_trivia",), "gen"),
        ("mine", (), "own"),
    ]
    assert plan.datasets[1].presets == (str(world / "quiz.jsonl"),)
    assert plan.environment["BENCHMARK_DATASETS"] == "gsm8k,quiz,my_trivia,mine"
    files = {"quiz": "quiz.jsonl", "my_trivia": "my trivia.csv", "mine": "mine.py"}
    paths = {name: str(world / file) for name, file in files.items()}
    assert json.loads(plan.environment["DATASET_FILES"]) == paths
    assert [m for m in plan.mounts if m.source.is_file()] == [
        Mount(Path(path), path) for path in paths.values()
    ]


def test_options_of_a_file_go_by_its_name_in_tables(world: Path) -> None:
    own = {"mine": DatasetConf(limit=2), "my_trivia": DatasetConf(limit=3)}
    config = make_config(datasets=["mine.py", "my trivia.csv"], per_dataset=own)
    plan = planned(config, make_host(world))
    assert [d.options.limit for d in plan.datasets] == [2, 3]


def test_a_presets_own_path_is_no_file(world: Path) -> None:
    plan = planned(make_config(datasets=["mmlu/mmlu_ppl.py"]), make_host(world))
    assert [type(d) for d in plan.datasets] == [DatasetPlan]
    assert plan.datasets[0].presets == ("mmlu/mmlu_ppl.py",)


def test_fingerprint_follows_the_content_of_a_file(world: Path) -> None:
    def fingerprint(name: str) -> str:
        return planned(make_config(datasets=[name]), make_host(world)).fingerprint

    before = fingerprint("./quiz.jsonl"), fingerprint("./mine.py")
    (world / "other").mkdir()
    (world / "quiz.jsonl").rename(world / "other" / "quiz.jsonl")
    assert fingerprint("other/quiz.jsonl") == before[0]
    (world / "other" / "quiz.jsonl").write_text(QUIZ.replace("1+1", "1 + 1"))
    (world / "mine.py").write_text("datasets = [1]\n")
    assert fingerprint("other/quiz.jsonl") != before[0]
    assert fingerprint("mine.py") != before[1]


def test_every_file_that_cannot_be_asked_is_named(world: Path) -> None:
    (world / "gsm8k.csv").write_text(TRIVIA)
    (world / "sub").mkdir()
    (world / "sub" / "quiz.csv").write_text(TRIVIA)
    (world / "bad.csv").write_text("question,answer\nWho?,\n")
    assert problems_of(
        world, "none.jsonl", "bad.csv", "gsm8k.csv", "quiz.jsonl", "./quiz.jsonl", "sub/quiz.csv"
    ) == [
        f"datasets: 'none.jsonl': {world / 'none.jsonl'}: no such file or directory",
        "datasets: 'bad.csv': cannot be asked: line 2: answer is empty\n"
        "  try: docs/own-datasets.md shows the columns",
        "datasets: 'gsm8k.csv': would be shown as 'gsm8k', which is a dataset of OpenCompass\n"
        "  try: rename the file",
        f"datasets: '{world / 'sub' / 'quiz.csv'}': would be shown as 'quiz', as "
        f"'{world / 'quiz.jsonl'}' is\n  try: rename one of them",
        "datasets: 'quiz': is the same as 'quiz'\n  try: choose one of them",
    ]


def test_gen_and_ppl_of_one_family_have_subsets_of_their_own(world: Path) -> None:
    plan = planned(make_config(datasets=["mmlu", "mmlu:ppl"]), make_host(world))
    assert [d.subsets for d in plan.datasets] == [
        ("mmlu_law", "mmlu_art"),
        ("mmlu_law-ppl", "mmlu_art-ppl"),
    ]
    assert CATALOGUE.resolve("mmlu:ppl").subsets == ("mmlu_law", "mmlu_art")


def test_own_name() -> None:
    assert own_name(Path("/a/quiz.jsonl")) == "quiz"
    assert own_name(Path("/a/it's my quiz, v1.2.csv")) == "it_s_my_quiz_v1.2"
    assert own_name(Path("/a/,.csv")) == "dataset"


MCQ = "question,A,B,answer\n"


@pytest.mark.parametrize(
    ("name", "text", "faults"),
    [
        ("q.csv", "", ["it holds no rows"]),
        ("q.csv", "question,answer\n", ["it holds no rows"]),
        ("q.jsonl", "{}\n", ["line 1: has no column 'question'", "line 1: has no column 'answer'"]),
        ("q.csv", "question,A,answer\nx,y,A\n", ["line 2: has one option only, A"]),
        (
            "q.csv",
            "question,A,B,D,answer\nx,1,2,3,A\n",
            ["line 2: has an option D but no option C"],
        ),
        ("q.csv", MCQ + "x,1,2,C\n", ["line 2: the answer 'C' is none of A, B"]),
        ("q.csv", MCQ + "x,1,2,b\n", ["line 2: the answer 'b' is none of A, B"]),
        ("q.csv", MCQ + "x,,2,A\n,1,2,A\n", ["line 2: A is empty", "line 3: question is empty"]),
        ("q.csv", MCQ + "x,1,2,A\ny,1,2\n", ["line 3: has 3 cells, the header 4"]),
        ("q.csv", MCQ + "x,1,2,A\nx,1,2,B\n", ["line 3: asks the same as line 2"]),
        # A quoted cell may hold a line break: rows are named by their first line.
        ("q.csv", MCQ + '"x\ny",1,2,A\nz,1,2,C\n', ["line 4: the answer 'C' is none of A, B"]),
        ("q.csv", "question,question\n1,2\n", ["line 1: names a column twice", "it holds no rows"]),
        (
            "q.csv",
            'question,answer\n"x,y\n',
            ["line 2: is no CSV: unexpected end of data", "it holds no rows"],
        ),
        (
            "q.jsonl",
            QUIZ + "\n" + "[1]\n{\n",
            ["line 2: is empty", "line 3: is no JSON object", "line 4: is no JSON"],
        ),
        (
            "q.jsonl",
            QUIZ + '{"question": "x", "answer": "A"}\n',
            ["line 2: has no column 'A', unlike line 1"],
        ),
        (
            "q.jsonl",
            '{"question": "x", "answer": 1}\n{"question": "y", "answer": "1"}\n',
            ["line 2: answer is not of the kind that it is in line 1"],
        ),
        (
            "q.jsonl",
            '{"question": "x", "answer": ["a"]}\n',
            ["line 1: answer is neither text nor a number"],
        ),
        (
            "q.jsonl",
            '{"question": "x", "answer": "a "}\n',
            ["line 1: the answer is more than one line, or has spaces around it"],
        ),
    ],
)
def test_faults_of_rows(name: str, text: str, faults: list[str], tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert list(read_rows(path).faults) == faults


def test_long_lists_of_faults_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("question,answer\n" + ",a\n" * 30)
    faults = read_rows(path).faults
    assert len(faults) == 11
    assert faults[-1] == "and 49 more"


def test_sound_rows(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_bytes('\ufeffquestion,A,B,C,answer,source\n"Who, then?",a,b,c,C,me\n'.encode())
    read = read_rows(path)
    assert (read.faults, read.schema, read.options) == ((), "mcq", ("A", "B", "C"))
    values = {"question": "Who, then?", "A": "a", "B": "b", "C": "c", "answer": "C", "source": "me"}
    assert read.rows == ((2, values),)
    path.write_text(TRIVIA)
    assert (read_rows(path).schema, read_rows(path).faults) == ("qa", ())


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_bytes(b"question,answer\n\xff,a\n")
    assert read_rows(path).faults == ("it is no UTF-8 text: byte 16",)
