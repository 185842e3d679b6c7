"""What is trained, decided from the configuration, and what is wrong with it beforehand."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ftbench.config import Config, ModelConf
from ftbench.errors import Problem
from ftbench.host import Host
from ftbench.model_source import ModelSource, locate_model
from ftbench.training_command import KEY, arguments_of, shown_command

FOLDER = "training"
"""Below the workspace: one folder for each training, named by its start."""


@dataclass(frozen=True)
class Training:
    """One training, complete: nothing is left to decide.

    Attributes:
        arguments: The command, one argument each.
        text: The command where it was given as a text.
        shown: The same as one line without secrets.
        cwd: Absolute folder that it runs in.
        output: Absolute folder that it writes its adapter, or full model, into.
        named: ``output`` as the configuration says it.
        is_adapter: It writes an adapter; False: a full model.
        timeout_s: Seconds that it may take; 0: no limit.
        grace_s: Seconds from the request to stop to the kill.
        folder: Absolute folder for its log and, when it fails, its report.
    """

    arguments: tuple[str, ...] = field(repr=False)
    text: str = field(repr=False)
    shown: str
    cwd: Path
    output: Path
    named: str
    is_adapter: bool
    timeout_s: int
    grace_s: int
    folder: Path

    @property
    def log(self) -> Path:
        """What it printed, without secrets."""
        return self.folder / "training.log"

    @property
    def key(self) -> str:
        """The key that names ``output``."""
        return "model.adapter" if self.is_adapter else "model.base"

    def describe(self) -> list[str]:
        """What would be run, one line each, for ``dry_run``."""
        limit = f"{self.timeout_s} s" if self.timeout_s else "no limit"
        return [
            self.shown,
            f"in {self.cwd}, timeout: {limit}",
            f"writes {self.output}, which decides the fingerprint and the run folder below",
        ]


def plan_training(config: Config, host: Host) -> Training:
    """Decides what is run.

    Args:
        config: A checked configuration with a ``training.command``.
        host: The surroundings.
    """
    conf, model = config.training, config.model
    named = model.adapter or model.base or ""
    arguments = arguments_of(conf.command)
    return Training(
        arguments=arguments,
        text=conf.command if isinstance(conf.command, str) else "",
        shown=shown_command(arguments, host.secrets.values()),
        cwd=host.path(conf.cwd or ".").resolve(),
        # Not resolved: the training may put a link of its own there.
        output=Path(os.path.normpath(host.path(named))),
        named=named,
        is_adapter=bool(model.adapter),
        timeout_s=conf.timeout or 0,
        grace_s=config.runtime.stop_grace,
        folder=_new_folder(host.path(config.workspace or "ftbench_workspace") / FOLDER),
    )


def _new_folder(parent: Path) -> Path:
    stamp = time.strftime("%Y%m%d_%H%M%S")
    # Jobs of a sweep start in the same second.
    names = [stamp, *(f"{stamp}_{n}" for n in range(1, 1000))]
    return next(path for name in names if not (path := parent / name).exists()).absolute()


def expected_model(
    training: Training, conf: ModelConf, host: Host, may_download: bool = True
) -> ModelSource:
    """What can be known of a model that is yet to be trained: its base, where one is named.

    Args:
        training: What will write it; what is wrong with that is a problem of the model.
        conf: The model part of the configuration.
        host: The surroundings.
        may_download: As of ``locate_model``.
    """
    problems = find_problems(training, os.environ)
    adapter = training.output if training.is_adapter else None
    if adapter is None or not conf.base:
        return ModelSource("", None, "", adapter, "", tuple(problems))
    # The training may bring a chat template of its own.
    base = dataclasses.replace(conf, adapter=None, type="auto")
    found = locate_model(base, host, may_download)
    return dataclasses.replace(found, adapter=adapter, problems=(*problems, *found.problems))


def find_problems(training: Training, environ: Mapping[str, str]) -> list[Problem]:
    """What would keep the training from being started, or from writing where it is looked for.

    Args:
        training: What is to be run.
        environ: Environment variables of the caller, for PATH.
    """
    if not training.cwd.is_dir():
        happened = "it is a file" if training.cwd.exists() else "there is no such folder"
        return [Problem(f"training.cwd={training.cwd}", happened, "training.cwd=DIR")]
    return [
        *_program_problems(training, environ),
        *_output_problems(training),
        *_path_problems(training),
    ]


def _program_problems(training: Training, environ: Mapping[str, str]) -> Iterator[Problem]:
    program = training.arguments[0]
    if os.sep in program:
        path = training.cwd / program
        if path.is_dir() or not os.access(path, os.X_OK):
            happened = "cannot be executed" if path.exists() else "there is no such file"
            yield Problem(KEY, f"{path}: {happened}", "the program's path, first in the command")
    elif shutil.which(program, path=environ.get("PATH")) is None:
        yield Problem(KEY, f"{program}: there is no such program", "its path, or mend PATH")


def _output_problems(training: Training) -> Iterator[Problem]:
    tried = f"{training.key}={training.named}"
    existing = next(p for p in (training.output, *training.output.parents) if p.exists())
    if not existing.is_dir():
        happened = f"the training cannot write there: {existing} is a file"
        yield Problem(tried, happened, f"{training.key}=DIR")
    elif not os.access(existing, os.W_OK | os.X_OK):
        happened = f"the training cannot write there: no permission in {existing}"
        yield Problem(tried, happened, f"{training.key}=DIR")


def _path_problems(training: Training) -> Iterator[Problem]:
    """A command that would write elsewhere than it is looked for: found out now, not afterwards."""
    named = training.named
    names = [a for a in training.arguments if a == named or a.endswith(f"={named}")]
    would_be = Path(os.path.normpath(training.cwd / named))
    if names and would_be != training.output and not Path(named).expanduser().is_absolute():
        happened = f"the command runs in {training.cwd}, so {named} in it is {would_be}"
        cure = f"{training.key}={would_be}"
        yield Problem(f"{training.key}={named}", happened, cure)
    is_split = named in training.text and len(named.split()) > 1
    if is_split and not any(named in argument for argument in training.arguments):
        happened = f"the spaces in {training.key} split it into several arguments"
        yield Problem(KEY, happened, f'quotes around it: --output_dir "${{{training.key}}}"')
