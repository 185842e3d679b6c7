"""The stream: every request is answered, or its own subset fails and no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from ftbench_eval.stream import stream as module
from ftbench_eval.stream.batches import BatchLimit, plan_batches
from ftbench_eval.stream.journal import Journal
from ftbench_eval.stream.requests import GENERATE, Answer, Batch, Request
from ftbench_eval.stream.stream import Stream

from ftbench.schema import Reason
from tests.stream.requests import answers, requests

FINGERPRINT = "a" * 64


class Model:
    """Answers, unless a batch has no room or holds what breaks it."""

    def __init__(self, room: int = 10**9, breaks: str = "") -> None:
        self.room = room
        self.breaks = breaks
        self.asked: list[Batch] = []

    def answer(self, batch: Batch) -> list[Answer]:
        self.asked.append(batch)
        if batch.tokens > self.room:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
        if any(self.breaks and self.breaks in each.input for each in batch.requests):
            raise ValueError(f"cannot tokenize {self.breaks}")
        return answers(batch)


class Run:
    """One stream over some requests."""

    def __init__(self, path: Path, models: list[Model], limit: BatchLimit) -> None:
        self.journal = Journal(path, FINGERPRINT)
        self.journal.start({})
        self.answered: list[str] = []
        self.failed: dict[str, Reason] = {}
        self.said: list[str] = []
        self._limit = limit
        self._stream = Stream(
            models, self.journal, self._note, self.failed.__setitem__, self.said.append
        )

    def _note(self, batch: Batch, seconds: float) -> None:
        assert seconds >= 0
        self.answered += [f"{each.abbr}{each.position}" for each in batch.requests]

    def __call__(self, asked: list[Request]) -> None:
        self._stream.run(plan_batches(asked, {GENERATE: self._limit}))


@pytest.fixture(autouse=True)
def _no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "release_memory", lambda: None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


def test_every_request_is_asked_once(path: Path) -> None:
    asked = [*requests("a", [5, 6, 7]), *requests("b", [8] * 10)]
    model = Model()
    run = Run(path, [model], BatchLimit(4))
    run(asked)
    assert sorted(run.answered) == sorted(f"{each.abbr}{each.position}" for each in asked)
    assert [len(batch.requests) for batch in model.asked] == [4, 4, 4, 1]
    assert all(run.journal.answer(each) == Answer(f"to {each.input}", 3, False) for each in asked)


def test_several_models_share_the_batches(path: Path) -> None:
    asked = requests("a", list(range(1, 200)))
    models = [Model(), Model(), Model()]
    run = Run(path, models, BatchLimit(4))
    run(asked)
    assert len(run.answered) == len(set(run.answered)) == len(asked)
    assert sum(len(model.asked) for model in models) == 50


def test_what_has_no_room_is_halved_and_stays_so(path: Path) -> None:
    asked = requests("a", [12] * 32)  # 20 tokens each with the output
    model = Model(room=100)
    run = Run(path, [model], BatchLimit(16))
    run(asked)
    assert len(run.answered) == 32
    assert run.failed == {}
    assert [len(batch.requests) for batch in model.asked] == [16, 8, *[4] * 8]
    assert run.said == [
        "ftbench: 16 samples of up to 20 tokens had no room in memory; going on with half as many",
        "ftbench: 8 samples of up to 20 tokens had no room in memory; going on with half as many",
    ]


def test_one_request_without_room_fails_its_subset_only(path: Path) -> None:
    asked = [*requests("huge", [1000, 5]), *requests("a", [5] * 6)]
    run = Run(path, [Model(room=100)], BatchLimit(4))
    run(asked)
    assert set(run.failed) == {"huge"}
    assert run.failed["huge"].kind == "out_of_memory"
    assert {name for name in run.answered if name.startswith("a")} == {f"a{i}" for i in range(6)}


def test_what_breaks_a_batch_fails_its_subset_only(path: Path) -> None:
    asked = [*requests("a", [9] * 5), *requests("bad", [9] * 5), *requests("c", [9] * 5)]
    model = Model(breaks="bad 3")
    run = Run(path, [model], BatchLimit(15))
    run(asked)
    assert list(run.failed) == ["bad"]
    assert "cannot tokenize bad 3" in run.failed["bad"].message
    assert len([name for name in run.answered if name[0] in "ac"]) == 10


def test_a_failed_subset_is_not_asked_on(path: Path) -> None:
    model = Model(breaks="bad 0")
    run = Run(path, [model], BatchLimit(1))
    run(requests("bad", [9] * 5))
    assert len(model.asked) == 1


def test_a_resumed_stream_asks_the_rest_in_the_same_batches(path: Path) -> None:
    asked = [*requests("a", [5, 6, 7, 8, 9]), *requests("b", [5, 6, 7])]
    whole = Model()
    Run(path.with_name("whole"), [whole], BatchLimit(3))(asked)
    first = Run(path, [Model()], BatchLimit(3))
    first.journal.add(whole.asked[0].requests, answers(whole.asked[0]))
    first.journal.close()
    model = Model()
    Run(path, [model], BatchLimit(3))(asked)
    assert model.asked == whole.asked[1:]


def test_answers_that_cannot_be_kept_end_the_stream(path: Path) -> None:
    run = Run(path, [Model(), Model()], BatchLimit(2))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    run.journal.add = full  # type: ignore[method-assign]
    with pytest.raises(OSError, match="No space left"):
        run(requests("a", [5] * 8))
