"""The process that evaluates what a training leaves: its command, its environment, its start.

Evaluation never runs in the trainer's process. What is started here is ``ftbench.watch``, in a
session of its own, so that it survives the trainer, its launcher and the terminal. Whoever trains
(``ftbench.hooks``) waits for nothing here but the check of the settings, before the training.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ftbench.checkpoint.kept import OWN_FOLDER
from ftbench.errors import ConfigError, Problem
from ftbench.quoting import quoted
from ftbench.tracking.active import ActiveRun
from ftbench.tracking.environment import PASSWORD, USERNAME
from ftbench.uris import strip_credentials

AT = ("end", "checkpoints", "both")
"""When a model is evaluated."""

_TAKE = {"end": "final", "checkpoints": "checkpoints", "both": "both"}
"""In the words of ``ftbench.watch``."""

_CHECK_TIMEOUT_S = 120

_OF_THE_TRAINER = re.compile(
    r"((LOCAL_|GROUP_|ROLE_)?(RANK|WORLD_SIZE)|ROLE_NAME|MASTER_(ADDR|PORT)|TORCHELASTIC_\w+|"
    r"ACCELERATE_\w+|FSDP_\w+|MLFLOW_RUN_ID|_?MLFLOW_ACTIVE_MODEL_ID|FTBENCH_TRAINING_MARK)"
)
"""Variables that make a process one of a distributed training, or its records those of the
training run. Source: torch 2.13 ``torchrun``, accelerate 1.15 ``launch``, mlflow 3.17."""

_OF_A_PYTHON = ("PYTHONPATH", "PYTHONHOME")


@dataclass(frozen=True)
class Wishes:
    """What a user asks of the callback.

    Attributes:
        datasets: Dataset names, also files of the user's own.
        settings: Further settings as on ftbench's command line, such as ``limit=100``.
        at: One of ``AT``.
        every: Only checkpoints whose step is a multiple of it; None: every checkpoint.
        gpu_ids: GPUs to evaluate on while the training goes on, empty for none (CPU); None: the
            GPUs of the training, when its process has ended.
        workspace: Folder for everything that the evaluations write; None: ftbench's default.
        python: Interpreter that has ftbench; empty: this one.
    """

    datasets: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    at: str = "end"
    every: int | None = None
    gpu_ids: tuple[str, ...] | None = None
    workspace: str | None = None
    python: str = ""

    @property
    def interpreter(self) -> str:
        return self.python or sys.executable

    @property
    def at_once(self) -> bool:
        """Evaluations need not wait for the GPUs of the training."""
        return self.gpu_ids is not None

    def takes_checkpoint(self, global_step: int) -> bool:
        """Whether the checkpoint of a step is evaluated."""
        return self.at != "end" and global_step % (self.every or 1) == 0

    def overrides(self) -> list[str]:
        """All of it in ftbench's settings, without the credentials of a tracker."""
        own = []
        if self.datasets:
            own.append(f"datasets=[{','.join(map(quoted, self.datasets))}]")
        if self.gpu_ids:
            own.append(f"runtime.gpu_ids=[{','.join(map(quoted, self.gpu_ids))}]")
        elif self.at_once:
            own.append("runtime.num_gpus=0")
        if self.workspace is not None:
            own.append(f"workspace={quoted(self.workspace)}")
        return [*own, *(strip_credentials(setting)[0] for setting in self.settings)]


def wrong_wishes(wishes: Wishes) -> list[Problem]:
    """What is wrong with the callback's own arguments; the settings are checked by themselves."""
    problems = []
    if wishes.at not in AT:
        problems.append(Problem(f"at={wishes.at!r}", f"must be one of {', '.join(AT)}"))
    if wishes.every is not None and wishes.every < 1:
        problems.append(Problem(f"every={wishes.every}", "must be at least 1 step"))
    if wishes.every is not None and wishes.at == "end":
        problems.append(
            Problem("every", "chooses checkpoints, and at='end' evaluates none", "at='both'")
        )
    return problems


def check_settings(wishes: Wishes, environ: Mapping[str, str], cwd: Path) -> None:
    """Lets the interpreter that will evaluate check the settings, before anything is trained.

    Args:
        wishes: What the user asked for.
        environ: Environment variables of this process.
        cwd: Folder that relative paths start from.

    Raises:
        ConfigError: Everything that is wrong, such as a dataset that there is not.
    """
    problems = wrong_wishes(wishes)
    if problems:
        raise ConfigError(problems)
    command = [*_watch(wishes), str(cwd), "--check", *wishes.overrides()]
    tried = f"{wishes.interpreter} -m ftbench.watch --check"
    try:
        checked = subprocess.run(
            command,
            env=follower_environment(wishes, ActiveRun(), environ),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_CHECK_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        cure = "python=PATH of an interpreter that has ftbench"
        raise ConfigError(Problem(tried, str(exc), cure)) from exc
    if checked.returncode:
        said = checked.stderr.strip().removeprefix(f"{ConfigError.title}\n")
        raise ConfigError(Problem("BenchmarkCallback", said or f"{tried} failed"))


def follow_command(
    wishes: Wishes, output_dir: Path, pids: Sequence[int], since: float
) -> list[str]:
    """The command that evaluates what a training leaves.

    Args:
        wishes: What the user asked for.
        output_dir: The trainer's output folder, absolute.
        pids: The process that trains, and others that hold its GPUs.
        since: Beginning of the training, seconds since the epoch; older models are not its own.
    """
    flag = "--until-exit-of" if wishes.at_once else "--after-exit-of"
    waits = [argument for pid in pids for argument in (flag, str(pid))]
    chosen = ["--take", _TAKE[wishes.at], "--only-marked", "--since", f"{since:.3f}"]
    if wishes.every is not None:
        chosen += ["--every", str(wishes.every)]
    return [*_watch(wishes), str(output_dir), *waits, *chosen, *wishes.overrides()]


def follower_environment(
    wishes: Wishes, run: ActiveRun, environ: Mapping[str, str]
) -> dict[str, str]:
    """The environment of the process that evaluates.

    Args:
        wishes: What the user asked for.
        run: The training's; its tracker is where the scores go.
        environ: Environment variables of this process.

    Returns:
        This process's own without what belongs to the trainer; credentials of the tracker stand in
        MLflow's own variables.
    """
    env = {k: v for k, v in environ.items() if not _OF_THE_TRAINER.fullmatch(k)}
    if wishes.interpreter != sys.executable:
        env = {name: value for name, value in env.items() if name not in _OF_A_PYTHON}
    if run.tracking_uri:
        env["MLFLOW_TRACKING_URI"] = run.tracking_uri
    logins = [(run.user, run.password)]
    logins += [strip_credentials(s)[1:] for s in wishes.settings if "tracking.uri=" in s]
    for user, password in logins:
        if user:
            env[USERNAME] = user
        if password:
            env[PASSWORD] = password
    return env


def log_file(output_dir: Path) -> Path:
    """Where the process that evaluates says what it does."""
    return output_dir / OWN_FOLDER / "watch.log"


def start_follower(
    command: Sequence[str], environment: Mapping[str, str], cwd: Path, log: Path
) -> subprocess.Popen[bytes]:
    """Starts the process that evaluates, and waits for nothing.

    Raises:
        OSError: It cannot be started.

    Side effects: appends to ``log``. The process has no terminal and a session of its own: it
        outlives this one, a hang-up, and a launcher that ends its process group.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        out.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
        out.flush()
        return subprocess.Popen(
            list(command),
            env=dict(environment),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def ends_with_its_job(environ: Mapping[str, str], pid: int) -> str:
    """What ends every process when the training ends, such as a batch job; empty: nothing known.

    Args:
        environ: Environment variables of the trainer.
        pid: Its process id.
    """
    if environ.get("SLURM_JOB_ID"):
        return "this Slurm job"
    if pid == 1 or environ.get("KUBERNETES_SERVICE_HOST"):
        return "this container"
    return ""


def _watch(wishes: Wishes) -> list[str]:
    # -P: a folder or file in the trainer's cwd must not stand in for a module of that name.
    return [wishes.interpreter, "-P", "-m", "ftbench.watch"]
