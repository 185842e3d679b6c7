"""The demonstration: ``python -m ftbench.demo``, or ``scripts/demo`` in a fresh clone.

Makes a tiny base model, trains a LoRA adapter on it under an MLflow training run, makes small mmlu
and gsm8k data in OpenCompass's formats, evaluates the adapter, and by that its base model, and says
whether it is better. Needs
no container engine, GPU or model hub. A second call finds everything done.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ftbench.compose import compose_config, override
from ftbench.delta_text import delta_table
from ftbench.demo.data import write_benchmarks, write_examples
from ftbench.demo.training import EXPERIMENT, ensure_trained
from ftbench.environment import ensure_environment
from ftbench.errors import FtbenchError
from ftbench.host import Host, command_line, read_host
from ftbench.outcome import Outcome
from ftbench.run import evaluate

DATASETS = "datasets=[mmlu,gsm8k]"

_MAX_THREADS = 4
"""Of the training, and at most half of the processors: enough for a model of this size. On a busy
machine of two, two threads took three times the processor time of one, and longer."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demonstration.

    Returns:
        0, or the exit code of what failed.
    """
    parser = argparse.ArgumentParser(prog="python -m ftbench.demo", description=__doc__)
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("demo_workspace"),
        help="receives models, data, scores and mlflow.db; default: demo_workspace",
    )
    folder = parser.parse_args(arguments).folder.absolute()
    console = Console()
    try:
        return _demonstrate(folder, read_host(), console)
    except FtbenchError as exc:
        Console(stderr=True).print(str(exc), markup=False, highlight=False, soft_wrap=True)
        return exc.exit_code


def _demonstrate(folder: Path, host: Host, console: Console) -> int:
    say = _Clock(console)
    say("1. evaluation environment: OpenCompass and what it needs, apart from yours")
    environment = ensure_environment("cpu", None, host.cache_dir, os.environ, say.line)
    say("2. a tiny base model, and a LoRA adapter trained on it under an MLflow training run")
    write_examples(folder / "examples")
    threads = str(max(1, min(_MAX_THREADS, host.processors // 2)))
    environ = {"PATH": os.environ.get("PATH", os.defpath), "OMP_NUM_THREADS": threads}
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    trained = ensure_trained(
        folder / "examples", folder / "models", uri, environment, environ, say.line
    )
    say(f"   base {trained.base}, adapter {trained.adapter}, training run {trained.run_id}")
    say("3. benchmark data: mmlu (57 subjects) and gsm8k, in OpenCompass's formats")
    write_benchmarks(folder / "data")
    overrides = [
        override("model.adapter", trained.adapter),
        override("tracking.training_run_id", trained.run_id),
        DATASETS,
        "runtime=local",
        override("data_dir", folder / "data"),
        override("tracking.uri", uri),
        override("tracking.experiment", EXPERIMENT),
        # The answers are short; a model that rambles shall not take all day.
        "backend.max_out_len=64",
        override("workspace", folder / "scores" / "adapter"),
    ]
    command = ("python", "-m", "ftbench.run", *overrides)
    say(f"4. evaluating the adapter, then its base model: {command_line(command)}")
    own_host = dataclasses.replace(host, command=command)
    outcome = evaluate(compose_config(overrides), own_host, console)
    say("5. what the training changed")
    if outcome.deltas is not None:
        console.print(delta_table(outcome.deltas))
    for line in _where_to_look(outcome):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return outcome.exit_code


class _Clock:
    """Prints lines with the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()

    def __call__(self, text: str) -> None:
        seconds = time.monotonic() - self._started
        self.line(f"[{seconds:4.0f} s] {text}")

    def line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def _where_to_look(outcome: Outcome) -> list[str]:
    pointers = outcome.pointers
    return [
        "The adapter's scores stand beside its training run in MLflow. Open it with",
        f"  {pointers.open_with}",
        f"and look at {pointers.training_view_url}",
    ]


if __name__ == "__main__":
    sys.exit(main())
