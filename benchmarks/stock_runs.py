"""Runs the stock ``opencompass`` command on what a run of ftbench evaluated."""

from __future__ import annotations

import subprocess
from pathlib import Path

from measuring import Stage, Timed, evaluation_environment, timed

from ftbench.schema import RunFiles

_MAKE_CONFIG = Path(__file__).with_name("stock_config.py")


def run_stock(
    stage: Stage, files: RunFiles, folder: Path, *arguments: str
) -> tuple[Timed, RunFiles]:
    """Runs the command in a new folder.

    Args:
        stage: Has the evaluation environment.
        files: Of the run whose models and datasets it takes.
        folder: Receives what it writes.
        arguments: Of ``stock_config.py``.

    Returns:
        What the command took, and the files it left, in the layout of a run folder.
    """
    folder.mkdir()
    environment = evaluation_environment(stage, files)
    config = folder / "stock.py"
    make = [stage.python, _MAKE_CONFIG, files.opencompass_config, config, *arguments]
    subprocess.run(make, check=True, capture_output=True, env=environment)
    command = [stage.python.parent / "opencompass", config, "-w", folder / "work"]
    took, _ = timed(command, folder, environment)
    (work,) = (folder / "work").iterdir()
    return took, RunFiles(work)
