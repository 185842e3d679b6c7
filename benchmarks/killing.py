"""Kills an evaluation at random moments, again and again, and sees what that did to its result.

The model counts what it is asked (``counted_model``), in whatever program and runtime: what
is asked more often than in an undisturbed run was computed twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from ftbench.schema import RunFiles, read_result
from ftbench.workspace import RUNS

LAUNCHER, PROGRAM, BOTH = "launcher", "program", "both"

JOURNAL = "answers.jsonl"
"""As ``ftbench_eval.stream.journal.NAME``."""

_MODEL_CODE = Path(__file__).parent / "counted_model" / "modeling_counted.py"

_PATIENCE_S = 900.0
"""How long one command may take, in seconds."""


def make_counted_model(base: Path, folder: Path, delay_s: float, stop_after: int = 0) -> Path:
    """Copies a Qwen2 checkpoint and gives it the code that counts.

    Args:
        base: The checkpoint.
        folder: Receives the copy; must not exist.
        delay_s: Seconds that each batch takes at least.
        stop_after: Batches after which it waits for a file ``go`` in the run folder; 0: never.
    """
    shutil.copytree(base, folder)
    shutil.copy(_MODEL_CODE, folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["auto_map"] = {"AutoModelForCausalLM": "modeling_counted.CountedForCausalLM"}
    config["architectures"] = ["CountedForCausalLM"]
    config["counted_delay_s"] = delay_s
    config["counted_stop_after"] = stop_after
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    return folder


def write_race(folder: Path, rows: int) -> None:
    """Writes two subsets of made-up questions, which a preset asks by choice and by likelihood.

    Source of the format: opencompass/datasets/race.py, 0.5.4.

    Args:
        folder: Receives ``data/race``.
        rows: Of each subset.
    """
    for split in ("validation", "test"):
        for name in ("middle", "high"):
            questions = [
                {
                    "article": f"Ann of the {name} school has {i} cats." + " They sleep." * (i % 5),
                    "question": "How many?",
                    "options": [str(i + j) for j in range(4)],
                    "answer": "ABCD"[i * i % 4],
                }
                for i in range(rows)
            ]
            path = folder / "data" / "race" / split / f"{name}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(q) + "\n" for q in questions), encoding="utf-8")


@dataclass(frozen=True)
class Evaluation:
    """One command, with a workspace, a tracking store and temporary files of its own.

    Another evaluation of the same fingerprint must not answer for it.

    Attributes:
        command: What is run, without ``workspace=`` and ``tracking.uri=``.
        folder: Holds ``workspace``, ``mlflow.db`` and ``printed.log``.
    """

    command: tuple[str, ...]
    folder: Path

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def temporary(self) -> Path:
        """Where its commands put temporary files; short, for sockets have short paths."""
        digest = hashlib.sha256(str(self.folder).encode()).hexdigest()
        return Path("/tmp") / f"kills-{digest[:8]}"

    @property
    def files(self) -> RunFiles | None:
        """The only run folder; None before there is one."""
        found = sorted(path for path in (self.workspace / RUNS).glob("*/") if path.is_dir())
        assert len(found) <= 1, f"one evaluation has made {len(found)} run folders"
        return RunFiles(found[0]) if found else None

    @property
    def asked(self) -> list[list[str]]:
        """The rows of every batch that the model was asked."""
        files = self.files
        path = files.root / "asked.jsonl" if files else None
        if path is None or not path.is_file():
            return []
        lines = path.read_text("utf-8").split("\n")[:-1]
        return [json.loads(line)["rows"] for line in lines]

    def start(self) -> subprocess.Popen[bytes]:
        """Starts the command; what it prints goes to ``printed.log``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.temporary.mkdir(exist_ok=True)
        with (self.folder / "printed.log").open("ab") as log:
            return subprocess.Popen(
                [
                    *self.command,
                    f"workspace={self.workspace}",
                    f"tracking.uri=sqlite:///{self.folder / 'mlflow.db'}",
                ],
                cwd=self.folder,
                env={**os.environ, "TMPDIR": str(self.temporary)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def printed(self) -> str:
        """Everything that the commands printed."""
        return (self.folder / "printed.log").read_text("utf-8", "replace")

    def run(self) -> int:
        """Runs the command to its end; gives its exit code."""
        return self.start().wait(_PATIENCE_S)

    def programs(self) -> list[int]:
        """Processes of the evaluation program, by the folder that they write into."""
        wanted = f"OUTPUT_PATH={self.workspace}/".encode()
        return [pid for pid, environ in _environments() if wanted in environ]

    def containers(self) -> list[str]:
        """Ids of the containers of this workspace, whatever their state."""
        if shutil.which("docker") is None:
            return []
        label = f"label=org.ftbench.workspace={self.workspace}"
        command = ["docker", "ps", "--all", "--quiet", "--filter", label]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()


@dataclass(frozen=True)
class Kill:
    """One kill.

    Attributes:
        target: LAUNCHER, PROGRAM or BOTH, as it was drawn.
        moment: In words.
        asked: Batches that the model had been asked before.
        hit: What was there to kill.
    """

    target: str
    moment: str
    asked: int
    hit: tuple[str, ...]


@dataclass
class Killer:
    """Kills one evaluation until it has been killed often enough, then lets it end.

    Args:
        evaluation: Not started.
        kills: How many.
        batches: That an undisturbed run asks.
        seed: Of all that is drawn; the same seed draws the same.
        say: Receives a line per kill.
    """

    evaluation: Evaluation
    kills: int
    batches: int
    seed: int
    say: Callable[[str], None] = print
    done: list[Kill] = field(default_factory=list)
    endings: list[int] = field(default_factory=list)

    def run(self) -> int:
        """Kills and starts again; gives the exit code of the last command, which ends by itself."""
        while len(self.done) < self.kills:
            ended = self._kill_once(len(self.done))
            if ended is not None:
                return ended
        return self.evaluation.run()

    def _kill_once(self, number: int) -> int | None:
        """One start and one kill; the exit code when the command ended well before it."""
        draw = random.Random(f"{self.seed}.{number}")
        target = draw.choice([LAUNCHER, PROGRAM, BOTH])
        # What an earlier launcher left goes on asking until this one stops it: no moment of its.
        left_over = set(self.evaluation.programs())
        process = self.evaluation.start()
        moment = self._wait_for_moment(draw, number, process, left_over)
        if process.poll() == 0:
            return 0
        if target == PROGRAM and set(self.evaluation.programs()) <= left_over:
            # The launcher would only go on, to the end, with a program of its own.
            target = BOTH
        before = len(self.evaluation.asked)
        hit = self._strike(target, process)
        kill = Kill(target, moment, before, hit)
        self.done.append(kill)
        self.say(
            f"kill {number + 1}: {target} {moment}, after {before} batches: "
            f"{', '.join(hit) or 'nothing was there'}"
        )
        if process.poll() is None and LAUNCHER not in hit:
            # A launcher whose program is killed has to end by itself.
            self.endings.append(process.wait(_PATIENCE_S))
        return None

    def _wait_for_moment(
        self,
        draw: random.Random,
        number: int,
        process: subprocess.Popen[bytes],
        left_over: set[int],
    ) -> str:
        left = self.kills - number
        start, what = draw.random(), draw.random()
        asked = len(self.evaluation.asked)
        remaining = self.batches - asked
        if what < 0.25:
            seconds = start * 12
            _wait(lambda: process.poll() is not None, seconds)
            return f"{seconds:.1f} s after the start"
        if remaining <= 0 or left == 1:
            # Nothing is left to ask: scoring, collecting and recording are hit.
            _wait(lambda: process.poll() is not None or self._has_ended(self.batches), _PATIENCE_S)
            seconds = start * 4
            _wait(lambda: process.poll() is not None, seconds)
            return f"{seconds:.1f} s after the last batch"
        # On average what is left is spread evenly over the kills that are left.
        wanted = asked + 1 + int(start * min(remaining - 1, 2 * remaining / left))

        def has_come() -> bool:
            if len(self.evaluation.asked) < wanted:
                return False
            return not left_over & set(self.evaluation.programs())

        _wait(lambda: process.poll() is not None or has_come(), _PATIENCE_S)
        seconds = draw.random() * 0.5
        _wait(lambda: process.poll() is not None, seconds)
        return f"{seconds:.1f} s into batch {wanted}"

    def _has_ended(self, batches: int) -> bool:
        files = self.evaluation.files
        if files is None:
            return False
        with contextlib.suppress(OSError, ValueError):
            progress = read_result(files.progress)
            subsets = [s for dataset in progress.datasets for s in dataset.subsets]
            asked = bool(subsets) and all(s.completed >= s.expected > 0 for s in subsets)
            return progress.stage in ("running", "done") and asked
        return False

    def _strike(self, target: str, process: subprocess.Popen[bytes]) -> tuple[str, ...]:
        hit = []
        if target in (LAUNCHER, BOTH) and process.poll() is None:
            process.kill()
            process.wait()
            hit.append(LAUNCHER)
        if target in (PROGRAM, BOTH):
            hit += self._strike_program()
        if not hit and process.poll() is None:
            # The program is not there yet, or not any more.
            return self._strike(LAUNCHER, process)
        return tuple(hit)

    def _strike_program(self) -> list[str]:
        """The local program's whole session, or the container."""
        containers = self.evaluation.containers()
        for container in containers:
            command = ["docker", "kill", "--signal", "KILL", container]
            subprocess.run(command, capture_output=True, check=False)
        if containers:
            return ["container"]
        programs = self.evaluation.programs()
        for pid in programs:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return [f"{len(programs)} processes"] if programs else []


@dataclass(frozen=True)
class Damage:
    """How a killed evaluation differs from an undisturbed one.

    Attributes:
        differing: Files of predictions, results and samples that are not the same bytes.
        scores_differ: The unrounded scores of the summary are others.
        asked_again: Rows that the model was asked more often.
        bound: Of ``asked_again``: one batch per kill.
        leftovers: What is still there, in words.
    """

    differing: tuple[str, ...]
    scores_differ: bool
    asked_again: int
    bound: int
    leftovers: tuple[str, ...]

    @property
    def is_none(self) -> bool:
        """Nothing is lost, done twice or left behind."""
        within = self.asked_again <= self.bound
        return not self.differing and not self.scores_differ and within and not self.leftovers


def damage(killed: Evaluation, undisturbed: Evaluation, kills: int, batch_size: int) -> Damage:
    """Compares two evaluations that have ended."""
    ours, theirs = killed.files, undisturbed.files
    assert ours is not None and theirs is not None
    again = rows_asked_again(killed.asked, undisturbed.asked)
    return Damage(
        differing=tuple(differing_files(ours.root, theirs.root)),
        scores_differ=_scores(ours) != _scores(theirs),
        asked_again=again,
        bound=kills * batch_size,
        leftovers=tuple(leftovers(killed)),
    )


def rows_asked_again(killed: Sequence[list[str]], undisturbed: Sequence[list[str]]) -> int:
    """Rows beyond those of the undisturbed run; each batch is a list of rows."""
    asked = Counter(row for batch in killed for row in batch)
    once = Counter(row for batch in undisturbed for row in batch)
    assert asked.keys() == once.keys(), "the two runs did not ask the same rows"
    missing = once - asked
    assert not missing, f"{sum(missing.values())} rows were never asked"
    return sum((asked - once).values())


def differing_files(ours: Path, theirs: Path) -> list[str]:
    """Files of predictions, results and samples that are not the same bytes in two run folders.

    Not the journal of answers, in which every start leaves a line.
    """
    found = []
    for kind in ("predictions", "results", "samples"):
        names = {
            path.relative_to(folder).as_posix()
            for folder in (ours, theirs)
            for path in (folder / kind).rglob("*")
            if path.is_file() and path.name != JOURNAL
        }
        found += [name for name in sorted(names) if _bytes(ours / name) != _bytes(theirs / name)]
    return found


def leftovers(evaluation: Evaluation) -> list[str]:
    """Processes, containers, temporary files and held locks of an evaluation that has ended."""
    found = [f"process {pid}" for pid in evaluation.programs()]
    found += [f"container {container}" for container in evaluation.containers()]
    for path in sorted(evaluation.temporary.glob("*")):
        # The file of a lock stays, by design: to remove it would let two hold it.
        if path.suffix != ".lock" or _is_held(path):
            found.append(str(path))
    for path in sorted(evaluation.workspace.rglob("*")):
        if path.name.endswith(".tmp") or path.name.startswith("tmp_"):
            found.append(str(path.relative_to(evaluation.workspace)))
        elif path.name.endswith(".lock") and _is_held(path):
            found.append(f"{path.relative_to(evaluation.workspace)} is held")
    return found


def _scores(files: RunFiles) -> dict[str, tuple[str, float | None, int]]:
    result = read_result(files.summary)
    subsets = [s for dataset in result.datasets for s in dataset.subsets]
    return {s.abbr: (s.status, s.score, s.completed) for s in subsets}


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _is_held(path: Path) -> bool:
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def _environments() -> list[tuple[int, bytes]]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        # It may end while we look.
        with contextlib.suppress(OSError):
            found.append((int(folder.name), (folder / "environ").read_bytes()))
    return found


def _wait(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not holds():
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(f"run {Path(__file__).with_name('kills.py')}")
