"""Sweeps through joblib: what the presets choose, who gets which GPU, and what kills leave."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ftbench.launchers import parallel_jobs, slurm_gpus, slurm_minutes, slurm_warning
from tests.checkpoint.folders import make_adapter, make_base
from tests.stand_in import make_stand_in, periods

SMI = """\
#!/bin/sh
echo "GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-aaaaaaaa-1)"
echo "GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-bbbbbbbb-2)"
"""

WAITING = "waiting for 1 of the GPUs GPU-bbbbbbbb-2: other evaluations run\n"

WITHOUT_PLUGINS = """
import hydra_plugins
hydra_plugins.__path__ = []
from ftbench.run import main
main()
"""


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine with two GPUs, a model and data."""
    smi = tmp_path / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    smi.write_text(SMI)
    smi.chmod(0o755)
    base = make_base(tmp_path / "base")
    make_adapter(tmp_path / "adapter", base_model_name_or_path=str(base))
    (tmp_path / "data" / "gsm8k").mkdir(parents=True)
    (tmp_path / "data" / "gsm8k" / "test.jsonl").write_text("{}")
    return {
        "PATH": f"{smi.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "FTBENCH_CACHE": str(tmp_path / "cache"),
        "FTBENCH_GPU_LOCKS": str(tmp_path / "locks"),
        "COMPASS_DATA_CACHE": str(tmp_path),
    }


def start(
    machine: dict[str, str], environment: Path, *overrides: str, code: str = ""
) -> subprocess.Popen[str]:
    command = ["-c", code] if code else ["-m", "ftbench.run"]
    return subprocess.Popen(
        [
            *(sys.executable, *command, "model.adapter=adapter", "datasets=[gsm8k]"),
            *("runtime=local", "runtime.num_gpus=1", "tracking=none", "workspace=scores"),
            "baseline=none",
            *(f"runtime.environment={environment}", *overrides),
        ],
        cwd=machine["HOME"],
        env=machine,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code, and everything printed."""
    printed, _ = process.communicate(timeout=180)
    return process.returncode, printed


def run(machine: dict[str, str], environment: Path, *overrides: str) -> tuple[int, str]:
    return end(start(machine, environment, *overrides))


@pytest.mark.parametrize(
    ("num_gpus", "gpu_ids", "gpu_pool", "lent", "jobs"),
    [
        (1, None, None, None, 2),
        (2, None, None, None, 1),
        # Too few: each job says so.
        (3, None, None, None, 1),
        (1, None, ["1"], None, 1),
        (1, None, None, "0", 1),
        (1, ["0"], None, None, 1),
        (0, None, None, None, 2),
        (1, [], None, None, 2),
    ],
)
def test_parallel_jobs(
    machine: dict[str, str],
    num_gpus: int,
    gpu_ids: list[str] | None,
    gpu_pool: list[str] | None,
    lent: str | None,
    jobs: int,
) -> None:
    environ = machine if lent is None else machine | {"CUDA_VISIBLE_DEVICES": lent}
    assert parallel_jobs(num_gpus, gpu_ids, gpu_pool, environ) == jobs


@pytest.mark.parametrize(
    ("num_gpus", "gpu_ids", "asked"), [(2, None, 2), (0, None, None), (1, ["0", "1"], 2)]
)
def test_slurm_is_asked_for_the_gpus_of_one_job(
    num_gpus: int, gpu_ids: list[str] | None, asked: int | None
) -> None:
    assert slurm_gpus(num_gpus, gpu_ids) == asked


def test_slurm_times_leave_room() -> None:
    assert (slurm_minutes(3600), slurm_minutes(61)) == (75, 17)
    assert slurm_warning(30) == 120


@pytest.mark.parametrize(
    ("launcher", "plugin", "extra"),
    [("parallel", "joblib", "parallel"), ("slurm", "submitit_slurm", "slurm")],
)
def test_a_missing_plugin_is_one_error_with_its_cure(
    machine: dict[str, str], tmp_path: Path, launcher: str, plugin: str, extra: str
) -> None:
    overrides = ("-m", "limit=1,2", f"hydra/launcher={launcher}")
    assert end(start(machine, tmp_path, *overrides, code=WITHOUT_PLUGINS)) == (
        2,
        "The configuration cannot be used\n"
        f"hydra/launcher={launcher}: Hydra's plugin for {plugin} is not installed here\n"
        f"  try: pip install 'ftbench[{extra}]'\n",
    )


@pytest.mark.slow
def test_no_gpu_is_used_twice_at_a_time_and_a_killed_program_stops_no_other_job(
    machine: dict[str, str], tmp_path: Path
) -> None:
    """A sweep of four jobs, three at a time, beside a single run, on two GPUs."""
    notes = str(tmp_path / "environment" / "notes")
    # The first job and the single run are at work at the same moment, however slow the machine is.
    body = f"""
if limit == 2 and once("killed"):
    os.kill(os.getpid(), signal.SIGKILL)
if limit in (1, 5):
    once(f"-{{limit}}")
    wait_for({notes!r} + f"-{{6 - limit}}")
"""
    environment = make_stand_in(tmp_path / "environment", body, seconds=1)
    sweep = ("-m", "limit=1,2,3,4", "hydra/launcher=parallel", "hydra.launcher.n_jobs=3")
    sweeping = start(machine, environment, *sweep)
    single = start(machine, environment, "limit=5")
    exit_code, printed = end(sweeping)

    assert exit_code != 0
    assert end(single)[0] == 0
    assert printed.count("Final Decision: True\n") == 3
    assert "killed from outside (SIGKILL)" in printed
    done = periods(environment)
    assert sorted(limit for limit, *_ in done) == [1, 3, 4, 5]
    assert {gpu for _, gpu, *_ in done} == {"0", "1"}
    plans = [json.loads(path.read_text()) for path in tmp_path.glob("scores/*/*/plan.json")]
    limits = sorted(arg for plan in plans for arg in plan["command"] if arg.startswith("limit="))
    assert limits == [f"limit={limit}" for limit in (1, 2, 3, 4, 5)]
    for (_, gpu, start_a, end_a), (_, other, start_b, end_b) in itertools.combinations(done, 2):
        assert gpu != other or end_a <= start_b or end_b <= start_a


@pytest.mark.slow
def test_a_killed_worker_ends_the_sweep_and_the_same_command_goes_on(
    machine: dict[str, str], tmp_path: Path
) -> None:
    body = """
if limit == 2 and once("killed"):
    while not list(plan.workspace.rglob(plan.files.summary.name)):
        time.sleep(0.05)
    os.kill(os.getppid(), signal.SIGKILL)
"""
    environment = make_stand_in(tmp_path / "environment", body)
    sweep = ("-m", "limit=1,2,3", "hydra/launcher=parallel")
    exit_code, printed = run(machine, environment, *sweep)
    print(printed)
    assert exit_code != 0
    assert "TerminatedWorkerError" in printed

    exit_code, printed = run(machine, environment, *sweep)
    assert exit_code == 0
    assert printed.count("Final Decision: True\n") == 3
    assert printed.count(": same fingerprint\n") >= 1


@pytest.mark.slow
def test_exactly_these_gpus_are_waited_for(machine: dict[str, str], tmp_path: Path) -> None:
    body = f"if limit == 1: wait_for({str(tmp_path / 'go')!r})"
    environment = make_stand_in(tmp_path / "environment", body, seconds=0)
    first = start(machine, environment, "limit=1", "runtime.gpu_ids=[1]")
    while not (environment / "notes").exists():
        assert first.poll() is None
        time.sleep(0.05)
    second = start(machine, environment, "limit=2", "runtime.gpu_ids=[1]")
    assert second.stdout is not None
    while second.stdout.readline() != WAITING:
        assert second.poll() is None
    (tmp_path / "go").touch()
    assert (end(first)[0], end(second)[0]) == (0, 0)
    (one, two) = periods(environment)
    assert (one[:2], two[:2]) == ((1, "1"), (2, "1"))
    assert one[3] <= two[2]


def test_a_pool_that_is_too_small_is_an_error_at_once(
    machine: dict[str, str], tmp_path: Path
) -> None:
    environment = make_stand_in(tmp_path / "environment")
    exit_code, printed = run(machine, environment, "runtime.gpu_pool=[1]", "runtime.num_gpus=2")
    assert exit_code == 2
    assert (
        "runtime.gpu_pool=['1']: holds 1 GPUs, and one evaluation needs 2\n"
        "  try: name more, or runtime.num_gpus=N\n"
    ) in printed
    exit_code, printed = run(machine, environment, "runtime.gpu_pool=[1,7]", "runtime.num_gpus=2")
    assert exit_code == 3
    assert "runtime.gpu_pool=1,7: of these GPUs, this machine shows 1\n" in printed
    assert not (environment / "notes").exists()
