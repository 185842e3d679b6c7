"""Sweeps as a user starts them, their jobs in processes of their own, with a fake runtime.

Every Python process of these commands starts with ``SITECUSTOMIZE``: joblib's workers import
ftbench anew, so that nothing less reaches them.
"""

from __future__ import annotations

import json
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from ftbench import record
from tests.test_command_line import Shell, sweep_lines

ROOT = Path(__file__).parent.parent

SITECUSTOMIZE = """
import os, signal, sys, time
from pathlib import Path
import ftbench.run as run
from tests import run_fixtures

def program(plan):
    with open(os.environ["LAUNCHES"], "a") as launches:
        launches.write(plan.fingerprint + "\\n")
    if "TWENTY" in os.environ:
        return run_fixtures.answer_twenty(plan)
    temperature = float(plan.parameters["backend.temperature"])
    if temperature == 0.25:
        sys.exit(7)
    if temperature == 0.75:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(float(os.environ.get("SLEEP", 0)))
    name = plan.model.adapter.name if plan.model.adapter else "base"
    run_fixtures.SCORES["gsm8k"] = {"one": 40.0, "two": 50.0, "base": 30.0}[name] + temperature
    return run_fixtures.finish(plan)

run.make_runtime = lambda plan, host: run_fixtures.FakeRuntime([program])
"""

PARALLEL = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


@dataclass
class FakeSweeps:
    """A shell whose evaluations are fake."""

    shell: Shell
    uri: str

    def variables(self, sleep_s: float = 0.0) -> dict[str, str]:
        return {
            "PYTHONPATH": f"{self.shell.folder}/site:{ROOT}",
            "LAUNCHES": str(self.launches),
            "SLEEP": str(sleep_s),
        }

    @property
    def launches(self) -> Path:
        return self.shell.folder / "launches"

    @property
    def settings(self) -> tuple[str, ...]:
        fixed = ("datasets=[gsm8k]", "runtime=local", "runtime.num_gpus=0", "baseline=none")
        return (*fixed, f"tracking.uri={self.uri}")

    def run(self, *arguments: str, sleep_s: float = 0.0) -> tuple[int, str, str]:
        return self.shell.run("-m", *arguments, *self.settings, **self.variables(sleep_s))

    def run_gated(self, *arguments: str) -> tuple[int, str, str]:
        """With no_regression; an adapter answers 20 questions right, its base 5 of them."""
        gated = ("gate=no_regression", "baseline=base", "tracking=none")
        settings = tuple(s for s in self.settings if not s.startswith(("baseline", "tracking")))
        return self.shell.run("-m", *settings, *gated, *arguments, **self.variables(), TWENTY="1")

    def folders(self) -> list[Path]:
        return sorted(self.shell.cwd.glob("ftbench_workspace/sweeps/*"))

    def jobs(self, folder: Path) -> list[dict[str, Any]]:
        paths = sorted(folder.glob("*/job.json"), key=lambda path: int(path.parent.name))
        return [json.loads(path.read_text()) for path in paths]

    def sweep_runs(self) -> list[Any]:
        client = MlflowClient(self.uri)
        (experiment,) = client.search_experiments(filter_string="name = 'ftbench'")
        return list(client.search_runs([experiment.experiment_id], "tags.`ftbench.kind` = 'sweep'"))


def make_sweeps(folder: Path) -> FakeSweeps:
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    return FakeSweeps(Shell(folder), f"sqlite:///{folder}/mlflow.db")


@pytest.fixture
def sweeps(tmp_path: Path) -> FakeSweeps:
    return make_sweeps(tmp_path)


@dataclass
class Ended:
    """A sweep that came to its end."""

    sweeps: FakeSweeps
    exit_code: int
    out: str
    err: str

    @property
    def folder(self) -> Path:
        (folder,) = self.sweeps.folders()
        return folder


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Base and two adapters at two temperatures, two at a time; at one of them, jobs exit."""
    sweeps = make_sweeps(tmp_path_factory.mktemp("six"))
    lists = "model.adapter=null,glob(../one,../two)"
    return Ended(sweeps, *sweeps.run(lists, "backend.temperature=0,0.25", *PARALLEL))


@pytest.mark.slow
def test_exit_code_counts_failed_jobs(six: Ended) -> None:
    assert six.exit_code == 103, six.out + six.err


@pytest.mark.slow
def test_a_job_that_exits_stops_no_other(six: Ended) -> None:
    found = [
        (job["number"], job["status"], job["exit_code"]) for job in six.sweeps.jobs(six.folder)
    ]
    ok, exited = ("ok", 0), ("failed", 7)
    assert found == [(n, *(exited if n % 2 else ok)) for n in range(6)]


@pytest.mark.slow
def test_driver_prints_one_line_for_each_job(six: Ended) -> None:
    lines = [line.partition(": http")[0] for line in sweep_lines(six.out)[1:]]
    *jobs, last = lines
    assert jobs == [
        "#0 ok: base · temperature=0",
        "#1 failed (exit code 7): base · temperature=0.25: it exited by itself: 7",
        "#2 ok: one · temperature=0",
        "#3 failed (exit code 7): one · temperature=0.25: it exited by itself: 7",
        "#4 ok: two · temperature=0",
        "#5 failed (exit code 7): two · temperature=0.25: it exited by itself: 7",
    ]
    assert last.partition(": ")[2] == (
        "3 of 6 jobs are complete; best: two · temperature=0, 50.00 (+20.00 against the base)"
    )


@pytest.mark.slow
def test_table_is_best_first_with_differences_from_the_base(six: Ended) -> None:
    summary = json.loads((six.folder / "summary.json").read_text())
    keys = ("job", "status", "average", "average_difference")
    assert [tuple(job[key] for key in keys) for job in summary["jobs"]] == [
        (4, "ok", 50.0, 20.0),
        (2, "ok", 40.0, 10.0),
        (0, "ok", 30.0, None),
        (1, "failed", None, None),
        (3, "failed", None, None),
        (5, "failed", None, None),
    ]
    assert (summary["best"], summary["exit_code"]) == (4, 103)
    (best,) = [line for line in six.out.splitlines() if line.startswith("#4 ") and "★" in line]
    assert best.split() == ["#4", "two", "0", "★", "50.00", "+20.00", "ok"]


@pytest.mark.slow
def test_markdown_table_links_every_run(six: Ended) -> None:
    jobs = six.sweeps.jobs(six.folder)
    lines = (six.folder / "summary.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert table[:3] == [
        "| job | adapter | temperature | gsm8k | against base | status |",
        "|---|---|---|---:|---:|---|",
        f"| [#4]({jobs[4]['run_url']}) | two | 0 | **50.00** | +20.00 | ok |",
    ]
    assert table[-1] == "| #5 | two | 0.25 |  |  | failed |"


@pytest.mark.slow
def test_sweep_has_one_run_and_every_job_one(six: Ended) -> None:
    client = MlflowClient(six.sweeps.uri)
    (run,) = six.sweeps.sweep_runs()
    jobs = [job for job in six.sweeps.jobs(six.folder) if job["status"] == "ok"]
    found = client.search_runs(
        [run.info.experiment_id],
        f"tags.`ftbench.sweep_id` LIKE '%{jobs[0]['sweep_id']}%' AND tags.`ftbench.kind` = 'eval'",
    )
    assert sorted(r.info.run_id for r in found) == sorted(job["run_id"] for job in jobs)
    assert run.info.status == "FAILED"
    assert run.data.metrics == {
        "jobs/total": 6.0,
        "jobs/failed": 3.0,
        "best/avg": 50.0,
        "best/gsm8k": 50.0,
    }
    assert run.data.params == {
        "sweep.model.adapter": "base, one, two",
        "sweep.backend.temperature": "0, 0.25",
    }


@pytest.mark.slow
def test_sweep_and_jobs_link_each_other(six: Ended) -> None:
    client = MlflowClient(six.sweeps.uri)
    (run,) = six.sweeps.sweep_runs()
    note = run.data.tags["mlflow.note.content"]
    link = f"#/experiments/{run.info.experiment_id}/runs"
    for job in (job for job in six.sweeps.jobs(six.folder) if job["status"] == "ok"):
        assert f"| [#{job['number']}]({link}/{job['run_id']}) |" in note
        tags = client.get_run(job["run_id"]).data.tags
        line = f"Sweep: [{job['sweep_id']}]({link}/{run.info.run_id})"
        assert line in tags["mlflow.note.content"].splitlines()
        assert tags["ftbench.sweep_id"] == job["sweep_id"]


@pytest.mark.slow
def test_recording_again_changes_nothing(six: Ended, capsys: pytest.CaptureFixture[str]) -> None:
    client = MlflowClient(six.sweeps.uri)
    (before,) = six.sweeps.sweep_runs()
    assert record.main([str(six.folder)]) == 0
    (after,) = six.sweeps.sweep_runs()
    assert after.to_dictionary() == before.to_dictionary()
    assert len(client.get_metric_history(after.info.run_id, "jobs/total")) == 1
    assert f"MLflow: http://127.0.0.1:5000/#/experiments/1/runs/{after.info.run_id}" in (
        capsys.readouterr().out
    )


@pytest.mark.slow
def test_a_gate_lets_the_base_of_the_adapters_through_and_no_full_model(
    sweeps: FakeSweeps,
) -> None:
    exit_code, out, err = sweeps.run_gated("model.adapter=null,../one")
    assert exit_code == 0, out + err
    assert "Gate no_regression: NOT APPLICABLE" in out
    assert "Gate no_regression: PASS" in out
    exit_code, out, err = sweeps.run_gated("model.base=../base", "limit=1,2", "gate.rule.floor=30")
    assert exit_code == 102, out + err
    jobs = [line for line in sweep_lines(out) if line.startswith("#")]
    assert len(jobs) == 2
    assert all("exit code 3" in job and "could never be decided" in job for job in jobs), jobs
    floor = ("gate.rule.max_drop=null", "gate.rule.floor=30", "gate.evidence=score")
    exit_code, out, err = sweeps.run_gated("model.adapter=null,../one", *floor)
    assert exit_code == 101, out + err
    (base,) = [line for line in sweep_lines(out) if line.startswith("#0")]
    assert base.endswith("gate no_regression: BREACH: gsm8k (critical): at least 30: BREACH: 25.00")


@pytest.mark.slow
def test_equal_work_is_done_once(sweeps: FakeSweeps) -> None:
    """Two processes are asked for the same at the same time: the timeout decides no score."""
    values = ("model.adapter=../one", "timeout=600,601,602")
    exit_code, out, err = sweeps.run(*values, *PARALLEL, sleep_s=2.0)
    assert exit_code == 0, out + err
    assert len(sweeps.launches.read_text().split()) == 1
    (folder,) = sweeps.folders()
    jobs = sweeps.jobs(folder)
    assert len(jobs) == 3
    assert len({(job["run_id"], job["run_dir"]) for job in jobs}) == 1
    history = MlflowClient(sweeps.uri).get_metric_history(jobs[0]["run_id"], "bench/gsm8k")
    assert [metric.value for metric in history] == [40.0]


@dataclass
class Killed:
    """A sweep whose driver was killed with its second job, recorded, and gone on with.

    Attributes:
        recorded: The sweep's run, as ``ftbench.record`` left it.
        summary: Its summary then.
        second: What the same command gave.
        third: What it gave in another folder.
    """

    sweeps: FakeSweeps
    opened: Any
    recorded: Any
    summary: dict[str, Any]
    second: tuple[int, str, str]
    third: tuple[int, str, str]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    sweeps = make_sweeps(tmp_path_factory.mktemp("killed"))
    values = ("model.adapter=../one", "backend.temperature=0,0.75,0.5")
    process = sweeps.shell.start("-m", *values, *sweeps.settings, **sweeps.variables())
    process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL
    (folder,) = sweeps.folders()
    (opened,) = sweeps.sweep_runs()
    assert record.main([str(folder)]) == 0
    (recorded,) = sweeps.sweep_runs()
    summary = json.loads((folder / "summary.json").read_text())
    site = sweeps.shell.folder / "site" / "sitecustomize.py"
    site.write_text(SITECUSTOMIZE.replace("temperature == 0.75", "temperature < 0"))
    second = sweeps.run(*values)
    third = sweeps.run(*values, "hydra.sweep.dir=elsewhere")
    return Killed(sweeps, opened, recorded, summary, second, third)


@pytest.mark.slow
def test_a_killed_driver_leaves_a_sweep_that_can_be_recorded(killed: Killed) -> None:
    assert killed.opened.info.status == "RUNNING"
    assert killed.recorded.info.status == "FAILED"
    assert killed.recorded.data.metrics["jobs/failed"] == 2.0
    assert [(job["status"], job["error"]) for job in killed.summary["jobs"]] == [
        ("ok", ""),
        ("killed", "its process was killed"),
        ("not started", "it was never started"),
    ]


@pytest.mark.slow
def test_the_same_command_goes_on_with_a_sweep_that_failed(killed: Killed) -> None:
    assert (killed.second[0], killed.third[0]) == (0, 0), (killed.second, killed.third)
    launches = Counter(killed.sweeps.launches.read_text().split())
    assert sorted(launches.values()) == [1, 1, 2]
    (folder,) = killed.sweeps.folders()
    (sweep_id,) = {job["sweep_id"] for job in killed.sweeps.jobs(folder)}
    runs = {run.data.tags["ftbench.sweep_id"]: run for run in killed.sweeps.sweep_runs()}
    assert runs[sweep_id].info.run_id == killed.opened.info.run_id
    assert runs[sweep_id].info.status == "FINISHED"
    assert runs[sweep_id].data.metrics["jobs/failed"] == 0.0


@pytest.mark.slow
def test_what_is_done_once_is_a_job_of_both_sweeps(killed: Killed) -> None:
    (folder,) = killed.sweeps.folders()
    jobs = killed.sweeps.jobs(folder)
    others = killed.sweeps.jobs(killed.sweeps.shell.cwd / "elsewhere")
    assert [job["run_id"] for job in jobs] == [job["run_id"] for job in others]
    ids = [jobs[0]["sweep_id"], others[0]["sweep_id"]]
    tags = MlflowClient(killed.sweeps.uri).get_run(jobs[0]["run_id"]).data.tags
    assert tags["ftbench.sweep_id"].split() == ids
    note = tags["mlflow.note.content"]
    assert [note.count(f"Sweep: [{sweep_id}]") for sweep_id in ids] == [1, 1]


@pytest.mark.slow
def test_a_killed_worker_counts_as_a_failed_job(sweeps: FakeSweeps) -> None:
    values = ("model.adapter=../one,../two", "backend.temperature=0,0.75")
    exit_code, out, err = sweeps.run(*values, *PARALLEL)
    lines = sweep_lines(out)
    killed = [line for line in lines if ": its process was killed" in line]
    assert killed, out + err
    assert exit_code == 100 + sum(" ok: " not in line for line in lines[1:-1])


@pytest.mark.slow
def test_a_tracker_that_is_away_is_said_by_sweep_and_jobs(sweeps: FakeSweeps) -> None:
    (sweeps.shell.folder / "mlflow.db").write_text("no database")
    exit_code, out, _ = sweeps.run("model.adapter=../one,../two")
    assert exit_code == 102
    assert "The sweep's own run is not made yet: the file is not an sqlite database\n" in out
    assert not sweeps.launches.exists()


def test_a_wrong_later_value_is_refused_before_the_first_job(sweeps: FakeSweeps) -> None:
    exit_code, _, err = sweeps.run("model.adapter=../one", "limit=1,x,2,y")
    assert exit_code == 2
    assert "1. limit=x: 'x' is not a whole number\n2. limit=y: 'y' is not a whole number" in err
    assert not sweeps.folders()


def test_wrong_lists_are_said_with_everything_else(sweeps: FakeSweeps) -> None:
    exit_code, _, err = sweeps.run("model.adapter=glob(../three*)", "limt=1")
    assert exit_code == 2
    assert f"no folder matches ../three* in {sweeps.shell.cwd}" in err
    assert "unknown key 'limt'; did you mean 'limit'?" in err
    assert "The configuration cannot be used: 2 problems" in err
