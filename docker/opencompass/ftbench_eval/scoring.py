"""Scores finished subsets beside inference, each in a process that can be killed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import signal
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import forkserver
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from ftbench.judge_client import JudgeClient
from ftbench.schema import Reason
from ftbench_eval.judge_service import JudgeDesk
from ftbench_eval.program_host import remove_tree
from ftbench_eval.reasons import LOG
from ftbench_eval.scoring_child import ScoringJob, score_subset

_LARGEST_RESULT = 2 << 30


class Scorer:
    """Runs scoring processes, at most a number at a time.

    Args:
        scratch: Folder for their working folders.
        workers: Processes at a time.
        timeout_s: Seconds that one subset may take.
        on_scored: Called in a thread of ours when a process is done, with the subset's abbr and
            the reason why it failed, or None.
        judge: Asks the judge model, or None. The processes get neither its key nor a network.
        hidden: Files and folders that no scoring process may read: secrets.
    """

    def __init__(
        self,
        scratch: Path,
        workers: int,
        timeout_s: float,
        on_scored: Callable[[str, Reason | None], None],
        judge: JudgeClient | None = None,
        hidden: Sequence[Path] = (),
    ) -> None:
        self._judge = judge
        self._scratch = scratch
        self._hidden = tuple(hidden)
        self._timeout_s = timeout_s
        self._on_scored = on_scored
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="scoring")
        self._futures: list[Future[None]] = []
        self._running: set[int] = set()
        self._lock = threading.Lock()
        self._stopped = False
        self._context = multiprocessing.get_context("forkserver")

    def submit(
        self,
        abbr: str,
        config: Mapping[str, Any],
        judged_samples: int = 0,
        network: bool = False,
    ) -> None:
        """Queues a subset whose predictions are written.

        Args:
            abbr: Its name.
            config: OpenCompass task config with one model and one dataset.
            judged_samples: Samples that the judge may be asked about; 0: it is not asked.
            network: A service outside scores it.
        """
        self._futures.append(
            self._pool.submit(self._run, abbr, dict(config), judged_samples, network)
        )

    def wait(self) -> None:
        """Waits until everything that was submitted is scored and reported.

        Raises:
            Exception: Whatever ``on_scored`` raised.
        """
        for future in self._futures:
            future.result()
        self._pool.shutdown()

    def kill(self) -> None:
        """Kills every running scoring process and what it started; nothing is reported any more."""
        self._stopped = True
        # Without the lock, which a start may hold for seconds while the fork server imports.
        for pid in list(self._running):
            _kill_session(pid)
            _kill(pid)

    def _run(self, abbr: str, config: dict[str, Any], judged_samples: int, network: bool) -> None:
        folder = Path(tempfile.mkdtemp(prefix="scoring-", dir=self._scratch))
        desk = None
        if judged_samples and self._judge is not None:
            desk = JudgeDesk(self._judge, judged_samples)
        line = None if desk is None else desk.line
        parents = (os.getpid(), _fork_server_pid())
        job = ScoringJob(config, folder, self._hidden, parents, line, network)
        process = self._context.Process(target=score_subset, args=(job,))
        try:
            reason = self._watch(process, job, desk)
            if reason is None:
                take_result(job)
        except OSError as exc:
            reason = Reason("scoring", f"the result could not be taken over: {exc}", LOG)
        finally:
            remove_tree(folder)
        if not self._stopped:
            self._on_scored(abbr, reason)

    def _watch(
        self, process: ForkServerProcess, job: ScoringJob, desk: JudgeDesk | None
    ) -> Reason | None:
        with self._lock:
            process.start()
            assert process.pid is not None
            self._running.add(process.pid)
        if desk is not None:
            desk.open()
        timed_out = not self._ends_in_time(process.sentinel, desk)
        with self._lock:
            # Also after a normal end: a benchmark's program may have left children behind.
            _kill_session(process.pid)
            if timed_out:
                _kill(process.pid)
            # Under the lock: start() of another process asks after this one too, and of two
            # readers of one exit code the second gets an end of file (Python 3.11).
            process.join()
            self._running.discard(process.pid)
        if timed_out:
            message = f"scoring took longer than {self._timeout_s:.0f} s"
            return Reason("scoring_timeout", message, LOG)
        if job.error.is_file():
            kind, _, message = (
                _read_own(job.error, job.scratch, 1 << 20).decode().strip().partition("\n")
            )
            return Reason(kind, message, LOG)
        if process.exitcode:
            return Reason("scoring", f"the scoring process {_how(process.exitcode)}", LOG)
        return None

    def _ends_in_time(self, sentinel: int, desk: JudgeDesk | None) -> bool:
        """Waits for the end of a process; its time does not run while the judge thinks."""
        deadline = time.monotonic() + self._timeout_s
        while True:
            asking_s = 0.0 if desk is None else desk.asking_s
            left = deadline + asking_s - time.monotonic()
            if left <= 0:
                return False
            # The rest stands still as long as the judge thinks: looking more often is in vain.
            if wait([sentinel], left if desk is None else max(left, 0.5)):
                return True


def take_result(job: ScoringJob) -> None:
    """Moves a scoring process's result, and a judge's transcripts, into the run folder.

    Raises:
        OSError: One is no plain file of a sane size.
    """
    if not job.result.parent.is_dir():
        return
    own = re.compile(re.escape(job.result.stem) + r"(_llm_judge)?(_replica\d+)?\.json")
    for path in sorted(job.result.parent.iterdir()):
        if own.fullmatch(path.name):
            content = _read_own(path, job.scratch, _LARGEST_RESULT)
            job.results.mkdir(parents=True, exist_ok=True)
            temporary = job.results / f".{path.name}.part"
            temporary.write_bytes(content)
            temporary.replace(job.results / path.name)


def _read_own(path: Path, scratch: Path, largest: int) -> bytes:
    """The content of a file that a confined process left; follows no link that it made."""
    parent = Path(os.path.realpath(scratch), path.parent.relative_to(scratch))
    if Path(os.path.realpath(path.parent)) != parent:
        raise OSError(f"{path.parent} is reached through a link")
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > largest:
            raise OSError(f"{path} is no plain file, or too large")
        return file.read()


def _fork_server_pid() -> int:
    return int(getattr(forkserver._forkserver, "_forkserver_pid", 0) or 0)


def _how(exit_code: int) -> str:
    if exit_code > 0:
        return f"ended with exit code {exit_code}"
    return f"was killed by {signal.Signals(-exit_code).name}"


def _kill_session(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _kill(pid: int) -> None:
    # For a process so young that it does not lead a session yet.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
