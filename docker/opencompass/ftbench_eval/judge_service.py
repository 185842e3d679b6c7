"""Lets a scoring process ask the judge through a pipe: it gets neither the key nor a network.

What comes out of a scoring process may be a model's work, so it is read as JSON, checked, and
limited in number; what goes in are replies.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import asdict, dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from ftbench.judge_client import JudgeClient, JudgeError, Message, Reply
from ftbench_eval.reasons import Refused

_MAX_REQUEST_BYTES = 1 << 30
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class JudgeLine:
    """A scoring process's end of the pipe."""

    requests: Connection
    replies: Connection

    def __deepcopy__(self, _memo: Any) -> JudgeLine:
        # OpenCompass copies configs deeply; two ends of one descriptor would close it twice.
        return self

    def ask(self, prompts: list[list[Message]]) -> list[Reply]:
        """The judge's replies, one per prompt.

        Raises:
            Refused: The judge cannot be asked.
        """
        self.requests.send_bytes(json.dumps(prompts).encode())
        try:
            answer = json.loads(self.replies.recv_bytes())
        except EOFError:
            raise Refused("judge", "the judge is not asked any more") from None
        if "failure" in answer:
            raise Refused("judge", answer["failure"])
        return [Reply(**reply) for reply in answer["replies"]]


class JudgeDesk:
    """Answers one scoring process.

    Args:
        client: Asks the judge.
        most_prompts: Prompts that the process has reason to ask; more are refused.
    """

    def __init__(self, client: JudgeClient, most_prompts: int) -> None:
        self._client = client
        self._left = most_prompts
        self._requests, outgoing = Pipe(duplex=False)
        incoming, self._replies = Pipe(duplex=False)
        self._asking_since: float | None = None
        self._asked_s = 0.0
        self.line = JudgeLine(outgoing, incoming)

    @property
    def asking_s(self) -> float:
        """Seconds for which the process has waited for the judge."""
        since = self._asking_since
        return self._asked_s + (0.0 if since is None else time.monotonic() - since)

    def open(self) -> None:
        """Begins to answer, once the process has its ends.

        Side effects: starts a thread, which ends with the process; closes our copies of its ends.
        """
        self.close_line()
        threading.Thread(target=self._serve, name="judge-desk", daemon=True).start()

    def close_line(self) -> None:
        """Closes our copies of the process's ends."""
        self.line.requests.close()
        self.line.replies.close()

    def _serve(self) -> None:
        with self._requests, self._replies:
            try:
                while True:
                    message = self._requests.recv_bytes(_MAX_REQUEST_BYTES)
                    self._asking_since = time.monotonic()
                    answer = self._answer(message)
                    self._asked_s, self._asking_since = self.asking_s, None
                    self._replies.send_bytes(json.dumps(answer).encode())
            except (EOFError, OSError):
                return

    def _answer(self, message: bytes) -> dict[str, Any]:
        prompts = checked_prompts(message)
        if prompts is None:
            return {"failure": "the scoring process asks what is no prompt"}
        if len(prompts) > self._left:
            return {"failure": "the scoring process asks more than there are samples"}
        self._left -= len(prompts)
        try:
            return {"replies": [asdict(reply) for reply in self._client.ask_all(prompts)]}
        except JudgeError as exc:
            endpoint = self._client.endpoint
            return {"failure": f"the judge {endpoint.model} at {endpoint.api_base}: {exc}"}


def checked_prompts(message: bytes) -> list[list[Message]] | None:
    """The prompts in a message of a scoring process; None when it holds anything else."""
    try:
        prompts = json.loads(message)
    except (ValueError, RecursionError):
        return None
    if not isinstance(prompts, list) or not all(map(_is_prompt, prompts)):
        return None
    return prompts


def _is_prompt(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) > 0
        and all(
            isinstance(turn, dict)
            and turn.keys() == {"role", "content"}
            and turn["role"] in _ROLES
            and isinstance(turn["content"], str)
            for turn in value
        )
    )
