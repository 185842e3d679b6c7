"""One comparison in every form that people and programs read."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from ftbench.comparison import Comparison, compare
from ftbench.comparison.as_json import comparison_json
from ftbench.comparison.drawings import drawings
from ftbench.comparison.markdown import comparison_markdown
from ftbench.comparison.page import comparison_page
from ftbench.comparison.terminal import print_comparison
from tests.comparison.builders import answered, mmlu, run, single

NASTY = "<b>&\"'|`$x"


def two() -> Comparison:
    base = run("base", mmlu(0, 25, 50), single("gsm8k", 10.0), command=("python", "-m", "x"))
    tuned = run(
        "lora",
        mmlu(50, 25, 100),
        single("gsm8k", 99.0, prompt_hash="bb" * 8),
        link="http://mlflow/#/experiments/1/runs/ab",
        params={"adapter.r": "8"},
    )
    return compare([base, tuned], 0, notes=["a note"])


def told() -> Comparison:
    """A run that is better in one dataset and worse in another, with its answers."""
    few, many = "1" * 4 + "0" * 12, "1" * 14 + "0" * 2
    return compare([answered("base", a=few, b=many), answered("lora", a=many, b=few)], 0)


def board(count: int = 6) -> Comparison:
    runs = [
        run(f"out/checkpoint-{n}", *(single(name, 10.0 * n) for name in "abcde"), step=n)
        for n in range(1, count)
    ]
    return compare([run("base", *(single(name, 5.0) for name in "abcde")), *runs], 0)


@pytest.fixture(scope="module")
def drawn() -> dict[str, dict[str, str]]:
    """The pictures of both; drawing takes a while."""
    return {"two": drawings(two()), "board": drawings(board())}


def printed(comparison: Comparison, width: int = 80) -> str:
    console = Console(width=width, record=True, color_system=None)
    with console.capture() as capture:
        print_comparison(console, comparison)
    return capture.get()


def cells(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())


def test_terminal_shows_scores_and_differences() -> None:
    lines = [cells(line) for line in printed(two()).splitlines()]
    assert lines[0] == ["not tested: lora against base: mmlu +33.33; not comparable: gsm8k"]
    assert ["dataset", "base", "lora", "diff.", "95 % interval", "verdict"] in lines
    assert ["mmlu", "25.00", "58.33", "+33.33", "not tested"] in lines
    assert ["mmlu-stem", "37.50", "62.50", "+25.00", "not tested"] in lines
    assert ["gsm8k", "10.00", "99.00", "not comparable"] in lines
    assert ["mmlu/law", "0.00", "50.00", "+50.00", "8"] in lines
    assert ["- gsm8k, lora: not comparable: other prompt (bbbb vs aaaa)"] in lines
    assert ["note: a note"] in lines


def test_two_runs_of_five_datasets_fit_80_columns() -> None:
    names = ("mmlu", "gsm8k", "hellaswag", "arc", "bbh")
    runs = [
        run("Qwen2-1.5B-Instruct", *(single(n, 100.0) for n in names), is_base=True),
        run("qwen2-sft/checkpoint-1500", *(single(n, 33.3) for n in names)),
    ]
    tables = [
        line for line in printed(compare(runs, 0)).splitlines() if not line.startswith("avg:")
    ]
    head = next(line for line in tables if "dataset" in line)
    assert cells(head)[-1] == "verdict"
    assert max(len(line) for line in tables[1 : tables.index(head) + 9]) <= 80


def test_many_runs_stand_in_rows_best_first_in_tables_that_fit() -> None:
    lines = printed(board(), width=60).splitlines()
    table = [line for line in lines if re.match(r"\s*\d", line)]
    assert [cells(line)[:3] for line in table[:2]] == [
        ["1", "out/checkpoint-5", "50.00"],
        ["2", "out/checkpoint-4", "40.00"],
    ]
    assert max(map(len, table)) <= 60
    assert len(table) > 6  # not all datasets fit beside the names


def test_markdown_is_a_table_that_nothing_breaks_out_of() -> None:
    text = comparison_markdown(two())
    assert "| mmlu | 25.00 | 58.33 | +33.33 |  | not tested |" in text
    assert "| gsm8k | 10.00 | 99.00 |  |  | not comparable |" in text
    assert "# base\npython -m x" in text
    nasty = compare([run("base", single("a", 1.0)), run(NASTY, single(NASTY, 2.0))], 0)
    rows = [line for line in comparison_markdown(nasty).splitlines() if line.startswith("|")]
    columns = {len(re.findall(r"(?<!\\)\|", row)) for row in rows[:5]}
    assert columns == {7}
    assert "<b>" not in comparison_markdown(nasty)


def test_json_has_every_number_unrounded() -> None:
    value = json.loads(comparison_json(two()))
    assert (value["kind"], value["schema_version"]) == ("ftbench.comparison", 3)
    assert (value["baseline"], value["best"], value["ranking"]) == (
        "base",
        "lora",
        ["lora", "base"],
    )
    mmlu_line, gsm8k_line = value["datasets"]
    assert mmlu_line["scores"]["lora"]["score"] == 175 / 3
    assert mmlu_line["scores"]["lora"]["difference"] == {
        "value": 175 / 3 - 25.0,
        "low": None,
        "high": None,
        "test": None,
    }
    assert gsm8k_line["scores"]["lora"]["not_comparable"] == "other prompt (bbbb vs aaaa)"
    assert gsm8k_line["scores"]["lora"]["difference"] is None
    assert [s["name"] for s in mmlu_line["subsets"]] == ["law", "anatomy", "virology"]
    assert value["not_averaged"] == {"gsm8k": "lora: other prompt (bbbb vs aaaa)"}
    assert value["runs"][1]["gained_most"][0]["subset"] == "law"


def keys_of(value: object) -> set[str]:
    """Every key of our own in a JSON value; ids and names of settings are none."""
    if isinstance(value, list):
        return {key for item in value for key in keys_of(item)}
    if not isinstance(value, dict):
        return set()
    named = {"scores", "differing", "not_averaged"}
    own = set(value)
    for key, item in value.items():
        items = list(item.values()) if key in named and isinstance(item, dict) else item
        own |= keys_of(items)
    return own


def test_json_has_the_keys_that_the_documentation_describes() -> None:
    text = (Path(__file__).parents[2] / "docs" / "compare.md").read_text(encoding="utf-8")
    section = text.partition("\n## JSON\n")[2]
    described = {
        name for span in re.findall(r"`([^`]+)`", section) for name in re.findall(r"\w+", span)
    }
    for comparison in (two(), told()):
        assert keys_of(json.loads(comparison_json(comparison))) - described == set()


class _Page(HTMLParser):
    """Elements and texts of a page, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: set[str] = set()
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        own = dict(attrs)
        self.addresses += [
            str(own[name]) for name in ("src", "href", "xlink:href", "data") if own.get(name)
        ]
        if tag not in ("meta", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize(("name", "comparison"), [("two", two()), ("board", board())])
def test_page_is_whole_and_loads_nothing(
    name: str, comparison: Comparison, drawn: dict[str, dict[str, str]]
) -> None:
    text = comparison_page(comparison, drawn[name])
    page = _Page(text)
    assert page.open == []
    assert page.elements.isdisjoint({"script", "link", "iframe", "object", "embed"})
    outside = [a for a in page.addresses if not a.startswith(("#", "data:"))]
    assert set(outside) <= {run.link for run in comparison.runs}
    assert "@import" not in text and "default-src &#x27;none&#x27;" in text
    assert "svg" in page.elements


def test_every_text_has_verdicts_losses_and_flips() -> None:
    comparison = told()
    texts = (printed(comparison), comparison_markdown(comparison), comparison_page(comparison, {}))
    for text in texts:
        assert "mixed: lora against base" in text
        assert "What it forgot" in text
        assert "of 16 questions 10 wrong → right, 0 right → wrong" in text
        assert "better" in text and "worse" in text
        assert "not tested here" not in text
    for text in texts[1:]:
        assert "Question 4?" in text and "I say B." in text


def test_json_has_test_losses_and_flips() -> None:
    value = json.loads(comparison_json(told()))
    scores = [dataset["scores"]["lora"] for dataset in value["datasets"]]
    assert [score["verdict"] for score in scores] == ["better", "worse"]
    test = scores[0]["difference"]["test"]
    # Ten flips of one kind: 2 / 2**10, twice.
    assert test["p_value"] == pytest.approx(2 / 2**10)
    assert test["p_adjusted"] == pytest.approx(4 / 2**10)
    (loss,) = value["runs"][1]["worse"]
    assert (loss["dataset"], loss["kind"]) == ("b", "dataset")
    assert [(f["gained"], f["lost"]) for f in value["runs"][1]["flips"]] == [(10, 0), (0, 10)]
    shown = value["runs"][1]["flips"][0]["shown"][0]
    assert (shown["before"]["extracted"], shown["after"]["extracted"]) == ("B", "A")


def test_differences_are_drawn_with_their_intervals() -> None:
    drawn = drawings(told())
    assert next(iter(drawn)) == "Differences of lora from base"


def test_page_shows_scores_differences_and_reasons() -> None:
    page = _Page(comparison_page(two(), {}))
    for text in ("58.33", "+33.33", "not comparable", "a note", "http://mlflow"):
        assert any(text in piece for piece in (*page.texts, *page.addresses))


def test_page_escapes_everything() -> None:
    tuned = run(NASTY, single(NASTY, 2.0), params={NASTY: NASTY}, command=(NASTY,), setting=NASTY)
    nasty = compare([run("base", single(NASTY, 1.0)), tuned], 0, notes=[NASTY])
    text = comparison_page(nasty, drawings(nasty))
    assert "<b>" not in text
    assert _Page(text).open == []


def test_incomparable_scores_are_not_drawn(drawn: dict[str, dict[str, str]]) -> None:
    assert "99.0" not in drawn["two"]["Scores"]


def test_pictures_follow_what_there_is_to_draw(drawn: dict[str, dict[str, str]]) -> None:
    assert list(drawn["two"]) == ["Scores", "Subsets of mmlu"]
    assert list(drawn["board"]) == [
        "Scores",
        "Scores over training steps",
        "Settings and scores",
    ]
    nothing = compare([run("base", single("a", None))], 0)
    assert drawings(nothing) == {}


def test_comparison_without_any_score_is_shown_all_the_same() -> None:
    failed = compare([run("base", single("a", None)), run("lora", replace(single("a", None)))], 0)
    assert "not comparable: lora and base" in printed(failed)
    assert "failed" in comparison_page(failed, {})
    assert "failed" in comparison_markdown(failed)
    assert json.loads(comparison_json(failed))["best"] is None


def test_json_names_runs_by_their_mlflow_ids_else_by_their_labels() -> None:
    runs = [
        run("base", single("gsm8k", 20.0), key="/ws/base/1", run_dir="/ws/base/1", run_id="ba5e"),
        run("lora", single("gsm8k", 30.0), key="/ws/lora/2", run_dir="/ws/lora/2"),
        run("base", single("gsm8k", 20.0), key="ba5e", run_id="ba5e", name="by its id"),
    ]
    value = json.loads(comparison_json(compare(runs, 0)))
    assert [own["id"] for own in value["runs"]] == ["ba5e", "lora", "by its id"]
    assert [own["run_id"] for own in value["runs"]] == ["ba5e", None, "ba5e"]
    assert [own["run_dir"] for own in value["runs"]] == ["/ws/base/1", "/ws/lora/2", None]
    assert (value["baseline"], value["best"]) == ("ba5e", "lora")
    assert list(value["datasets"][0]["scores"]) == ["ba5e", "lora", "by its id"]
