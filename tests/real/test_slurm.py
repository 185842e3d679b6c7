"""Sweeps through a real Slurm: GPU requests, the time limit, a requeue that goes on, the links.

Two sweeps run at the same time, so that the one which waits for its time limit costs nothing. So
that a slow machine sees the same as a fast one, its program is stopped (SIGSTOP) in the middle, and
only then is its limit brought near.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from ftbench.plan import read_plan
from ftbench.schema import RunFiles, read_result
from ftbench.workspace import run_dirs
from tests.real.conftest import Demo
from tests.slurm.cluster import missing_programs, slurm

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.opencompass,
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(missing_programs()) and os.environ.get("CI") != "true",
        reason=f"Slurm is not installed: no {', '.join(missing_programs())}",
    ),
]

SEEDS = (1, 2, 3, 4)
"""Not that of the job with the limit, which would take over what these have evaluated."""

LIMIT_MIN = 10
"""Of a job with a limit of up to ten minutes, submitit takes every warning as the limit's."""


@dataclass(frozen=True)
class Sweep:
    """A sweep that has ended.

    Attributes:
        folder: Where it was started.
        exit_code: Of its command.
        printed: By its command.
        jobs: What Slurm says of each of its jobs, by key.
    """

    folder: Path
    exit_code: int
    printed: str
    jobs: tuple[dict[str, str], ...]

    @property
    def logs(self) -> str:
        """Everything that its jobs printed."""
        paths = sorted(self.folder.glob("ftbench_workspace/sweeps/*/.submitit/*/*_log.*"))
        return "\n".join(path.read_text() for path in paths)


@dataclass(frozen=True)
class Sweeps:
    """Both sweeps, and what was seen while they ran.

    Attributes:
        plain: Four jobs that end well and one that does not, each with a GPU.
        limited: One job that hits its time limit.
        done_before: Predictions before the limit, with the time of their last change.
        most_at_once: Jobs of ``plain`` that ran at the same time.
        client: Of the store, in which ``training_run_id`` is the training run.
    """

    plain: Sweep
    limited: Sweep
    done_before: dict[Path, int]
    most_at_once: int
    client: MlflowClient
    training_run_id: str

    def benchmark_runs(self) -> list[Run]:
        experiment = self.client.get_run(self.training_run_id).info.experiment_id
        return list(self.client.search_runs([experiment], "tags.`ftbench.kind` = 'eval'"))


@pytest.fixture(scope="module")
def sweeps(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweeps]:
    store = tmp_path_factory.mktemp("store")
    client = MlflowClient(f"sqlite:///{store}/mlflow.db")
    experiment = client.create_experiment("sft", artifact_location=(store / "mlruns").as_uri())
    training = str(client.create_run(experiment, run_name="lora").info.run_id)
    client.set_terminated(training)
    # A socket's path is at most 107 bytes long.
    cluster = Path(tempfile.mkdtemp(prefix="ftbench-slurm-"))
    common = [
        *(f"model.adapter={demo.adapter}", "runtime=local", "limit=2"),
        *(f"data_dir={demo.folder / 'data'}", f"tracking.uri=sqlite:///{store}/mlflow.db"),
        *(f"tracking.training_run_id={training}", "hydra/launcher=slurm"),
    ]
    try:
        with slurm(cluster) as environment, hurried(environment) as looks:
            limited = start(
                "limited",
                tmp_path_factory,
                environment,
                *(*common, "datasets=[mmlu,gsm8k]", "runtime.stop_grace=2"),
                *(f"hydra.launcher.timeout_min={LIMIT_MIN}", "hydra.launcher.signal_delay_s=10"),
            )
            done_before = stop_in_the_middle(limited.folder)
            bring_the_limit_near(environment)
            plain = start(
                "plain",
                tmp_path_factory,
                environment,
                *(*common, "datasets=[gsm8k]"),
                f"backend.seed={','.join(map(str, SEEDS))},-1",
                "hydra.launcher.gpus_per_node=1",
                "hydra.launcher.setup=['echo lent=$CUDA_VISIBLE_DEVICES']",
            )
            ends = [plain.end(), limited.end()]
            known = scontrol(environment, "show", "job")
        yield Sweeps(
            *(
                Sweep(s.folder, *end, tuple(j for j in known if j["JobName"] == s.name))
                for s, end in zip((plain, limited), ends, strict=True)
            ),
            done_before,
            max(looks),
            client,
            training,
        )
    finally:
        shutil.rmtree(cluster)


@dataclass(frozen=True)
class Started:
    """A sweep's command that runs, and the name of its jobs."""

    name: str
    folder: Path
    process: subprocess.Popen[str]

    def end(self) -> tuple[int, str]:
        """Exit code, and everything printed."""
        printed, _ = self.process.communicate(timeout=600)
        return self.process.returncode, printed


def start(
    name: str,
    folders: pytest.TempPathFactory,
    environment: dict[str, str],
    *overrides: str,
) -> Started:
    folder = folders.mktemp(name)
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "ftbench.run",
            "-m",
            f"hydra.job.name={name}",
            "baseline=none",
            *overrides,
        ],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Started(name, folder, process)


def scontrol(environment: dict[str, str], *arguments: str) -> list[dict[str, str]]:
    """What Slurm says of each job, by key."""
    done = subprocess.run(
        ["scontrol", "--oneliner", *arguments], env=environment, capture_output=True, text=True
    )
    return [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in done.stdout.splitlines()]


@contextmanager
def hurried(environment: dict[str, str]) -> Iterator[list[int]]:
    """Lets requeued jobs start at once, with their whole time: Slurm holds them for two minutes.

    Yields:
        How many jobs named "plain" run, at every look.
    """
    over, looks = threading.Event(), [0]

    def look() -> None:
        while not over.wait(0.3):
            jobs = scontrol(environment, "show", "job")
            looks.append(
                sum(j.get("JobName") == "plain" and j["JobState"] == "RUNNING" for j in jobs)
            )
            for job in jobs:
                if job.get("Restarts", "0") != "0" and job["JobState"] == "PENDING":
                    update(environment, job, "StartTime=now", f"TimeLimit={LIMIT_MIN}")

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield looks
    finally:
        over.set()
        thread.join()


def update(environment: dict[str, str], job: dict[str, str], *settings: str) -> None:
    scontrol(environment, "update", f"JobId={job['JobId']}", *settings)


def bring_the_limit_near(environment: dict[str, str]) -> None:
    """Makes the one running job hit its limit in the next two minutes.

    Slurm looks at limits every 30 seconds: a nearer one may pass unseen, without its warning.
    """
    (job,) = scontrol(environment, "show", "job")
    hours, minutes, seconds = map(int, job["RunTime"].split(":"))
    run_s = 3600 * hours + 60 * minutes + seconds
    update(environment, job, f"TimeLimit={(run_s + 45) // 60 + 1}")


def stop_in_the_middle(folder: Path) -> dict[Path, int]:
    """Stops the evaluation program of a sweep for good, as soon as one subset is answered.

    Returns:
        The complete predictions, with the time of their last change.
    """

    def predictions() -> dict[Path, int]:
        found = folder.glob("ftbench_workspace/*/benchmark_results/*/predictions/*/*.json")
        return {path: path.stat().st_mtime_ns for path in found}

    deadline = time.monotonic() + 300
    while not predictions():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for program in programs(folder):
        os.kill(program, signal.SIGSTOP)
    return predictions()


def programs(folder: Path) -> list[int]:
    """Process ids of the evaluation program that works below a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environ = (process / "environ").read_bytes()
        except OSError:
            continue
        if f"\0OUTPUT_PATH={folder}/".encode() in b"\0" + environ:
            found.append(int(process.name))
    assert found
    return found


def evaluations(sweep: Sweep) -> list[RunFiles]:
    workspaces = sorted(sweep.folder.glob("ftbench_workspace/*-ft-*"))
    return [RunFiles(d) for workspace in workspaces for d in run_dirs(workspace)]


def test_one_failing_job_stops_no_other_and_shows_in_the_exit_code(sweeps: Sweeps) -> None:
    assert sweeps.plain.exit_code == 101, sweeps.plain.printed
    results = [read_result(files.summary) for files in evaluations(sweeps.plain)]
    commands = [read_plan(files.root).command for files in evaluations(sweeps.plain)]
    seeds = sorted(arg for command in commands for arg in command if "backend.seed" in arg)
    assert seeds == [f"backend.seed={seed}" for seed in SEEDS]
    assert [result.is_complete for result in results] == [True] * len(SEEDS)
    assert "backend.seed=-1: must be at least 0" in sweeps.plain.logs + sweeps.plain.printed


def test_each_job_has_a_gpu_of_its_own(sweeps: Sweeps) -> None:
    lent = re.findall(r"^lent=(.*)$", sweeps.plain.logs, re.MULTILINE)
    assert len(lent) == len(SEEDS) + 1
    assert set(lent) == {"0", "1"}
    assert sweeps.most_at_once == 2
    assert {job["TresPerNode"] for job in sweeps.plain.jobs} == {"gres:gpu:1"}


def test_the_time_limit_leaves_room_around_the_timeout(sweeps: Sweeps) -> None:
    assert {job["TimeLimit"] for job in sweeps.plain.jobs} == {"01:15:00"}


def test_a_job_that_hits_its_limit_goes_on_where_it_stopped(sweeps: Sweeps) -> None:
    assert sweeps.limited.exit_code == 0, sweeps.limited.printed
    (job,) = sweeps.limited.jobs
    assert int(job["Restarts"]) >= 1
    assert "Job has timed out" in sweeps.limited.logs
    (files,) = evaluations(sweeps.limited)
    assert read_result(files.summary).is_complete
    after = {path: path.stat().st_mtime_ns for path in sweeps.done_before}
    assert after == sweeps.done_before
    assert len(list(files.predictions.glob("*/*.json"))) > len(after)


def test_every_evaluation_is_recorded_once_with_links_both_ways(sweeps: Sweeps) -> None:
    runs = sweeps.benchmark_runs()
    assert len(runs) == len(SEEDS) + 1
    note = sweeps.client.get_run(sweeps.training_run_id).data.tags["mlflow.note.content"]
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run.data.tags["ftbench.train_run_id"] == sweeps.training_run_id
        assert f"runs/{run.info.run_id}" in note
        for metric in run.data.metrics:
            assert len(sweeps.client.get_metric_history(run.info.run_id, metric)) == 1
    results = [
        read_result(files.summary)
        for sweep in (sweeps.plain, sweeps.limited)
        for files in evaluations(sweep)
    ]
    recorded = sorted(run.data.tags["ftbench.fingerprint"] for run in runs)
    assert recorded == sorted(result.fingerprint for result in results)
    written = sweeps.client.get_metric_history(sweeps.training_run_id, "bench/gsm8k")
    assert len(written) == len(runs)
