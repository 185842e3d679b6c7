"""A training before the line: real trainers that log with mlflow, signals, a sweep, real scores."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from ftbench.config import ModelConf, TrainingConf
from ftbench.errors import TrainingError
from ftbench.sidecar import read_sidecar
from ftbench.tracking.environment import mlflow_environment
from ftbench.tracking.store import open_store
from tests.real.conftest import SECRETS, Demo, assert_no_secret
from tests.run_fixtures import INTO_MLFLOW, World, make_world
from tests.test_command_line import Shell
from tests.test_process import is_gone

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

LOGS_A_LOSS = """
import mlflow, shutil
with mlflow.start_run():
    for step in (0, 10, 20):
        mlflow.log_metric("loss", 3 - step / 10, step=step)
    shutil.copytree("ready", "out")
"""

DIES_WHILE_IT_LOGS = """
import mlflow, os
mlflow.start_run()
mlflow.log_metric("loss", 3.0)
os.kill(os.getpid(), 9)
"""

CHOOSES_AN_EXPERIMENT = """
import mlflow
mlflow.set_experiment("theirs")
mlflow.start_run()
"""

LOGS_INTO_ITS_OWN = """
import mlflow, os, shutil, time
from pathlib import Path
from ftbench.sidecar import Sidecar, write_sidecar
uri = os.environ["MLFLOW_TRACKING_URI"]
del os.environ["MLFLOW_RUN_ID"]
with mlflow.start_run(run_name="theirs") as run:
    shutil.copytree("ready", "out")
    sidecar = Sidecar(run.info.run_id, uri, run.info.experiment_id, 7, "", time.time())
    write_sidecar(Path("out"), sidecar)
"""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    with mlflow_environment("", request_timeout_s=30, retries=0):
        open_store(f"sqlite:///{path}")
    return path


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: Path) -> World:
    world = make_world(tmp_path, monkeypatch)
    world.adapter.rename(tmp_path / "ready")
    shutil.copyfile(database, tmp_path / "scores.db")
    return world


def train(world: World, code: str) -> None:
    world.evaluate(
        model=ModelConf(adapter="out"),
        tracking=INTO_MLFLOW,
        training=TrainingConf(command=[sys.executable, "-c", code]),
    )


def runs(world: World) -> dict[str, Run]:
    """The runs of the experiment ftbench, by kind."""
    client = MlflowClient(f"sqlite:///{world.folder}/scores.db")
    experiment = client.get_experiment_by_name("ftbench")
    found = client.search_runs([experiment.experiment_id])
    return {run.data.tags.get("ftbench.kind", "other"): run for run in found}


def test_scores_stand_beside_the_loss_of_the_training(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever starts ftbench may be inside of a run; neither training nor benchmark touches it.
    client = MlflowClient(f"sqlite:///{world.folder}/scores.db")
    ambient = client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", ambient)
    train(world, LOGS_A_LOSS)
    found = runs(world)
    training, benchmark = found["train"], found["eval"]
    assert (training.info.status, training.info.run_name) == ("FINISHED", "train out")
    assert training.data.tags["ftbench.training_exit_code"] == "0"
    assert benchmark.data.tags["ftbench.train_run_id"] == training.info.run_id
    assert "loss" not in benchmark.data.metrics
    scores = client.get_metric_history(training.info.run_id, "bench/gsm8k")
    assert [(metric.step, metric.value) for metric in scores] == [(20, 45.7)]
    assert client.get_run(ambient).data.metrics == {}
    note = read_sidecar(world.folder / "out")
    assert note is not None
    assert (note.run_id, note.tracking_uri) == (
        training.info.run_id,
        f"sqlite:///{world.folder}/scores.db",
    )


def test_a_training_that_is_killed_leaves_no_running_run(world: World) -> None:
    with pytest.raises(TrainingError):
        train(world, DIES_WHILE_IT_LOGS)
    found = runs(world)
    assert list(found) == ["train"]
    assert found["train"].info.status == "FAILED"
    assert found["train"].data.tags["ftbench.training_exit_code"] == "137"
    assert found["train"].data.metrics == {"loss": 3.0}


def test_a_trainer_that_chooses_an_experiment_is_told_to_name_it(world: World) -> None:
    with pytest.raises(TrainingError) as caught:
        train(world, CHOOSES_AN_EXPERIMENT)
    (problem,) = caught.value.problems
    assert problem.cure == "the name that its set_experiment() has: tracking.experiment=NAME"
    assert runs(world)["train"].info.status == "FAILED"


def test_a_training_that_logs_into_its_own_run_is_linked_to_that(world: World) -> None:
    train(world, LOGS_INTO_ITS_OWN)
    found = runs(world)
    assert sorted(found) == ["eval", "train"]
    assert found["train"].info.run_name == "theirs"
    client = MlflowClient(f"sqlite:///{world.folder}/scores.db")
    scores = client.get_metric_history(found["train"].info.run_id, "bench/gsm8k")
    assert [metric.step for metric in scores] == [7]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


FAKE_ENGINE = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import ftbench.run as run
from tests.run_fixtures import FakeRuntime, finish
run.make_runtime = lambda plan, host: FakeRuntime([finish])
run.main()
"""


def test_ctrl_c_ends_the_training_and_its_run(shell: Shell, database: Path) -> None:
    shutil.copyfile(database, shell.cwd / "mlflow.db")
    process = shell.start(
        "model.adapter=out",
        "datasets=[gsm8k]",
        "training.command=[sh,-c,'sleep 600 & echo $! > pid; wait']",
        code=FAKE_ENGINE,
    )
    deadline = time.monotonic() + 120
    pid = shell.cwd / "pid"
    while not (pid.is_file() and pid.read_text().strip()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the training does not start"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert out.count("Final Decision: False\n") == 1
    assert is_gone(int(pid.read_text()))
    client = MlflowClient(f"sqlite:///{shell.cwd}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("ftbench").experiment_id])
    assert run.info.status == "KILLED"
    assert "**Training stopped: it was interrupted**" in run.data.tags["mlflow.note.content"]


def test_a_sweep_trains_and_evaluates_each(shell: Shell) -> None:
    (shell.folder / "train.sh").write_text('test "$1" = b && exit 3; cp -r ../one "$1"\n')
    exit_code, out, err = shell.run(
        *("-m", "model.adapter=a,b,c", "tracking=none", "datasets=[gsm8k]"),
        "training.command=sh ../train.sh ${model.adapter}",
        code=FAKE_ENGINE,
    )
    assert exit_code != 0, err
    assert [(shell.cwd / name).is_dir() for name in "abc"] == [True, False, True]
    assert out.count("Final Decision: True\n") == 2
    assert out.count("Final Decision: False\n") == 1
    assert "training failed: ended with exit code 3" in out


TRAINS_AS_THE_DEMO_DID = """
import os, shutil, sys
import mlflow
with mlflow.start_run():
    for step in (0, 10, 20):
        mlflow.log_metric("loss", 3 - step / 10, step=step)
    print("token", os.environ["HF_TOKEN"])
    shutil.copytree(sys.argv[1], sys.argv[2])
"""


@pytest.mark.opencompass
def test_a_training_and_its_real_evaluation_in_one_command(
    demo: Demo, tmp_path: Path, database: Path
) -> None:
    shutil.copyfile(database, tmp_path / "mlflow.db")
    (tmp_path / "train.py").write_text(TRAINS_AS_THE_DEMO_DID)
    command = [
        *(sys.executable, "-m", "ftbench.run", "runtime=local", "datasets=[gsm8k]", "limit=2"),
        "baseline=none",
        f"training.command={sys.executable} train.py {demo.adapter} ${{model.adapter}}",
        *("model.adapter=out/lora", f"model.base={demo.base}", f"data_dir={demo.folder / 'data'}"),
    ]
    ran = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, **SECRETS},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    assert "token ***\n" in ran.stdout
    assert "Execution: Benchmark completed: 1/1 datasets\n" in ran.stdout
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("ftbench")
    found = client.search_runs([experiment.experiment_id])
    kinds = {run.data.tags["ftbench.kind"]: run for run in found}
    training, benchmark = kinds["train"], kinds["eval"]
    assert len(found) == 2
    assert (training.info.status, benchmark.info.status) == ("FINISHED", "FINISHED")
    assert benchmark.data.tags["ftbench.train_run_id"] == training.info.run_id
    (score,) = client.get_metric_history(training.info.run_id, "bench/gsm8k")
    assert (score.step, score.value) == (20, benchmark.data.metrics["bench/gsm8k"])
    assert assert_no_secret(tmp_path) > 10
