"""Records many run folders at the same moment, each from a process of its own.

    python -m tests.many_recorders RUN_DIR...

Each process first checks the tracker, as an evaluation does before its launch. They are forked when
MLflow is imported, so that they meet at the store, and not one after the other.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from ftbench import tracking
from ftbench.plan import read_plan
from ftbench.record import record_folder
from ftbench.tracking.environment import mlflow_environment


def main(folders: list[Path]) -> int:
    """Exit code: how many processes failed; they print why."""
    with mlflow_environment("", request_timeout_s=30, retries=0):
        import mlflow.server
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    gate, opener = os.pipe()
    processes = [_fork(folder, gate, opener) for folder in folders]
    os.close(gate)
    os.close(opener)
    return sum(os.waitpid(process, 0)[1] != 0 for process in processes)


def _fork(folder: Path, gate: int, opener: int) -> int:
    process = os.fork()
    if process:
        return process
    os.close(opener)
    failed = True
    try:
        # Ends when the last process has closed the other side.
        os.read(gate, 1)
        problems = tracking.check(read_plan(folder).tracking)
        print("".join(f"{problem}\n" for problem in problems), end="", flush=True)
        record_folder(folder)
        failed = bool(problems)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(failed)


if __name__ == "__main__":
    sys.exit(main([Path(argument) for argument in sys.argv[1:]]))
