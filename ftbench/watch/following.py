"""Follows a source of models and evaluates what is new, one at a time, each once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ftbench.errors import EXIT_OK
from ftbench.watch.candidates import Candidate, Scan, Source
from ftbench.watch.evaluation import LEFT_RUNNING, Evaluator, still_runs
from ftbench.watch.ledger import EVALUATED, Ledger
from ftbench.watch.processes import ProcessId, is_alive
from ftbench.watch.stopping import Stop

_PROCESS_TICK_S = 1.0
"""How often the training process is looked at, in seconds."""


@dataclass(frozen=True)
class Policy:
    """When to look, to try again and to end.

    Attributes:
        once: End when what was there at the first look is evaluated.
        poll_s: Seconds between two looks.
        retries: Further tries of a failed evaluation.
        retry_pause_s: Seconds before the first of them; twice as many before each next.
        until: Processes whose end ends the watcher, once everything is evaluated.
        after: Processes before whose end nothing is evaluated; they end the watcher as well.
    """

    once: bool = False
    poll_s: float = 10.0
    retries: int = 2
    retry_pause_s: float = 60.0
    until: tuple[ProcessId, ...] = ()
    after: tuple[ProcessId, ...] = ()


@dataclass(frozen=True)
class Tally:
    """What a watcher did.

    Attributes:
        evaluated: Names of the candidates that it evaluated with success.
        failed: Names of those that failed for good, or stay incomplete.
        was_stopped: A signal ended it.
        refused: Names of evaluated ones that a gate does not let pass.
    """

    evaluated: tuple[str, ...]
    failed: tuple[str, ...]
    was_stopped: bool
    refused: tuple[str, ...] = ()


class Follower:
    """Follows one source until there is nothing left to wait for, or a signal comes.

    Args:
        source: Where models appear.
        evaluator: Evaluates one.
        ledger: What was done before; the caller holds its lock.
        policy: When to look and to end.
        stop: Listens to signals.
        say: Takes each line for the user.
    """

    def __init__(
        self,
        source: Source,
        evaluator: Evaluator,
        ledger: Ledger,
        policy: Policy,
        stop: Stop,
        say: Callable[[str], None],
    ) -> None:
        self._source = source
        self._evaluator = evaluator
        self._ledger = ledger
        self._policy = policy
        self._stop = stop
        self._say = say
        self._told: set[str] = set()
        self._first: set[str] | None = None
        self._pending: set[str] = set()
        self._known_done: set[str] = set()
        self._evaluated: list[str] = []
        self._failed: dict[str, None] = {}
        self._refused: list[str] = []

    def follow(self) -> Tally:
        """Works until it is over.

        Side effects: evaluations; lines in the ledger.
        """
        self._wait_for_processes()
        self._wait_for_orphan()
        while not self._stop.is_asked:
            # Asked before the look: what was written before the end is seen by it.
            has_ended = self._has_writer_ended()
            scan = self._source.scan(has_ended)
            if scan is not None:
                self._tell(scan)
                due = self._due(scan)
                if due is not None:
                    self._evaluate(due)
                    continue
                if self._is_over(scan, has_ended):
                    break
            self._sleep(scan)
        evaluated, failed = tuple(self._evaluated), tuple(self._failed)
        return Tally(evaluated, failed, self._stop.is_asked, tuple(self._refused))

    def _wait_for_processes(self) -> None:
        for process in self._policy.after:
            if is_alive(process):
                self._say(f"waiting for the end of process {process.pid}")
            while is_alive(process) and not self._stop.is_asked:
                self._stop.sleep(_PROCESS_TICK_S)

    def _wait_for_orphan(self) -> None:
        """Takes over the evaluation that a killed watcher left at work, if there is one."""
        running = self._ledger.running
        if running is None or self._stop.is_asked or not still_runs(running):
            return
        number = f" (process {running.process.pid})" if running.process else ""
        self._say(f"{running.name}: its evaluation still runs{number}; waiting for it")
        if self._evaluator.wait_for(running, self._stop):
            # How it ended, its run folder says: asked again, a finished one answers at once.
            self._say(f"{running.name}: it has ended; its result is asked for")

    def _has_writer_ended(self) -> bool:
        watched = (*self._policy.until, *self._policy.after)
        return bool(watched) and not any(map(is_alive, watched))

    def _tell(self, scan: Scan) -> None:
        """Says what is new, what is broken, and what has gone."""
        names = {candidate.name for candidate in scan.ready}
        if self._first is None:
            self._first = names | set(scan.changing) | {name for name, _ in scan.broken}
        for name in scan.changing:
            self._once(f"{name}: waiting until it is complete")
        for name, reason in scan.broken:
            self._once(f"{name}: not evaluated: {reason}")
            names.add(name)
        names |= set(scan.changing)
        for name in sorted(self._pending - names - set(scan.same)):
            self._say(f"{name}: it has gone before it was evaluated")
            self._failed.pop(name, None)
        settled = {c.name for c in scan.ready if self._is_settled(c)}
        self._pending = names - settled
        known = {c.name: self._ledger.account(c.key) for c in scan.ready}
        new = [n for n, a in known.items() if a.is_done and n not in self._known_done]
        self._known_done.update(new)
        self._refused += [name for name in new if known[name].exit_code]
        if new:
            self._say(f"evaluated already: {', '.join(new)}")

    def _is_settled(self, candidate: Candidate) -> bool:
        """Whether nothing more is done about it."""
        account = self._ledger.account(candidate.key)
        return account.is_done or account.failures > self._policy.retries

    def _due(self, scan: Scan) -> Candidate | None:
        for candidate in scan.ready:
            account = self._ledger.account(candidate.key)
            if account.is_done:
                continue
            if account.failures > self._policy.retries:
                self._leave(candidate)
            elif self._is_wanted(candidate.name) and time.time() >= self._due_at(candidate):
                return candidate
        return None

    def _leave(self, candidate: Candidate) -> None:
        if candidate.name not in self._failed:
            self._failed[candidate.name] = None
        account = self._ledger.account(candidate.key)
        self._once(
            f"{candidate.name}: left after {account.failures} failed tries, the last with exit "
            f"code {account.exit_code} (see {self._evaluator.log_of(candidate)}); "
            "--retry-failed tries again"
        )

    def _due_at(self, candidate: Candidate) -> float:
        account = self._ledger.account(candidate.key)
        if not account.failures:
            return 0.0
        return account.failed_at + self._policy.retry_pause_s * 2.0 ** (account.failures - 1)

    def _is_wanted(self, name: str) -> bool:
        return not self._policy.once or self._first is None or name in self._first

    def _is_over(self, scan: Scan, has_writer_ended: bool) -> bool:
        if not (self._policy.once or has_writer_ended):
            return False
        waiting = [c.name for c in scan.ready if not self._is_settled(c)]
        if any(map(self._is_wanted, (*waiting, *scan.changing))):
            return False
        for name, _ in scan.broken:
            if self._is_wanted(name):
                self._failed[name] = None
        return True

    def _evaluate(self, candidate: Candidate) -> None:
        self._say(f"{candidate.name}: evaluating; log: {self._evaluator.log_of(candidate)}")
        code = self._evaluator.run(candidate, self._ledger, self._stop)
        if code == LEFT_RUNNING:
            self._say(f"{candidate.name}: its evaluation is still ending")
            return
        has_gone = candidate.folder is not None and not candidate.folder.exists()
        is_done = code in EVALUATED
        is_failure = not is_done and not self._stop.is_asked and not has_gone
        self._ledger.ended(candidate.key, candidate.name, code, is_failure)
        if is_done:
            self._evaluated.append(candidate.name)
            self._known_done.add(candidate.name)
            self._pending.discard(candidate.name)
            self._say(f"{candidate.name}: evaluated{self._gate_words(candidate, code)}")
            self._source.finished(candidate)
        elif has_gone:
            self._pending.discard(candidate.name)
            self._say(f"{candidate.name}: it has gone while it was evaluated (exit code {code})")
        elif is_failure:
            self._tell_failure(candidate, code)
        else:
            self._say(f"{candidate.name}: interrupted; next time it goes on where it stopped")

    def _gate_words(self, candidate: Candidate, code: int) -> str:
        if code == EXIT_OK:
            return ""
        self._refused.append(candidate.name)
        return f"; the gate does not let it pass (exit code {code})"

    def _tell_failure(self, candidate: Candidate, code: int) -> None:
        account = self._ledger.account(candidate.key)
        text = f"{candidate.name}: failed with exit code {code}"
        if account.failures > self._policy.retries:
            self._say(text)
            self._leave(candidate)
            return
        pause = self._due_at(candidate) - time.time()
        left = self._policy.retries - account.failures + 1
        self._say(f"{text}; next try in {pause:.0f} s, at most {left} more")

    def _sleep(self, scan: Scan | None) -> None:
        pause = self._policy.poll_s
        for candidate in scan.ready if scan else ():
            if not self._is_settled(candidate) and self._is_wanted(candidate.name):
                pause = min(pause, max(0.0, self._due_at(candidate) - time.time()))
        until = time.monotonic() + pause
        had_ended = self._has_writer_ended()
        while (left := until - time.monotonic()) > 0 and not self._stop.is_asked:
            self._stop.sleep(min(left, _PROCESS_TICK_S))
            if not had_ended and self._has_writer_ended():
                return

    def _once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._say(text)
