"""Benchmarks by themselves when a transformers ``Trainer`` has trained, also TRL's.

    from ftbench.hooks import BenchmarkCallback
    trainer = Trainer(..., callbacks=[BenchmarkCallback(datasets=["mmlu", "gsm8k"])])

The callback does little: it notes beside each checkpoint, and in the output folder, which training
run wrote it at which step (``sidecar``), and starts one process that evaluates (``following``).
A wrong argument is an error when the callback is made; later nothing that goes wrong here reaches
the training. docs/callback.md has LLaMA-Factory and axolotl, and what happens when.
"""

from __future__ import annotations

import functools
import logging
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ftbench.checkpoint import holds_adapter
from ftbench.checkpoint.kept import keep
from ftbench.following import (
    Wishes,
    check_settings,
    ends_with_its_job,
    follow_command,
    follower_environment,
    log_file,
    start_follower,
)
from ftbench.sidecar import Sidecar, write_sidecar
from ftbench.tracking.active import ActiveRun, active_run, note_output_dir

try:
    from transformers import TrainerCallback
except ImportError as exc:
    raise ImportError(
        "ftbench.hooks is for a Python that trains with transformers, and this one has none: "
        "pip install transformers, or evaluate with python -m ftbench.run model.adapter=DIR"
    ) from exc

_LOG = logging.getLogger(__name__)

_Event = Callable[..., None]


def _never_failing(event: _Event) -> _Event:
    """Turns an error of the callback into a warning: training goes on, whatever happens here."""

    @functools.wraps(event)
    def guarded(
        self: BenchmarkCallback, args: Any, state: Any, control: Any, **kwargs: Any
    ) -> None:
        # One process of a distributed training speaks for all.
        if not state.is_world_process_zero:
            return
        if getattr(state, "is_hyper_param_search", False):
            if event.__name__ == "on_train_begin":
                _LOG.warning("ftbench: the trials of a hyperparameter search are not evaluated")
            return
        try:
            event(self, args, state, control, **kwargs)
        except Exception as exc:
            # The top of what ftbench does in this process.
            _LOG.warning("ftbench: %s: %s: %s", event.__name__, type(exc).__name__, exc)

    return guarded


class BenchmarkCallback(TrainerCallback):  # type: ignore[misc]
    """Evaluates the trained model on benchmarks, in a process of its own.

    Args:
        datasets: Names as in ``python -m ftbench.datasets``, also files such as ``./quiz.jsonl``.
        settings: Further settings as on ftbench's command line: ``["limit=100", "suite=core"]``.
        at: ``end``: the final model; ``checkpoints``: each checkpoint; ``both``.
        every: Only checkpoints whose step is a multiple of it; None: every checkpoint.
        gpu_ids: GPUs to evaluate on while the training goes on, ``[]`` for CPU only. None: wait
            until the training's process has ended, and its GPU memory is free.
        workspace: Folder for everything that the evaluations write.
        python: Interpreter that evaluates, where ftbench is not to run in this one.

    Raises:
        ConfigError: An argument or setting is wrong; in the first process of a training only.

    Side effects: see ``following.start_follower``, ``sidecar.write_sidecar`` and
        ``checkpoint.kept.keep``.
    """

    def __init__(
        self,
        datasets: Sequence[str] = (),
        *,
        settings: Sequence[str] = (),
        at: str = "end",
        every: int | None = None,
        gpu_ids: Sequence[int | str] | None = None,
        workspace: str | os.PathLike[str] | None = None,
        python: str | os.PathLike[str] = "",
    ) -> None:
        self._wishes = Wishes(
            datasets=(datasets,) if isinstance(datasets, str) else tuple(datasets),
            settings=(settings,) if isinstance(settings, str) else tuple(settings),
            at=at,
            every=every,
            gpu_ids=None if gpu_ids is None else tuple(map(str, gpu_ids)),
            workspace=None if workspace is None else os.fspath(workspace),
            python=os.fspath(python),
        )
        self._run = ActiveRun()
        self._base = ""
        self._began = 0.0
        self._followers: dict[Path, subprocess.Popen[bytes]] = {}
        if os.environ.get("RANK", "0") == "0":
            check_settings(self._wishes, os.environ, Path.cwd())

    @_never_failing
    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Finds the training run and the base model."""
        self._began = time.time()
        self._base = _base_of(kwargs.get("model"))
        self._run = ActiveRun()
        self._find_run(args)

    @_never_failing
    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Notes beside a checkpoint where it comes from, and has it evaluated if it is wanted."""
        checkpoint = _output_dir(args) / f"checkpoint-{state.global_step}"
        if not checkpoint.is_dir():
            raise FileNotFoundError(f"{checkpoint} is not there: it is not evaluated")
        self._find_run(args)
        self._mark(checkpoint, state.global_step)
        if not self._wishes.takes_checkpoint(state.global_step):
            return
        if args.save_total_limit:
            self._keep(checkpoint, args.save_total_limit)
        self._follow(args)

    @_never_failing
    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Notes in the output folder where the final model, saved after this, comes from."""
        self._find_run(args)
        self._mark(_output_dir(args), state.global_step)
        self._follow(args)

    def _find_run(self, args: Any) -> None:
        # After the training MLflow's own callback has closed the run: what was found stays.
        if not self._run.run_id:
            self._run = active_run(os.environ, Path.cwd())
            note_output_dir(self._run, _output_dir(args))

    def _mark(self, folder: Path, global_step: int) -> None:
        sidecar = Sidecar(
            run_id=self._run.run_id,
            tracking_uri=self._run.tracking_uri,
            experiment_id=self._run.experiment_id,
            global_step=global_step,
            base_model=self._base,
            written_at=time.time(),
        )
        write_sidecar(folder, sidecar)

    def _keep(self, checkpoint: Path, limit: int) -> None:
        if holds_adapter(checkpoint):
            keep(checkpoint)
            return
        _LOG.warning(
            "ftbench: %s is a full model: it is not evaluated when save_total_limit=%d deletes it "
            "before its turn",
            checkpoint,
            limit,
        )

    def _follow(self, args: Any) -> None:
        """Starts the process that evaluates, once for each output folder."""
        output_dir, cwd = _output_dir(args), Path.cwd()
        log = log_file(output_dir)
        running = [f for f in self._followers.values() if f.poll() is None]
        mine = self._followers.get(output_dir)
        if mine in running:
            return
        if mine is not None:
            _LOG.warning("ftbench: evaluation ended with exit code %s: %s", mine.returncode, log)
        # Of two trainings in one process, the second is evaluated after the first.
        pids = [os.getpid(), *(f.pid for f in running)]
        command = follow_command(self._wishes, output_dir, pids, self._began)
        environment = follower_environment(self._wishes, self._run, os.environ)
        self._followers[output_dir] = start_follower(command, environment, cwd, log)
        when = "while it trains" if self._wishes.at_once else "when this process has ended"
        print(f"ftbench: {output_dir} is evaluated {when}; log: {log}", flush=True)
        job = ends_with_its_job(os.environ, os.getpid())
        if job and not self._wishes.at_once:
            _LOG.warning(
                "ftbench: %s ends with the training, and the evaluation with it; "
                "python -m ftbench.run training.command='...' evaluates inside it",
                job,
            )


def _output_dir(args: Any) -> Path:
    return Path(args.output_dir).absolute()


def _base_of(model: Any) -> str:
    """Name or folder of the model that is trained on, a folder as an absolute path."""
    configs = getattr(model, "peft_config", None)
    name = getattr(next(iter(configs.values())), "base_model_name_or_path", "") if configs else ""
    name = name or getattr(getattr(model, "config", None), "_name_or_path", "") or ""
    return str(Path(name).absolute()) if name and Path(name).is_dir() else str(name)
