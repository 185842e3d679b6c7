"""The page that filters samples; tests/real/test_example_page.py clicks on it in a browser."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ftbench.tracking.samples_page import MAX_CHARACTERS, PageRow, samples_page

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!-- <script>",
    "<img src=x onerror=alert(1)>",
    "@SCRIPT@ @DATA@ \u2028 & \x00",
)


def row(index: int, dataset: str = "gsm8k", subset: str = "", **values: Any) -> PageRow:
    texts = {"prompt": "1 + 1?", "prediction": "2", "extracted": "2", "reference": "2"}
    own = {"correct": True, "truncated": False, "output_tokens": 3, "unknown_why": None}
    return PageRow(f"{dataset}/{index}", dataset, subset, {**own, **texts, **values})


def data_of(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_page_has_every_sample_with_its_verdict() -> None:
    rows = [
        row(0),
        row(1, correct=False, prediction="3", extracted="3"),
        row(2, correct=None, unknown_why="no rule", extracted=None, truncated=None),
    ]
    value = data_of(samples_page("Samples of r16", [rows], total=3))

    assert value["title"] == "Samples of r16"
    assert value["note"] == "3 samples. Click one for its whole prompt and answer."
    samples = [dict(zip(value["columns"], cells, strict=True)) for cells in value["samples"]]
    assert samples[1] == {
        "id": "gsm8k/1",
        "dataset": "gsm8k",
        "subset": "",
        "verdict": "wrong",
        "truncated": False,
        "tokens": 3,
        "prompt": "1 + 1?",
        "answer": "3",
        "extracted": "3",
        "reference": "2",
        "why": "",
    }
    assert [s["verdict"] for s in samples] == ["right", "wrong", "unknown"]
    assert samples[2]["why"] == "no rule"


def test_places_are_datasets_with_their_subsets() -> None:
    mmlu = [row(n, "mmlu", ("law", "anatomy")[n % 2]) for n in range(4)]
    value = data_of(samples_page("t", [mmlu, [row(0)], []], total=5))
    assert value["places"] == [["mmlu", ["law", "anatomy"]], ["gsm8k", []]]


def test_a_long_dataset_is_thinned_evenly_and_a_short_one_is_whole() -> None:
    long = [row(n, "mmlu") for n in range(14_042)]
    value = data_of(samples_page("t", [long, [row(n) for n in range(100)]], total=14_142))

    ids = [cells[0] for cells in value["samples"]]
    assert len(ids) == 2000
    assert sum(name.startswith("gsm8k/") for name in ids) == 100
    assert ids[:3] == ["mmlu/0", "mmlu/7", "mmlu/14"]
    assert value["note"].startswith("2000 of 14142 samples, an even choice; predictions/ has all")


def test_the_pages_size_is_bounded() -> None:
    rows = [row(n, prompt="p" * 9000, prediction="a" * 9000) for n in range(2000)]
    page = samples_page("t", [rows], total=2000)
    assert len(page) < MAX_CHARACTERS + 500_000
    assert data_of(page)["samples"][0][6] == "p" * 999 + "…"


def test_answers_cannot_leave_their_place() -> None:
    rows = [row(n, prediction=text, prompt=text) for n, text in enumerate(HOSTILE)]
    page = samples_page(HOSTILE[0], [rows], total=4)

    assert page.lower().count("<script") == 2
    assert page.lower().count("</script") == 2
    assert page.count("<!--") == 0
    assert "onerror" not in re.sub(r"\\u003cimg src=x onerror", "", page)
    assert [cells[7] for cells in data_of(page)["samples"]] == list(HOSTILE)


@given(st.text(max_size=60))
def test_any_answer_comes_back_as_it_was(answer: str) -> None:
    page = samples_page("t", [[row(0, prediction=answer)]], total=1)
    assert data_of(page)["samples"][0][7] == answer


def test_the_page_loads_nothing_and_runs_only_its_own_script() -> None:
    page = samples_page("t", [[row(0)]], total=1)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[\w+/]{43}='; script-src 'sha256-[\w+/]{43}='",
        policy[1],
    )
    assert re.findall(r"(?:src|href)=|url\(|@import", page) == []
    assert "@" not in re.sub(r"@media[^{]*", "", page)
