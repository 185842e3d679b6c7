"""The follower with real, short processes in the place of evaluations."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ftbench.watch import ledger as ledger_module
from ftbench.watch.candidates import Candidate, Scan
from ftbench.watch.evaluation import Evaluator
from ftbench.watch.following import Follower, Policy, Tally
from ftbench.watch.ledger import Ledger
from ftbench.watch.processes import ProcessId, identify, is_alive
from ftbench.watch.stopping import Stop

# As an evaluation does: what is computed answers at once, what is not is computed and kept.
EVALUATION = """
if [ -e "stubborn-$1" ]; then trap '' TERM; fi
echo "asked $1"
if [ -e "result-$1" ]; then exit 0; fi
echo "$1" >> computing
sleep 0.3
if [ -e "fails-$1" ]; then exit 5; fi
while [ -e "stubborn-$1" ]; do sleep 0.05; done
touch "result-$1"
echo "$1" >> computed
if [ -e "refused-$1" ]; then exit 8; fi
"""


class Killed(BaseException):
    """Stands for kill -9 of the watcher: nothing of it runs any more."""


@dataclass
class Models:
    """A source that gives what the test says."""

    ready: list[str] = field(default_factory=list)
    changing: tuple[str, ...] = ()
    broken: tuple[tuple[str, str], ...] = ()
    same: tuple[str, ...] = ()
    on_scan: Callable[[], None] = lambda: None
    finished_names: list[str] = field(default_factory=list)
    folder: Path | None = None
    ended: list[bool] = field(default_factory=list)

    def scan(self, has_writer_ended: bool) -> Scan | None:
        self.ended.append(has_writer_ended)
        self.on_scan()
        ready = tuple(Candidate(n, f"key-of-{n}", (n,), self.folder) for n in self.ready)
        return Scan(ready, self.changing, self.broken, self.same)

    def finished(self, candidate: Candidate) -> None:
        self.finished_names.append(candidate.name)


@dataclass
class Watcher:
    """What one folder's watchers have in common, one after another."""

    folder: Path
    models: Models
    said: list[str] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    stop: Stop = field(default_factory=Stop)

    def follow(self, policy: Policy | None = None) -> Tally:
        evaluator = Evaluator(
            command=("sh", "-c", EVALUATION, "evaluation"),
            cwd=self.folder,
            env={"PATH": os.environ["PATH"]},
            logs=self.folder / "logs",
            on_line=lambda name, line: self.lines.append((name, line)),
        )
        policy = policy or Policy(once=True, poll_s=0.05, retry_pause_s=0.01)
        ledger = Ledger(self.folder / "ledger.jsonl")
        return Follower(
            self.models, evaluator, ledger, policy, self.stop, self.said.append
        ).follow()

    def listed(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def watcher(tmp_path: Path) -> Watcher:
    return Watcher(tmp_path, Models(["one", "two"]))


def test_everything_is_evaluated_once_and_in_order(watcher: Watcher) -> None:
    assert watcher.follow() == Tally(("one", "two"), (), False)
    assert watcher.follow() == Tally((), (), False)
    assert watcher.listed("computed") == ["one", "two"]
    assert watcher.lines == [("one", "asked one"), ("two", "asked two")]
    assert watcher.models.finished_names == ["one", "two"]
    assert watcher.said[-1] == "evaluated already: one, two"


class Kill:
    """Kills at the n-th of all moments: before a line is written, within it, after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
        self.left = moment
        self.append = ledger_module.append_line
        monkeypatch.setattr(ledger_module, "append_line", self._append)

    def _append(self, path: Path, line: str) -> None:
        self._maybe()
        if self.left == 1:
            self.append(path, line[: len(line) // 2])
            path.write_bytes(path.read_bytes()[:-1])
        self._maybe()
        self.append(path, line)
        self._maybe()

    def _maybe(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


# Two models, three lines each, three moments at each line.
@pytest.mark.parametrize("moment", range(1, 19))
def test_kill_at_any_moment_leaves_nothing_out_and_nothing_twice(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    kill = Kill(monkeypatch, moment)
    with pytest.raises(Killed):
        watcher.follow()
    kill.left = 0
    watcher.follow()
    assert watcher.listed("computing") == ["one", "two"]
    assert watcher.listed("computed") == ["one", "two"]
    assert watcher.follow() == Tally((), (), False)


def test_failure_is_tried_again_and_then_left(watcher: Watcher) -> None:
    (watcher.folder / "fails-one").touch()
    tally = watcher.follow()
    assert tally == Tally(("two",), ("one",), False)
    assert watcher.listed("computing").count("one") == 3
    assert watcher.listed("computed") == ["two"]
    assert watcher.models.finished_names == ["two"]
    log = watcher.folder / "logs" / "one-key-of-o.log"
    assert watcher.said[-1] == (
        "one: left after 3 failed tries, the last with exit code 5 "
        f"(see {log}); --retry-failed tries again"
    )


def test_what_a_gate_refuses_is_evaluated_and_not_tried_again(watcher: Watcher) -> None:
    (watcher.folder / "refused-one").touch()
    tally = watcher.follow()
    assert tally == Tally(("one", "two"), (), False, ("one",))
    assert watcher.listed("computing") == ["one", "two"]
    assert "one: evaluated; the gate does not let it pass (exit code 8)" in watcher.said
    assert watcher.models.finished_names == ["one", "two"]
    assert watcher.follow() == Tally((), (), False, ("one",))
    assert watcher.listed("computing") == ["one", "two"]


def test_failures_of_an_earlier_watcher_count(watcher: Watcher) -> None:
    (watcher.folder / "fails-one").touch()
    watcher.follow()
    (watcher.folder / "fails-one").unlink()
    assert watcher.follow() == Tally((), ("one",), False)
    Ledger(watcher.folder / "ledger.jsonl").try_again("key-of-one")
    assert watcher.follow() == Tally(("one",), (), False)


def test_pauses_between_tries_grow(watcher: Watcher) -> None:
    watcher.models.ready = ["one"]
    (watcher.folder / "fails-one").touch()
    tries: list[float] = []
    watcher.said = _Timed(tries)  # type: ignore[assignment]
    watcher.follow(Policy(once=True, poll_s=0.01, retries=2, retry_pause_s=0.4))
    first, second, third = tries
    assert second - first >= 0.4
    assert third - second >= 0.8


class _Timed(list[str]):
    def __init__(self, tries: list[float]) -> None:
        super().__init__()
        self._tries = tries

    def append(self, text: str) -> None:
        if "evaluating" in text:
            self._tries.append(time.time())


def test_others_go_on_while_one_pauses(watcher: Watcher) -> None:
    (watcher.folder / "fails-one").touch()
    watcher.follow(Policy(once=True, poll_s=0.05, retries=1, retry_pause_s=0.5))
    assert watcher.listed("computing") == ["one", "two", "one"]


def test_what_comes_later_is_no_business_of_once(watcher: Watcher) -> None:
    def appear() -> None:
        if watcher.listed("computed") == ["one"]:
            watcher.models.ready = ["one", "late", "two"]

    watcher.models.on_scan = appear
    watcher.follow()
    assert watcher.listed("computed") == ["one", "two"]


def test_vanished_model_is_said(watcher: Watcher) -> None:
    def rotate() -> None:
        if watcher.listed("computed") == ["one"]:
            watcher.models.ready = ["one"]

    watcher.models.on_scan = rotate
    assert watcher.follow() == Tally(("one",), (), False)
    assert "two: it has gone before it was evaluated" in watcher.said


def test_model_that_proves_to_be_another_has_not_gone(watcher: Watcher) -> None:
    watcher.models.changing = ("final",)

    def settle() -> None:
        if watcher.listed("computed") == ["one"]:
            watcher.models.changing, watcher.models.same = (), ("final",)

    watcher.models.on_scan = settle
    watcher.follow()
    assert not [text for text in watcher.said if "gone" in text]


def test_model_that_goes_during_its_evaluation_is_no_failure(watcher: Watcher) -> None:
    watcher.models.folder = watcher.folder / "gone"
    (watcher.folder / "fails-one").touch()
    watcher.models.ready = ["one"]

    def rotate() -> None:
        if watcher.listed("computing"):
            watcher.models.ready = []

    watcher.models.on_scan = rotate
    assert watcher.follow() == Tally((), (), False)
    assert watcher.said[-1] == "one: it has gone while it was evaluated (exit code 5)"


def test_broken_model_is_told_and_counted(watcher: Watcher) -> None:
    watcher.models.broken = (("three", "it is truncated"),)
    assert watcher.follow() == Tally(("one", "two"), ("three",), False)
    assert "three: not evaluated: it is truncated" in watcher.said


@pytest.fixture
def trainer() -> Iterator[subprocess.Popen[str]]:
    """A process that lives until its input ends."""
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.wait()


def known(process: subprocess.Popen[str]) -> ProcessId:
    found = identify(process.pid)
    assert found is not None
    return found


def end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()


def test_until_exit_of_evaluates_at_once_and_takes_a_last_look(
    watcher: Watcher, trainer: subprocess.Popen[str]
) -> None:
    def train() -> None:
        if watcher.listed("computed") == ["one", "two"]:
            watcher.models.ready.append("last")
            end(trainer)

    watcher.models.on_scan = train
    tally = watcher.follow(Policy(poll_s=0.05, until=(known(trainer),)))
    assert tally == Tally(("one", "two", "last"), (), False)
    assert watcher.models.ended[0] is False and watcher.models.ended[-1] is True


def test_after_exit_of_evaluates_nothing_before(
    watcher: Watcher, trainer: subprocess.Popen[str]
) -> None:
    timer = threading.Timer(0.5, end, [trainer])
    timer.start()
    process = known(trainer)
    watcher.models.on_scan = lambda: None if not is_alive(process) else pytest.fail("too early")
    tally = watcher.follow(Policy(poll_s=0.05, after=(process,)))
    timer.join()
    assert tally == Tally(("one", "two"), (), False)
    assert set(watcher.models.ended) == {True}


def test_process_that_has_ended_before_the_start_is_no_obstacle(watcher: Watcher) -> None:
    gone = ProcessId(os.getpid(), 1)
    assert watcher.follow(Policy(poll_s=0.05, after=(gone,))).evaluated == ("one", "two")


def test_signal_is_passed_on_and_what_it_ended_is_no_failure(watcher: Watcher) -> None:
    def interrupt() -> None:
        while not watcher.listed("computing"):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    sender = threading.Thread(target=interrupt)
    with watcher.stop.listening():
        sender.start()
        tally = watcher.follow()
    sender.join()
    assert tally == Tally((), (), True)
    assert watcher.listed("computed") == []
    assert watcher.said[-1] == "one: interrupted; next time it goes on where it stopped"
    account = Ledger(watcher.folder / "ledger.jsonl").account("key-of-one")
    assert (account.is_done, account.failures) == (False, 0)
    watcher.stop = Stop()
    assert watcher.follow().evaluated == ("one", "two")


def test_second_signal_leaves_an_evaluation_that_is_slow_to_end(watcher: Watcher) -> None:
    (watcher.folder / "stubborn-one").touch()

    def interrupt() -> None:
        while not watcher.lines:
            time.sleep(0.02)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)

    sender = threading.Thread(target=interrupt)
    with watcher.stop.listening():
        sender.start()
        assert watcher.follow() == Tally((), (), True)
        sender.join()
    assert watcher.said[-1] == "one: its evaluation is still ending"
    (watcher.folder / "stubborn-one").unlink()
    watcher.stop = Stop()
    assert watcher.follow().evaluated == ("one", "two")
    assert watcher.listed("computing") == ["one", "two"]


def test_evaluation_outlives_its_watcher(watcher: Watcher) -> None:
    """Its output goes to a file: a pipe whose reader is gone would end it."""
    code = (
        "import os, sys; sys.path.insert(0, os.getcwd())\n"
        "from tests.watch.test_following import Watcher, Models\n"
        "from pathlib import Path\n"
        "Watcher(Path(sys.argv[1]), Models(['one'])).follow()\n"
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", code, watcher.folder], cwd=root)
    while not watcher.listed("computing"):
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert watcher.follow() == Tally(("one", "two"), (), False)
    assert watcher.listed("computing") == ["one", "two"]
