"""Asks a judge model through any OpenAI-compatible endpoint: one prompt, one reply, with patience.

Standard library only: the evaluation program judges with it, and preflight tries the endpoint with
it. It says nothing of verdicts. The key goes to the endpoint's own address and nowhere else: no
redirect is followed, and no error repeats what was sent.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

UNREACHABLE = "unreachable"
REFUSED = "refused"
UNKNOWN_MODEL = "unknown_model"
REJECTED = "rejected"
BUSY = "busy"
NO_REPLY = "no_reply"
CUT = "cut"

_FATAL = (REFUSED, UNKNOWN_MODEL)
"""What no other prompt would change."""

_WORTH_ANOTHER_TRY = (UNREACHABLE, BUSY, NO_REPLY)

_MAX_ANSWER_BYTES = 8 << 20
_LONGEST_PAUSE_S = 60.0
_FAILURES_IN_A_ROW = 8
"""Prompts in a row that get no answer, each with all its tries, after which the judge is gone."""


@dataclass(frozen=True)
class JudgeEndpoint:
    """A judge model and how it is asked.

    Attributes:
        model: Its name at the endpoint.
        api_base: Address that ``/chat/completions`` is put behind, such as
            ``http://localhost:8000/v1``.
        temperature: Sampling temperature; 0: greedy.
        max_out_len: Reply limit in tokens.
        timeout_s: Seconds that one request may take.
        retries: Further tries of a request that was not answered.
        concurrency: Requests at a time.
    """

    model: str
    api_base: str
    temperature: float = 0.0
    max_out_len: int = 4096
    timeout_s: float = 120.0
    retries: int = 5
    concurrency: int = 8


class JudgeError(Exception):
    """The judge gave no reply.

    Attributes:
        kind: ``unreachable``, ``refused`` (the key), ``unknown_model``, ``rejected`` (the
            request), ``busy`` (429, 5xx), ``no_reply`` (an answer without text) or ``cut`` (a
            reply that the limit ended).
        pause_s: Seconds that the endpoint asks to wait, or 0.
    """

    def __init__(self, kind: str, message: str, pause_s: float = 0.0) -> None:
        super().__init__(message)
        self.kind = kind
        self.pause_s = pause_s


@dataclass(frozen=True)
class Reply:
    """What a judge said to one prompt.

    Attributes:
        text: Its reply; empty when there is none.
        problem: Why there is none, or empty.
    """

    text: str
    problem: str = ""


Message = dict[str, str]
"""``{"role": "user", "content": ...}``"""


@dataclass
class JudgeClient:
    """Asks one judge.

    Args:
        endpoint: Whom and how.
        key: Its key; empty: the endpoint needs none.
        sleep: Waits a number of seconds.
    """

    endpoint: JudgeEndpoint
    key: str = field(default="", repr=False)
    sleep: Callable[[float], None] = time.sleep
    _dropped: frozenset[str] = field(default=frozenset(), init=False)
    _failed_in_a_row: int = field(default=0, init=False)
    _gate: threading.BoundedSemaphore = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Several subsets may be judged at the same time; together they keep to the limit.
        self._gate = threading.BoundedSemaphore(self.endpoint.concurrency)

    def ask_all(self, prompts: Sequence[Sequence[Message]]) -> list[Reply]:
        """Asks several prompts at a time; one that gets no reply does not take down the others.

        Returns:
            One reply per prompt, in order.

        Raises:
            JudgeError: Nothing can be asked: the key is refused, there is no such model, or
                prompt after prompt is not answered.
        """
        pool = ThreadPoolExecutor(self.endpoint.concurrency, thread_name_prefix="judge")
        try:
            return list(pool.map(self._reply_to, prompts))
        finally:
            # Without those that wait: after a fatal error they would be asked in vain.
            pool.shutdown(cancel_futures=True)

    def ask(self, messages: Iterable[Message]) -> str:
        """Asks one prompt, again after a pause where that may help.

        Raises:
            JudgeError: There is no reply after all tries.
        """
        sent = list(messages)
        for attempt in range(self.endpoint.retries + 1):
            try:
                return self.ask_once(sent, self.endpoint.max_out_len)
            except JudgeError as exc:
                last = attempt == self.endpoint.retries
                if last or exc.kind not in _WORTH_ANOTHER_TRY:
                    raise
                self.sleep(min(max(exc.pause_s, 2.0**attempt), _LONGEST_PAUSE_S))
        raise AssertionError("the last try returns or raises")

    def ask_once(self, messages: Sequence[Message], max_out_len: int) -> str:
        """Sends one request.

        Raises:
            JudgeError: It brought no reply.
        """
        while True:
            body = self._body(messages, max_out_len)
            try:
                return _reply_text(self._post("chat/completions", body), max_out_len)
            except _Unsupported as exc:
                if exc.parameter not in body:
                    raise JudgeError(REJECTED, str(exc)) from exc
                self._dropped |= {exc.parameter}

    def models(self) -> list[str]:
        """Names of the endpoint's models; empty where it does not say.

        Raises:
            JudgeError: The endpoint does not answer.
        """
        answer = self._post("models", None)
        listed = answer.get("data") if isinstance(answer, dict) else None
        named = [m.get("id") for m in listed or [] if isinstance(m, dict)]
        return [name for name in named if isinstance(name, str)]

    def _reply_to(self, messages: Sequence[Message]) -> Reply:
        if self._failed_in_a_row >= _FAILURES_IN_A_ROW:
            raise JudgeError(UNREACHABLE, f"{self._failed_in_a_row} prompts in a row got no reply")
        try:
            text = self.ask(messages)
        except JudgeError as exc:
            if exc.kind in _FATAL:
                raise
            if exc.kind not in (REJECTED, CUT):
                self._failed_in_a_row += 1
                if self._failed_in_a_row >= _FAILURES_IN_A_ROW:
                    raise
            return Reply("", str(exc))
        self._failed_in_a_row = 0
        return Reply(text)

    def _body(self, messages: Sequence[Message], max_out_len: int) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.endpoint.model, "messages": list(messages)}
        if "temperature" not in self._dropped:
            body["temperature"] = self.endpoint.temperature
        # Reasoning models of OpenAI refuse max_tokens and take the longer name.
        name = "max_completion_tokens" if "max_tokens" in self._dropped else "max_tokens"
        if name not in self._dropped:
            body[name] = max_out_len
        return body

    def _post(self, path: str, body: dict[str, Any] | None) -> Any:
        """One request; GET when there is no body. Returns the decoded JSON."""
        request = urllib.request.Request(
            f"{self.endpoint.api_base.rstrip('/')}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "ftbench"},
        )
        if not re.fullmatch(r"[\x21-\x7e]*", self.key):
            # http.client would repeat it in its own error.
            raise JudgeError(REFUSED, "the key holds a character that no key has")
        if self.key:
            request.add_header("Authorization", f"Bearer {self.key}")
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            with self._gate, opener.open(request, timeout=self.endpoint.timeout_s) as response:
                content = response.read(_MAX_ANSWER_BYTES)
        except urllib.error.HTTPError as exc:
            raise self._error_of(exc) from None
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise JudgeError(UNREACHABLE, _one_line(getattr(exc, "reason", exc))) from None
        try:
            return json.loads(content)
        except ValueError:
            raise JudgeError(NO_REPLY, "the answer is not JSON") from None

    def _error_of(self, error: urllib.error.HTTPError) -> Exception:
        with error:
            said = self._without_key(_error_message(error.read(_MAX_ANSWER_BYTES)))
        text = f"HTTP {error.code}: {said}" if said else f"HTTP {error.code}"
        if error.code in (401, 403):
            return JudgeError(REFUSED, text)
        if error.code == 404 or (error.code == 400 and _says_unknown_model(said)):
            return JudgeError(UNKNOWN_MODEL, text)
        if error.code in (408, 409, 425, 429) or error.code >= 500:
            return JudgeError(BUSY, text, _seconds(error.headers.get("Retry-After")))
        if 300 <= error.code < 400:
            return JudgeError(REFUSED, f"HTTP {error.code}: it redirects elsewhere")
        parameter = _unsupported_parameter(said)
        if error.code in (400, 422) and parameter:
            return _Unsupported(parameter, text)
        return JudgeError(REJECTED, text)

    def _without_key(self, text: str) -> str:
        return text.replace(self.key, "***") if self.key else text


class _Unsupported(Exception):
    """The endpoint does not know a parameter."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """urllib would send the key on to wherever a redirect leads."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None


def _reply_text(answer: Any, max_out_len: int) -> str:
    """The text of a chat completion.

    Raises:
        JudgeError: There is none, or the limit cut it.
    """
    try:
        choice = answer["choices"][0]
        text = choice["message"]["content"]
    except (KeyError, IndexError, TypeError):
        raise JudgeError(NO_REPLY, "the answer holds no chat completion") from None
    if choice.get("finish_reason") == "length":
        raise JudgeError(CUT, f"the reply was cut at {max_out_len} tokens")
    if not isinstance(text, str) or not text.strip():
        raise JudgeError(NO_REPLY, "the reply is empty")
    return text


def _error_message(content: bytes) -> str:
    """What an error answer says, on one line; servers differ in where they say it."""
    text = content.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except ValueError:
        return "" if "<" in text[:20] else _one_line(text)
    for key in ("error", "message", "detail"):
        if isinstance(value, dict) and value.get(key):
            value = value[key]
    return _one_line(value)


def _unsupported_parameter(message: str) -> str:
    """The parameter that a message calls unsupported, or an empty string.

    Such as OpenAI's "Unsupported parameter: 'max_tokens' is not supported with this model" and
    "Unsupported value: 'temperature' does not support 0 with this model".
    """
    names = "max_tokens|max_completion_tokens|temperature"
    found = re.search(
        rf"unsupported.{{0,40}}?({names})|({names}).{{0,40}}not support", message, re.I
    )
    return (found[1] or found[2]).lower() if found else ""


def _says_unknown_model(message: str) -> bool:
    return bool(re.search(r"(?i)model.{0,80}(not exist|not found|unknown|invalid)", message))


def _seconds(header: str | None) -> float:
    return float(header) if header and re.fullmatch(r"\d{1,6}(\.\d+)?", header.strip()) else 0.0


def _one_line(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 300 else text[:297] + "..."
