"""What collecting and recording a full-size evaluation costs, against a real MLflow server.

    python benchmarks/recording.py [--runs 3] [--sizes mmlu several] [--workspace FOLDER]

Run folders of mmlu (14,042 samples in 57 subsets) and of 100,000 samples in six datasets are made
(``made_runs``); then collecting, recording, and comparing two mmlu runs (from their folders, and by
their ids with every answer from the server) are processes of their own: seconds on the clock and of
the processor, and the largest resident memory. The server is ``mlflow server`` over HTTP with
sqlite behind it, a new one for every size.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from made_runs import MMLU, SEVERAL, Shape, make_run

from ftbench.plan import TrackingPlan

SIZES = {"mmlu": (MMLU,), "several": SEVERAL}
_COLLECT = """
import sys, pathlib
from ftbench.collect import collect
from ftbench.plan import read_plan
from ftbench.runtimes.base import FINISHED, Launch
assert collect(read_plan(pathlib.Path(sys.argv[1])), Launch(FINISHED)).is_complete
"""


@dataclass(frozen=True)
class Measured:
    """One process: seconds on the clock, of the processor, and MB of resident memory at most."""

    clock_s: float
    processor_s: float
    peak_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--workspace", type=Path, help="keep the run folders here, and use them")
    options = parser.parse_args()
    print("samples  step     clock     processor  peak memory")
    with tempfile.TemporaryDirectory() as temporary:
        for size in options.sizes:
            folder = (options.workspace or Path(temporary)).absolute() / size
            for step, rows in measure_size(folder, SIZES[size], options.runs).items():
                print_row(sum(sum(shape.rows) for shape in SIZES[size]), step, rows)


def print_row(samples: int, step: str, rows: Sequence[Measured]) -> None:
    """Prints the medians of one step."""
    clock, processor, peak = (
        statistics.median(getattr(row, name) for row in rows)
        for name in ("clock_s", "processor_s", "peak_mb")
    )
    print(f"{samples:>7}  {step:<7}  {clock:>5.1f} s  {processor:>9.1f} s  {peak:>8.0f} MB")


def measure_size(folder: Path, shapes: Sequence[Shape], runs: int) -> dict[str, list[Measured]]:
    """Collects, records and compares as often as asked, each run by a server of its own."""
    tracking = TrackingPlan("mlflow", "http://127.0.0.1:1", request_timeout_s=120)
    dirs = []
    for seed in (1, 2) if len(shapes) == 1 else (1,):
        workspace = folder / str(seed)
        if not workspace.is_dir():
            # A process of its own: the memory of this one would count as that of its children.
            make = multiprocessing.get_context("spawn").Process(
                target=make_run, args=(workspace, shapes, tracking, seed)
            )
            make.start()
            make.join()
        dirs.append(next((workspace / "benchmark_results").iterdir()))
    steps: dict[str, list[Measured]] = {"collect": [], "record": []}
    for _ in range(runs):
        with mlflow_server(folder / "server") as url:
            steps["collect"].append(measured(["-c", _COLLECT, dirs[0]]))
            steps["record"].append(record(dirs[0], url))
            if dirs[1:]:
                measured(["-c", _COLLECT, dirs[1]])
                record(dirs[1], url)
                compare = ["-m", "ftbench.compare", *dirs, "--tracking-uri", url]
                steps.setdefault("compare", []).append(measured(compare))
                steps.setdefault("by id", []).append(compare_by_id(dirs, url))
    return steps


def compare_by_id(dirs: Sequence[Path], url: str) -> Measured:
    """Compares two recorded runs whose folders are gone, and records the comparison.

    Every answer comes from the server then, and all three forms are made.
    """
    from mlflow import MlflowClient

    client = MlflowClient(url)
    experiments = [e.experiment_id for e in client.search_experiments()]
    ids = [run.info.run_id for run in client.search_runs(experiments)]
    away = [path.rename(path.with_name(f"{path.name}-away")) for path in dirs]
    try:
        return measured(["-m", "ftbench.compare", *ids, "--tracking-uri", url])
    finally:
        for path, name in zip(away, dirs, strict=True):
            path.rename(name)


def record(run_dir: Path, url: str) -> Measured:
    """Records a run folder as its command does."""
    return measured(["-m", "ftbench.record", run_dir, "--tracking-uri", url])


def measured(arguments: Sequence[str | Path]) -> Measured:
    """Runs Python to its end.

    Raises:
        SystemExit: It failed.
    """
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([sys.executable, *arguments], stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        clock_s = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if status:
            output.seek(0)
            raise SystemExit(output.read().decode())
    return Measured(clock_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000)


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """A new server; gives its address."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    # Without it the server starts eleven processes.
    env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, env=env, stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
    try:
        _wait_until_it_answers(server, f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _wait_until_it_answers(server: subprocess.Popen[bytes], health: str) -> None:
    while server.poll() is None:
        try:
            with urllib.request.urlopen(health, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("mlflow server did not start")


if __name__ == "__main__":
    main()
