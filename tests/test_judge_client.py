"""The judge's client against a real HTTP server: patience, and a key that stays at home."""

import json
import socket
from typing import Any

import pytest

from ftbench.judge_client import JudgeClient, JudgeEndpoint, JudgeError, Reply
from tests.judge_server import KEY, MODEL, Answer, JudgeServer, in_turn, judge_server

PROMPT = [{"role": "user", "content": "Is it right?"}]


def client_of(server: JudgeServer, pauses: list[float], **facts: Any) -> JudgeClient:
    endpoint = JudgeEndpoint(**({"model": MODEL, "api_base": server.url, "retries": 2} | facts))
    return JudgeClient(endpoint, KEY, pauses.append)


def test_ask_sends_a_chat_completion_with_the_key() -> None:
    with judge_server() as server:
        assert client_of(server, [], max_out_len=7, temperature=0.5).ask(PROMPT) == "A"
    [body], [headers] = server.seen, server.headers
    assert body == {"model": MODEL, "messages": PROMPT, "temperature": 0.5, "max_tokens": 7}
    assert headers["Authorization"] == f"Bearer {KEY}"


def test_ask_sends_no_authorization_without_a_key() -> None:
    with judge_server(key="") as server:
        JudgeClient(JudgeEndpoint(MODEL, server.url + "/")).ask(PROMPT)
    assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize(
    ("failure", "pause_s"),
    [
        (Answer("slow down", 429), 1.0),
        (Answer("slow down", 429, (("Retry-After", "7"),)), 7.0),
        (Answer("slow down", 429, (("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT"),)), 1.0),
        (Answer("slow down", 503, (("Retry-After", "9000"),)), 60.0),
        (Answer("oh", 500), 1.0),
        (Answer(""), 1.0),
        (Answer(None), 1.0),
        (Answer(body=b"<html>"), 1.0),
        (Answer(body=b"[]"), 1.0),
    ],
)
def test_ask_tries_again_after_a_pause(failure: Answer, pause_s: float) -> None:
    pauses: list[float] = []
    with judge_server(answer=in_turn([failure, Answer("B")])) as server:
        assert client_of(server, pauses).ask(PROMPT) == "B"
    assert pauses == [pause_s]


def test_ask_gives_up_after_its_retries_with_growing_pauses() -> None:
    pauses: list[float] = []
    with (
        judge_server(answer=in_turn([Answer("busy", 503)])) as server,
        pytest.raises(JudgeError, match=r"^HTTP 503: busy$") as caught,
    ):
        client_of(server, pauses, retries=3).ask(PROMPT)
    assert (caught.value.kind, pauses, len(server.seen)) == ("busy", [1.0, 2.0, 4.0], 4)


def test_ask_times_out() -> None:
    with (
        judge_server(answer=in_turn([Answer(delay_s=2.0)])) as server,
        pytest.raises(JudgeError, match="timed out") as caught,
    ):
        client_of(server, [], timeout_s=0.2, retries=0).ask(PROMPT)
    assert caught.value.kind == "unreachable"


def test_ask_says_that_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        client = JudgeClient(JudgeEndpoint(MODEL, f"http://127.0.0.1:{port}/v1", retries=0), KEY)
        with pytest.raises(JudgeError, match="Connection refused") as caught:
            client.ask(PROMPT)
    assert caught.value.kind == "unreachable"


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (Answer("wrong key", 401), "refused", "HTTP 401: wrong key"),
        (Answer("The model `x` does not exist", 400), "unknown_model", "HTTP 400: The model"),
        (Answer("prompt too long", 400), "rejected", "HTTP 400: prompt too long"),
        (Answer("A: COR", finish_reason="length"), "cut", "the reply was cut at 4096 tokens"),
    ],
)
def test_ask_does_not_repeat_what_would_not_help(answer: Answer, kind: str, message: str) -> None:
    with (
        judge_server(answer=in_turn([answer])) as server,
        pytest.raises(JudgeError, match=message) as caught,
    ):
        client_of(server, []).ask(PROMPT)
    assert (caught.value.kind, len(server.seen)) == (kind, 1)


@pytest.mark.parametrize(
    ("message", "left"),
    [
        ("Unsupported parameter: 'max_tokens' is not supported with this model.", "max_tokens"),
        ("Unsupported value: 'temperature' does not support 0 with this model.", "temperature"),
    ],
)
def test_ask_does_without_a_parameter_that_the_model_refuses(message: str, left: str) -> None:
    def answer(body: dict[str, Any]) -> Answer:
        return Answer(message, 400) if left in body else Answer("A")

    with judge_server(answer=answer) as server:
        client = client_of(server, [])
        assert [client.ask(PROMPT), client.ask(PROMPT)] == ["A", "A"]
    assert [left in body for body in server.seen] == [True, False, False]
    if left == "max_tokens":
        assert server.seen[-1]["max_completion_tokens"] == 4096


def test_the_key_follows_no_redirect() -> None:
    with judge_server() as other:
        where = (("Location", f"{other.url}/chat/completions"),)
        for status in (302, 307):
            with (
                judge_server(answer=in_turn([Answer("there", status, where)])) as server,
                pytest.raises(JudgeError, match=f"HTTP {status}: it redirects elsewhere"),
            ):
                client_of(server, []).ask(PROMPT)
    assert other.seen == []


def test_no_error_repeats_the_key() -> None:
    with judge_server(key="another") as server, pytest.raises(JudgeError) as caught:
        client_of(server, []).ask(PROMPT)
    assert str(caught.value) == "HTTP 401: Incorrect API key provided: Bearer ***"
    assert KEY not in repr(client_of(server, []))
    broken = JudgeClient(JudgeEndpoint(MODEL, server.url), "sk-two\nlines")
    with pytest.raises(JudgeError, match=r"^the key holds a character that no key has$"):
        broken.ask(PROMPT)


def test_ask_all_keeps_the_order_and_the_limit() -> None:
    def answer(body: dict[str, Any]) -> Answer:
        number = body["messages"][0]["content"]
        return Answer("filtered", 400) if number == "3" else Answer(f"reply {number}", delay_s=0.02)

    prompts = [[{"role": "user", "content": str(i)}] for i in range(12)]
    with judge_server(answer=answer) as server:
        replies = client_of(server, [], concurrency=3).ask_all(prompts)
    expected = [Reply(f"reply {i}") for i in range(12)]
    expected[3] = Reply("", "HTTP 400: filtered")
    assert replies == expected
    assert 1 < server.at_once <= 3


def test_ask_all_stops_when_the_key_is_refused() -> None:
    with judge_server(key="another") as server, pytest.raises(JudgeError, match="HTTP 401"):
        client_of(server, [], concurrency=2).ask_all([PROMPT] * 200)
    assert len(server.seen) < 200


def test_ask_all_stops_when_nothing_is_answered_any_more() -> None:
    with (
        judge_server(answer=in_turn([Answer("down", 503)])) as server,
        pytest.raises(JudgeError, match=r"HTTP 503: down|8 prompts in a row"),
    ):
        client_of(server, [], concurrency=1, retries=0).ask_all([PROMPT] * 100)
    assert len(server.seen) == 8


def test_models_lists_names() -> None:
    with judge_server(models=("b", "a")) as server:
        assert client_of(server, []).models() == ["b", "a"]


@pytest.mark.parametrize("body", [b"{}", b'{"choices": []}', b'{"choices": [{"message": 1}]}'])
def test_ask_once_tells_an_answer_without_a_reply(body: bytes) -> None:
    with (
        judge_server(answer=in_turn([Answer(body=body)])) as server,
        pytest.raises(JudgeError, match=r"^the answer holds no chat completion$"),
    ):
        client_of(server, []).ask_once(PROMPT, 5)
    assert json.dumps(server.seen[0])
