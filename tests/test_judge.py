"""What can be known to be wrong with a judge before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ftbench.choosing import choose_datasets
from ftbench.errors import Problem
from ftbench.judge import ask_judge, find_problems, is_loopback, judge_notes
from tests.judge_server import KEY, MODEL, Answer, in_turn, judge_server
from tests.surroundings import CATALOGUE, make_config, make_host

BOX = {"judge__model": "grader", "judge__api_base": "http://gpu-box:8000/v1"}
HERE = {"judge__model": "grader", "judge__api_base": "http://localhost:8000/v1"}
CONFIGURE = "judge.model=NAME judge.api_base=URL, with the key in OC_JUDGE_API_KEY"


def problems_of(root: Path, dataset: str, **other: Any) -> list[Problem]:
    config = make_config(datasets=[dataset], **other)
    return find_problems(config, choose_datasets(config, make_host(root), CATALOGUE))


def test_a_dataset_that_only_a_judge_scores_needs_one(tmp_path: Path) -> None:
    assert problems_of(tmp_path, "essays") == [
        Problem("datasets: 'essays'", "a judge model scores it, and none is configured", CONFIGURE)
    ]
    assert problems_of(tmp_path, "essays", **BOX) == []


def test_a_judge_that_ours_cannot_stand_in_for_is_refused(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path, "essays_prm_gen", **BOX)
    assert problem.happened == (
        "its evaluator LiveMathBenchEvaluator asks a judge in a way of its own, "
        "which is not supported"
    )


def test_a_cascade_needs_no_judge_and_says_so(tmp_path: Path) -> None:
    assert problems_of(tmp_path, "sums") == []
    config = make_config(datasets=["sums", "gsm8k"])
    chosen = choose_datasets(config, make_host(tmp_path), CATALOGUE)
    assert judge_notes(config, chosen) == [
        f"sums: rule-only, for no judge is configured; {CONFIGURE}"
    ]
    assert judge_notes(make_config(datasets=["sums"], **BOX), chosen) == []


def test_a_service_outside_is_named_and_must_be_allowed(tmp_path: Path) -> None:
    where = "https://opencompass-opencompass-bigcodebench-evaluator.hf.space"
    assert problems_of(tmp_path, "tools") == [
        Problem(
            "datasets: 'tools'",
            f"its scoring sends what the model wrote to {where}",
            "allow_outside_services=true, if that may be",
        )
    ]
    assert problems_of(tmp_path, "tools", allow_outside_services=True) == []


@pytest.mark.parametrize(
    ("dataset", "other", "tried"),
    [
        ("essays", HERE, "judge.api_base=http://localhost:8000/v1"),
        ("essays", HERE | {"runtime__network": "host"}, None),
        ("essays", HERE | {"runtime__name": "local"}, None),
        ("gsm8k", HERE, None),
        ("essays", BOX, None),
        ("essays", BOX | {"runtime__network": "none"}, "runtime.network=none"),
        (
            "tools",
            {"runtime__network": "none", "allow_outside_services": True},
            "runtime.network=none",
        ),
    ],
)
def test_a_container_must_be_able_to_reach_the_judge(
    dataset: str, other: dict[str, Any], tried: str | None, tmp_path: Path
) -> None:
    found = problems_of(tmp_path, dataset, **({"runtime__name": "docker"} | other))
    assert [problem.tried for problem in found] == ([] if tried is None else [tried])


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:8000/v1", True),
        ("http://127.0.0.1/v1", True),
        ("http://127.9.9.9/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://0.0.0.0:8000/v1", True),
        ("http://box.localhost/v1", True),
        ("http://localhost.example.org/v1", False),
        ("https://api.openai.com/v1", False),
        ("http://192.168.0.7/v1", False),
    ],
)
def test_is_loopback(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected


def asked(root: Path, url: str, key: str = KEY, model: str = MODEL) -> list[Problem]:
    config = make_config(datasets=["essays"], judge__model=model, judge__api_base=url)
    return ask_judge(config, make_host(root, secrets={"OC_JUDGE_API_KEY": key} if key else {}))


def test_ask_judge_asks_once_and_shortly(tmp_path: Path) -> None:
    with judge_server() as server:
        assert asked(tmp_path, server.url) == []
    assert [body["max_tokens"] for body in server.seen] == [16]


@pytest.mark.parametrize(
    "answer", [Answer("A thou", finish_reason="length"), Answer(""), Answer("No, I will not.")]
)
def test_ask_judge_is_content_with_any_reply(answer: Answer, tmp_path: Path) -> None:
    with judge_server(answer=in_turn([answer])) as server:
        assert asked(tmp_path, server.url) == []


@pytest.mark.parametrize(
    ("key", "happened"),
    [
        ("sk-wrong", "it refuses us, the key in OC_JUDGE_API_KEY: HTTP 401: "),
        ("", "it refuses us, no key is in OC_JUDGE_API_KEY: HTTP 401: "),
    ],
)
def test_ask_judge_says_that_the_key_is_refused(key: str, happened: str, tmp_path: Path) -> None:
    with judge_server() as server:
        [problem] = asked(tmp_path, server.url, key=key)
    assert problem.tried == f"judge.api_base={server.url}"
    assert problem.happened.startswith(happened)
    assert "sk-wrong" not in str(problem)
    assert problem.cure == "export OC_JUDGE_API_KEY=..."


def test_ask_judge_lists_the_models_that_there_are(tmp_path: Path) -> None:
    with judge_server(models=("b", "a")) as server:
        [problem] = asked(tmp_path, server.url, model="c")
    assert problem == Problem(
        f"judge.model=c at {server.url}",
        "it does not know this model or address: HTTP 404: The model `c` does not exist",
        "judge.model= one of a, b",
    )


def test_ask_judge_says_that_nobody_answers(tmp_path: Path) -> None:
    with judge_server() as server:
        pass
    [problem] = asked(tmp_path, server.url)
    assert problem.tried == f"judge.api_base={server.url}"
    assert problem.happened.startswith("it does not answer: ")
