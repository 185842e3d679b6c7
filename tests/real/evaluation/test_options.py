"""Options and a user's own datasets: exactly the rows that were asked for, and no others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftbench.schema import FAILED, OK, DatasetResult, Result, RunFiles, read_samples
from tests.real.evaluation.conftest import Program, write_lines

OPTIONS = {
    "gsm8k": {"limit": 3, "num_runs": 2, "pass_k": [1, 2]},
    "race": {"split": "test"},
    "race:ppl": {"split": "validation", "limit": 3},
    "quiz": {"test_range": "[1:3]"},
    "mine": {"num_shots": 1, "limit": 2},
    "gsm8k/gsm8k_gen_17d0dc": {"num_shots": 0},
}

# Asks race with examples from its training rows, twice, as a preset of OpenCompass would.
MINE = """
from opencompass.datasets import RaceDataset
from opencompass.openicl.icl_evaluator import AccEvaluator
from opencompass.openicl.icl_inferencer import GenInferencer
from opencompass.openicl.icl_prompt_template import PromptTemplate
from opencompass.openicl.icl_retriever import FixKRetriever
from opencompass.utils.text_postprocessors import first_option_postprocess

_round = [
    dict(role="HUMAN", prompt="{question} {article} A {A} B {B}"),
    dict(role="BOT", prompt="{answer}"),
]

my_datasets = [
    dict(
        abbr="race-middle",
        type=RaceDataset,
        path="opencompass/race",
        name="middle",
        n=2,
        reader_cfg=dict(
            input_columns=["article", "question", "A", "B"],
            output_column="answer",
            train_split="validation",
            test_split="test",
            test_range="[5:]",
        ),
        infer_cfg=dict(
            ice_template=dict(type=PromptTemplate, template=dict(round=_round)),
            prompt_template=dict(
                type=PromptTemplate,
                template=dict(begin="</E>", round=_round[:1]),
                ice_token="</E>",
            ),
            retriever=dict(type=FixKRetriever, fix_id_list=[4, 2]),
            inferencer=dict(type=GenInferencer),
        ),
        eval_cfg=dict(
            evaluator=dict(type=AccEvaluator),
            pred_postprocessor=dict(type=first_option_postprocess, options="AB"),
        ),
    )
]
"""


@pytest.fixture(scope="module")
def ran(program: Program, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFiles, Result]:
    """One run with every option; the adapter answers most questions with "ANSWER: B"."""
    output = tmp_path_factory.mktemp("options")
    own = tmp_path_factory.mktemp("own") / 'it\'s mine, "here"'
    questions: list[dict[str, object]] = [
        {"question": f"What is {i}?", "A": "one", "B": "two", "C": "three", "answer": "ABBC"[i]}
        for i in range(4)
    ]
    write_lines(own / "quiz.jsonl", questions)
    (own / "trivia.csv").write_text('question,answer\n"Who, then?",Ann\nWhat now?,ANSWER: B\n')
    (own / "mine.py").write_text(MINE)
    files = {path.stem: str(path) for path in own.iterdir()}
    exit_code, printed, result = program.run(
        output,
        "gsm8k,race,race:ppl,quiz,trivia,mine,gsm8k/gsm8k_gen_17d0dc",
        DATASET_OPTIONS=json.dumps(OPTIONS),
        DATASET_FILES=json.dumps(files),
        TEMPERATURE="0.9",
    )
    assert exit_code == 0, printed
    return RunFiles(output), result


def dataset(result: Result, name: str) -> DatasetResult:
    return next(d for d in result.datasets if d.name == name)


def asked(files: RunFiles, abbr: str) -> list[tuple[int, int, str]]:
    return [(s.repeat, s.index, s.prompt) for s in read_samples(files.samples(abbr))]


def test_runs_ask_the_first_rows_again(ran: tuple[RunFiles, Result]) -> None:
    files, result = ran
    (gsm8k,) = dataset(result, "gsm8k").subsets
    assert (gsm8k.status, gsm8k.repeats, gsm8k.expected, gsm8k.completed) == (OK, 2, 6, 6)
    rows = asked(files, "gsm8k")
    assert [(repeat, index) for repeat, index, _ in rows] == [
        (repeat, index) for repeat in range(2) for index in range(3)
    ]
    assert all(f"Tom has {index} and gets 2 more?" in prompt for _, index, prompt in rows)
    samples = read_samples(files.samples("gsm8k"))
    assert {s.subset for s in samples} == {"gsm8k"}
    first, second = ([s.prediction for s in samples if s.repeat == i] for i in range(2))
    assert first != second
    names = sorted(p.name for p in files.predictions.glob("*/gsm8k*"))
    assert names == ["gsm8k_run1.json", "gsm8k_run2.json"]


def test_the_score_of_runs_is_their_mean(ran: tuple[RunFiles, Result]) -> None:
    files, result = ran
    (gsm8k,) = dataset(result, "gsm8k").subsets
    scores = [
        json.loads(next(files.results.glob(f"*/gsm8k_run{run}.json")).read_text())["accuracy"]
        for run in (1, 2)
    ]
    assert gsm8k.score == sum(scores) / 2
    assert gsm8k.metrics["pass@1"] == pytest.approx(gsm8k.score)
    assert set(gsm8k.metrics) == {"accuracy", "pass@1", "pass@2"}


@pytest.mark.parametrize(
    ("abbr", "cats"),
    [
        # 8 rows in middle and 5 in high; the limit of the validation half is 3.
        ("race-middle-ppl", [0, 1, 2]),
        ("race-high-ppl", [0, 1]),
        ("race-middle", [4, 5, 6, 7]),
        ("race-high", [2, 3, 4]),
    ],
)
def test_halves_share_no_row(abbr: str, cats: list[int], ran: tuple[RunFiles, Result]) -> None:
    files, _ = ran
    prompts = [prompt for _, _, prompt in asked(files, abbr)]
    assert len(prompts) == len(cats)
    assert all(f"Ann has {n} cats." in p for n, p in zip(cats, prompts, strict=True))


def test_own_questions_with_options(ran: tuple[RunFiles, Result]) -> None:
    files, result = ran
    (quiz,) = dataset(result, "quiz").subsets
    assert (quiz.status, quiz.abbr, quiz.expected) == (OK, "quiz", 2)
    assert Path(quiz.preset).name == "quiz.jsonl"
    samples = read_samples(files.samples("quiz"))
    assert [s.reference for s in samples] == ["B", "B"]
    assert samples[0].prompt.splitlines() == [
        "Answer the question by replying A, B or C.",
        "",
        "What is 1?",
        "A. one",
        "B. two",
        "C. three",
        "Answer:",
    ]
    assert [s.correct for s in samples] == [s.extracted == "B" for s in samples]


def test_own_open_questions(ran: tuple[RunFiles, Result]) -> None:
    files, result = ran
    (trivia,) = dataset(result, "trivia").subsets
    assert (trivia.status, trivia.expected) == (OK, 2)
    samples = read_samples(files.samples("trivia"))
    assert [(s.prompt.strip(), s.reference) for s in samples] == [
        ("Who, then?", "Ann"),
        ("What now?", "ANSWER: B"),
    ]
    assert [s.correct for s in samples] == [s.extracted == s.reference for s in samples]


def test_own_config_with_repeats_and_examples(ran: tuple[RunFiles, Result]) -> None:
    files, result = ran
    (mine,) = dataset(result, "mine").subsets
    assert (mine.status, mine.abbr, mine.repeats, mine.expected) == (OK, "race-middle-gen", 2, 4)
    rows = asked(files, mine.abbr)
    # Its own range begins at row 5; the one example is row 4 of the validation rows.
    assert [(repeat, index) for repeat, index, _ in rows] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for _, index, prompt in rows:
        assert prompt.count("Ann has") == 2
        assert prompt.index("Ann has 4 cats.") < prompt.index(f"Ann has {5 + index} cats.")


def test_examples_that_cannot_be_chosen_are_refused(ran: tuple[RunFiles, Result]) -> None:
    _, result = ran
    refused = dataset(result, "gsm8k/gsm8k_gen_17d0dc")
    assert refused.status == FAILED
    assert refused.reason is not None
    assert refused.reason.kind == "unsupported"
    happened, _, offered = refused.reason.message.partition("; presets with 0: ")
    assert happened == "num_shots=0: the examples of gsm8k_gen_17d0dc cannot be chosen"
    assert {"gsm8k_0shot_gen_a58960", "gsm8k_gen_701491"} <= set(offered.split(", "))
    assert "gsm8k_gen_1d7fe4" not in offered


def test_the_model_is_asked_nothing_else(ran: tuple[RunFiles, Result]) -> None:
    files, result = ran
    assert sorted(p.stem for p in (files.root / "samples").iterdir()) == sorted(
        s.abbr for d in result.datasets for s in d.subsets
    )
