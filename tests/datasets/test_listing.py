"""``list`` and ``search``: a line for each name, and the names that have to do with a word."""

from __future__ import annotations

import json

import pytest

from ftbench.catalogue import load_catalogue
from ftbench.datasets.__main__ import main
from ftbench.datasets.finding import Hit, find_names
from ftbench.datasets.listing import lines_of
from ftbench.errors import EXIT_CONFIG, EXIT_OK

CATALOGUE = load_catalogue()


def hit(name: str) -> Hit:
    return Hit(name, CATALOGUE.resolve_all(name))


def found(word: str) -> list[str]:
    return [each.name for each in find_names(CATALOGUE, word)]


def test_list_has_a_line_for_every_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == EXIT_OK
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == CATALOGUE.names()
    assert max(map(len, lines)) < 180


def test_lines_are_aligned_and_tell_subsets_mode_shots_data_and_needs() -> None:
    assert lines_of([hit("mmlu"), hit("humaneval"), hit("arc")]) == [
        "mmlu        57 subsets  gen  0-shot  download  Understanding, english",
        "humaneval     1 subset  gen  0-shot  download  Code, english           runs code",
        "arc          2 subsets  gen  0-shot  download  Reasoning, english",
    ]


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("GSM-8K", {"gsm8k"}),
        ("math", {"gsm8k", "math", "aime", "mgsm", "hendrycks_math"}),
        ("chinese", {"cmmlu", "ceval", "clue"}),
        ("code", {"humaneval", "mbpp", "livecodebench"}),
        ("judge", {"hle", "gaokao_math"}),
        ("anatomy", {"mmlu", "cmmlu"}),
        ("Big-Bench Hard", {"bbh"}),
    ],
)
def test_search_finds_by_name_category_language_need_and_subset(word: str, names: set[str]) -> None:
    assert names <= {name.lower() for name in found(word)}


def test_search_names_the_subset_that_a_word_is_in() -> None:
    hits = {each.name: each.where for each in find_names(CATALOGUE, "professional_law")}
    assert hits["mmlu"] == "lukaemon_mmlu_professional_law"


def test_search_puts_what_is_called_so_before_what_contains_it() -> None:
    names = found("math")
    assert names.index("math") < names.index("mmlu")


def test_search_without_a_hit_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "zzzz"]) == EXIT_CONFIG
    assert capsys.readouterr().err == (
        "no dataset has to do with 'zzzz'\n  try: python -m ftbench.datasets list\n"
    )


def test_search_as_json_holds_the_same_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "gsm8k", "--json"]) == EXIT_OK
    listed = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in listed] == found("gsm8k")
    assert listed[0] == {
        "name": "gsm8k",
        "presets": ["gsm8k/gsm8k_gen.py"],
        "display_names": ["GSM8K"],
        "num_subsets": 1,
        "modes": ["gen"],
        "categories": ["Math"],
        "languages": ["english"],
        "shots": 4,
        "needs": [],
        "sources": ["download"],
        "found_in": "",
    }
