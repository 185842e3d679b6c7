"""Workers that die: what is asked again, what is at fault, and when it ends."""

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ftbench_eval.parallel.copies import smallest
from ftbench_eval.parallel.worker import Answered, Ready
from ftbench_eval.parallel.workers import (
    NoRoom,
    Worker,
    WorkerAnswerer,
    WorkerDied,
    worker_environments,
)
from ftbench_eval.stream.batches import BatchLimit
from ftbench_eval.stream.journal import Journal
from ftbench_eval.stream.requests import GENERATE, Answer, Batch, Call, Request
from ftbench_eval.stream.stream import ModelGone, Stream

from ftbench.schema import Reason

CALL = Call("generation", GENERATE, 8)


def request(abbr: str, position: int) -> Request:
    return Request(abbr, position, CALL, f"{abbr}{position}", 4, None, "d")


def batch(*names: str) -> Batch:
    return Batch(tuple(request(name, i) for i, name in enumerate(names)))


class Scripted(Worker):
    """A worker without a process: ``asks`` says for each batch whether it dies on it."""

    def __init__(self, dies: Callable[[Batch], bool], was_killed: bool = False) -> None:
        self.dies = dies
        self.was_killed = was_killed
        self.asked: list[list[str]] = []
        self.ended = False

    def wait_until_ready(self) -> Ready:
        return Ready(0, "cpu", "float32", 0.0)

    def ask(self, batch: Batch) -> Iterator[Answered]:
        self.asked.append([r.input for r in batch.requests])
        if self.dies(batch):
            raise WorkerDied("a worker process exited with 1", self.was_killed)
        for place, one in enumerate(batch.requests):
            yield Answered(0, [place], [Answer(f"to {one.input}")])

    def end(self) -> None:
        self.ended = True


class Asking:
    """A stream with some answerers, and what came of it."""

    def __init__(self, folder: Path, *answerers: WorkerAnswerer) -> None:
        self.journal = Journal(folder / "answers.jsonl", "f" * 64)
        self.journal.start({})
        self.failed: dict[str, Reason] = {}
        self.seconds: list[float] = []
        self.stream = Stream(
            answerers,
            self.journal,
            lambda _part, seconds: self.seconds.append(seconds),
            self.failed.__setitem__,
            lambda _line: None,
        )

    def answered(self, *batches: Batch) -> list[str]:
        return [
            str(answer.value)
            for one in batches
            for r in one.requests
            if (answer := self.journal.answer(r))
        ]


def started(*workers: Scripted) -> tuple[WorkerAnswerer, list[str]]:
    said: list[str] = []
    left = iter(workers)
    answerer = WorkerAnswerer(lambda: next(left), said.append)
    answerer.load()
    return answerer, said


def dies_once() -> Callable[[Batch], bool]:
    deaths = itertools.count()
    return lambda _batch: next(deaths) == 0


def test_a_death_is_followed_by_the_same_batch_on_a_new_worker(tmp_path: Path) -> None:
    first, second = Scripted(dies_once()), Scripted(lambda _b: False)
    answerer, said = started(first, second)
    asking = Asking(tmp_path, answerer)
    whole = batch("a", "a", "b")
    asking.stream.run([whole])
    assert asking.answered(whole) == ["to a0", "to a1", "to b2"]
    assert first.asked == second.asked == [["a0", "a1", "b2"]]
    assert first.ended
    assert said == ["ftbench: a worker process exited with 1; starting another"]


def test_what_was_answered_before_a_death_is_not_asked_again(tmp_path: Path) -> None:
    class DiesInTheMiddle(Scripted):
        def ask(self, batch: Batch) -> Iterator[Answered]:
            yield Answered(0, [1], [Answer("early")])
            raise WorkerDied("gone", False)

    second = Scripted(lambda _b: False)
    answerer, _ = started(DiesInTheMiddle(lambda _b: False), second)
    asking = Asking(tmp_path, answerer)
    whole = batch("a", "a", "a")
    asking.stream.run([whole])
    assert asking.answered(whole) == ["to a0", "early", "to a2"]
    assert second.asked == [["a0", "a2"]]


def test_a_batch_that_kills_twice_costs_only_the_subset_at_fault(tmp_path: Path) -> None:
    def dies(asked: Batch) -> bool:
        return any(r.abbr == "poison" for r in asked.requests)

    answerer, _ = started(*(Scripted(dies) for _ in range(9)))
    asking = Asking(tmp_path, answerer)
    whole = batch("a", "poison", "b")
    asking.stream.run([whole])
    assert asking.answered(whole) == ["to a0", "to b2"]
    message = "a worker process exited with 1, twice"
    assert asking.failed == {"poison": Reason("worker", message, "logs/opencompass.log")}


def test_a_worker_killed_twice_had_no_room_and_gets_half(tmp_path: Path) -> None:
    workers = [Scripted(lambda b: len(b.requests) > 2, was_killed=True) for _ in range(9)]
    answerer, _ = started(*workers)
    asking = Asking(tmp_path, answerer)
    whole = batch("a", "a", "a", "a")
    asking.stream.run([whole])
    assert asking.answered(whole) == ["to a0", "to a1", "to a2", "to a3"]
    assert asking.failed == {}
    assert workers[2].asked == [["a0", "a1"], ["a2", "a3"]]


def test_a_worker_that_cannot_be_replaced_leaves_its_batch_to_the_others(tmp_path: Path) -> None:
    class Unloadable(Scripted):
        def wait_until_ready(self) -> Ready:
            raise ModelGone("gpu", "CUDA error")

    dying, _ = started(Scripted(dies_once()), Unloadable(lambda _b: False))
    living, _ = started(Scripted(lambda _b: False))
    asking = Asking(tmp_path, dying, living)
    batches = [batch(name) for name in "abcdef"]
    asking.stream.run(batches)
    assert asking.answered(*batches) == [f"to {name}0" for name in "abcdef"]
    assert asking.failed == {}


def test_the_stream_ends_when_no_worker_can_live(tmp_path: Path) -> None:
    answerers = [started(*(Scripted(lambda _b: True) for _ in range(20)))[0] for _ in range(2)]
    asking = Asking(tmp_path, *answerers)
    with pytest.raises(ModelGone, match="10 times in a row without an answer"):
        asking.stream.run([batch(*(f"s{i}" for i in range(12))) for _ in range(3)])


class Shared(Scripted):
    """A worker that takes whoever is in it along when it dies of poison."""

    def __init__(self) -> None:
        super().__init__(lambda _b: False)
        self.died = threading.Event()

    def ask(self, batch: Batch) -> Iterator[Answered]:
        is_poison = batch.requests[0].abbr == "poison"
        if is_poison:
            threading.Event().wait(0.3)  # until the other one is here, if it may be
            self.died.set()
        if is_poison or self.died.wait(0.6):
            raise WorkerDied("gone", False)
        yield Answered(0, [0], [Answer("fine")])


def test_a_batch_is_blamed_only_for_a_death_while_it_was_alone() -> None:
    answerer, _ = started(*(Shared() for _ in range(4)))
    kept: list[str] = []
    errors: list[str] = []

    def ask(name: str) -> None:
        try:
            answerer.answer_in_parts(batch(name), lambda rs, _a: kept.extend(r.abbr for r in rs))
        except Exception as exc:
            errors.append(f"{name}: {exc}")

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("good", "poison")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept == ["good"]
    assert errors == ["poison: gone, twice"]


def test_no_room_is_a_lack_of_memory_and_a_reason() -> None:
    error = NoRoom("out_of_memory", "CUDA out of memory")
    assert isinstance(error, MemoryError)
    assert (error.kind, str(error)) == ("out_of_memory", "CUDA out of memory")


def test_seconds_of_all_answers_sum_up_to_the_time_that_passed(tmp_path: Path) -> None:
    import time

    answerers = [started(Scripted(lambda _b: bool(time.sleep(0.02))))[0] for _ in range(4)]
    asking = Asking(tmp_path, *answerers)
    began = time.monotonic()
    asking.stream.run([batch(f"s{i}") for i in range(20)])
    passed = time.monotonic() - began
    assert 0.02 * 20 / 4 <= sum(asking.seconds) <= passed


def test_worker_environments_share_out_gpus() -> None:
    environ = {"CUDA_VISIBLE_DEVICES": "2,3,GPU-a,GPU-b,7", "OMP_NUM_THREADS": "8"}
    shares = [e["CUDA_VISIBLE_DEVICES"] for e in worker_environments(environ, 2, 2)]
    assert shares == ["2,3", "GPU-a,GPU-b"]
    one_each = worker_environments(environ, 5, 1)
    assert [e["CUDA_VISIBLE_DEVICES"] for e in one_each] == ["2", "3", "GPU-a", "GPU-b", "7"]
    assert {e["OMP_NUM_THREADS"] for e in one_each} == {"8"}


def test_worker_environments_share_out_threads_of_the_cpu() -> None:
    environ = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "5"}
    assert [e["OMP_NUM_THREADS"] for e in worker_environments(environ, 2, 0)] == ["2", "2"]
    assert [e["OMP_NUM_THREADS"] for e in worker_environments(environ, 9, 0)] == ["1"] * 9


def test_smallest_limit_is_that_of_the_fullest_gpu() -> None:
    large = {GENERATE: BatchLimit(256, 8192), "get_ppl": BatchLimit(256, 2048)}
    small = {GENERATE: BatchLimit(256, 4096), "get_ppl": BatchLimit(256, 4096)}
    assert smallest([large, small]) == {
        GENERATE: BatchLimit(256, 4096),
        "get_ppl": BatchLimit(256, 2048),
    }
