"""The pipe between a scoring process and the judge, with a real server behind it."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator

import pytest
from ftbench_eval.judge_service import JudgeDesk, JudgeLine, checked_prompts
from ftbench_eval.reasons import Refused

from ftbench.judge_client import JudgeClient, JudgeEndpoint, Reply
from tests.judge_server import KEY, MODEL, Answer, JudgeServer, judge_server

PROMPT = [{"role": "user", "content": "Is it right?"}]


@pytest.fixture
def server() -> Iterator[JudgeServer]:
    with judge_server() as running:
        yield running


def desk_of(server: JudgeServer, most: int = 10) -> tuple[JudgeDesk, JudgeLine]:
    """A desk, and a line that stays open when the desk closes its own copy of it."""
    endpoint = JudgeEndpoint(MODEL, server.url, retries=0)
    desk = JudgeDesk(JudgeClient(endpoint, KEY), most)
    line = JudgeLine(desk.line.requests, desk.line.replies)
    desk.close_line = lambda: None  # type: ignore[method-assign]
    desk.open()
    return desk, line


def test_a_line_brings_replies_in_order(server: JudgeServer) -> None:
    server.answer = lambda body: Answer(body["messages"][0]["content"].upper())
    _, line = desk_of(server)
    prompts = [[{"role": "user", "content": text}] for text in ("a", "b", "ü")]
    assert line.ask(prompts) == [Reply("A"), Reply("B"), Reply("Ü")]


def test_a_line_asks_no_more_than_there_are_samples(server: JudgeServer) -> None:
    _, line = desk_of(server, most=3)
    assert len(line.ask([PROMPT, PROMPT])) == 2
    with pytest.raises(Refused, match="asks more than there are samples") as caught:
        line.ask([PROMPT, PROMPT])
    assert caught.value.kind == "judge"
    assert len(server.seen) == 2


def test_a_failing_judge_is_named_without_its_key(server: JudgeServer) -> None:
    server.key = "another"
    _, line = desk_of(server)
    with pytest.raises(Refused) as caught:
        line.ask([PROMPT])
    message = "HTTP 401: Incorrect API key provided: Bearer ***"
    assert str(caught.value) == f"the judge {MODEL} at {server.url}: {message}"


def test_the_desk_ends_with_the_process(server: JudgeServer) -> None:
    before = set(threading.enumerate())
    _, line = desk_of(server)
    [desk] = [each for each in threading.enumerate() if each not in before]
    line.requests.close()
    line.replies.close()
    desk.join(10)
    assert not desk.is_alive()


def test_a_copied_line_is_the_same_line(server: JudgeServer) -> None:
    _, line = desk_of(server)
    assert copy.deepcopy({"line": line})["line"] is line


@pytest.mark.parametrize(
    "value",
    [
        {"prompts": []},
        "text",
        [["text"]],
        [[]],
        [[{"role": "user"}]],
        [[{"role": "tool", "content": "x"}]],
        [[{"role": "user", "content": 1}]],
        [[{"role": "user", "content": "x", "api_base": "http://elsewhere"}]],
    ],
)
def test_checked_prompts_takes_nothing_but_prompts(value: object) -> None:
    assert checked_prompts(json.dumps(value).encode()) is None


def test_checked_prompts_survives_what_is_no_json() -> None:
    assert checked_prompts(b"\xff\x00") is None
    assert checked_prompts(b"[" * 100_000) is None
    assert checked_prompts(json.dumps([PROMPT]).encode()) == [PROMPT]
