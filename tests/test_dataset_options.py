"""Options said for all datasets and for one: on the command line, in files, and together."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftbench.compose import check_sweep, compose_config
from ftbench.config import Config, shown_names
from ftbench.dataset_options import in_hydras_words, options_text, resolve_options
from ftbench.errors import ConfigError
from ftbench.options import DatasetOptions

DATASETS = "datasets=[humaneval+,mmlu:ppl,'./my quiz.jsonl']"


def compose(*overrides: str, config_dir: Path | None = None) -> Config:
    return compose_config(["model.adapter=out", DATASETS, *overrides], config_dir)


def problems_of(*overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        compose(*overrides)
    return [str(problem) for problem in caught.value.problems]


def test_options_of_one_dataset_from_the_command_line() -> None:
    config = compose(
        "per_dataset.humaneval+.limit=20",
        "per_dataset.humaneval+.pass_k=[1,2]",
        "per_dataset.humaneval+.num_runs=2",
        "per_dataset.mmlu:ppl.test_range=[10:20]",
        "per_dataset.my_quiz.split=test",
    )
    humaneval, mmlu, quiz = (config.per_dataset[n] for n in ("humaneval+", "mmlu:ppl", "my_quiz"))
    assert (humaneval.limit, humaneval.pass_k, humaneval.num_runs) == (20, [1, 2], 2)
    assert (mmlu.test_range, mmlu.limit) == ("[10:20]", None)
    assert quiz.split == "test"
    assert shown_names(config) == ("humaneval+", "mmlu:ppl", "my_quiz")


@pytest.mark.parametrize("text", ["[10:20]", "[:5]", "[-5:]", "[::2]"])
def test_a_range_is_written_plainly(text: str) -> None:
    assert compose(f"test_range={text}").test_range == text
    assert compose(f'test_range="{text}"').test_range == text


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("per_dataset.mmlu.limit=5", "+per_dataset={mmlu:{limit:5}}"),
        ("+per_dataset.mmlu:ppl.limit=5", "+per_dataset={mmlu\\:ppl:{limit:5}}"),
        ("per_dataset.mmlu@4d595a.limit=5", "+per_dataset={mmlu@4d595a:{limit:5}}"),
        (
            "per_dataset.math/math_gen.py.num_shots=4",
            "+per_dataset={math/math_gen.py:{num_shots:4}}",
        ),
        ("per_dataset.a.limit=1,2", "+per_dataset={a:{limit:1}},{a:{limit:2}}"),
        (
            "per_dataset.a.test_range=[1:2],[3:]",
            '+per_dataset={a:{test_range:"[1:2]"}},{a:{test_range:"[3:]"}}',
        ),
        ("per_dataset.a.pass_k=[1,2]", "+per_dataset={a:{pass_k:[1,2]}}"),
        ("test_range=[1:2],[3:]", 'test_range="[1:2]","[3:]"'),
        ("limit=5", "limit=5"),
        ("model.adapter=per_dataset.a.b=1", "model.adapter=per_dataset.a.b=1"),
    ],
)
def test_overrides_in_hydras_words(override: str, words: str) -> None:
    assert in_hydras_words(override) == words
    assert in_hydras_words(words) == words


def test_sweeps_over_the_options_of_a_dataset() -> None:
    swept = ["per_dataset.mmlu:ppl.limit=1,2", "test_range=[1:2],[2:3]", "num_runs=1,2"]
    check_sweep(["model.adapter=out", DATASETS, *swept])


def test_options_in_the_users_files(weird_tmp_path: Path) -> None:
    suite = weird_tmp_path / "suite" / "mine.yaml"
    suite.parent.mkdir()
    suite.write_text("name: mine\ndatasets: [mmlu]\nper_dataset: {mmlu: {limit: 3, num_runs: 2}}\n")
    experiment = weird_tmp_path / "experiment" / "look.yaml"
    experiment.parent.mkdir()
    experiment.write_text("# @package _global_\nper_dataset:\n  humaneval+: {limit: 7}\n")
    config = compose(
        "suite=mine", "experiment=look", "per_dataset.mmlu.limit=4", config_dir=weird_tmp_path
    )
    assert (config.suite.per_dataset["mmlu"].limit, config.per_dataset["mmlu"].limit) == (3, 4)
    assert config.per_dataset["humaneval+"].limit == 7


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        (
            "per_dataset.humaneval+.limt=20",
            "per_dataset.humaneval+.limt=20: unknown key 'per_dataset.humaneval+.limt'; did you "
            "mean 'per_dataset.humaneval+.limit'?\n"
            "  try: python -m ftbench.run --help lists every key",
        ),
        (
            "per_dataset.humaneval+.limit=ten",
            "per_dataset.humaneval+.limit=ten: 'ten' is not a whole number",
        ),
        (
            "per_dataset.humaneval.limit=20",
            "per_dataset.humaneval: 'humaneval' is not among the datasets that are chosen; did you "
            "mean 'humaneval+'?\n  try: one of: humaneval+, mmlu:ppl, my_quiz",
        ),
        ("test_range=[5]", "test_range=[5]: must be a slice such as [10:20]"),
        ("split=train", "split=train: must be one of validation, test"),
        ("pass_k=[1,4]", "pass_k: needs at least 4 runs\n  try: num_runs=4"),
        ("pass_k=4", "pass_k=4: pass_k is a list\n  try: pass_k=[4]"),
    ],
)
def test_one_wrong_option_gets_one_message(override: str, problem: str) -> None:
    assert problems_of(override) == [problem]


def test_a_python_file_may_be_meant_by_its_name_in_tables() -> None:
    overrides = ["datasets=[mine.py,sub/other.py]", "per_dataset.mine.limit=2"]
    assert compose(*overrides, "per_dataset.other.limit=3").per_dataset["mine"].limit == 2


def test_all_wrong_options_come_at_once() -> None:
    assert problems_of(
        "limit=0",
        "per_dataset.mmlu:ppl.num_runs=0",
        "per_dataset.mmlu:ppl.test_range=[os.getcwd()]",
        "per_dataset.gsm8k.limit=3",
    ) == [
        "limit=0: must be at least 1",
        "per_dataset.mmlu:ppl.num_runs=0: must be at least 1",
        "per_dataset.mmlu:ppl.test_range=[os.getcwd()]: must be a slice such as [10:20]",
        "per_dataset.gsm8k: 'gsm8k' is not among the datasets that are chosen\n"
        "  try: one of: humaneval+, mmlu:ppl, my_quiz",
    ]


def test_options_that_contradict_each_other_for_one_dataset() -> None:
    assert problems_of("num_runs=4", "pass_k=[4]", "per_dataset.humaneval+.num_runs=2") == [
        "per_dataset.humaneval+.pass_k: needs at least 4 runs\n  try: num_runs=4"
    ]


def test_what_is_said_for_one_dataset_wins() -> None:
    overall = {"limit": 5, "split": "test", "num_runs": 2, "pass_k": [2, 1]}
    own = [
        ("GSM-8K", {"limit": 3, "split": None}),
        ("gsm8k", {"limit": 4}),
        ("mmlu", {"test_range": "[1:]"}),
    ]
    names = ["gsm8k", "mmlu"]
    assert resolve_options("gsm8k", overall, own, names)[0] == DatasetOptions(
        limit=4, split="test", num_runs=2, pass_k=(1, 2)
    )
    # A range of its own takes the place of the half that is said for all.
    assert resolve_options("mmlu", overall, own, names)[0] == DatasetOptions(
        limit=5, test_range="[1:]", num_runs=2, pass_k=(1, 2)
    )


def test_options_text() -> None:
    options = DatasetOptions(limit=3, num_runs=4, pass_k=(1, 4))
    assert options_text(options) == "limit=3, num_runs=4, pass_k=[1,4]"
    assert options_text(DatasetOptions()) == ""
