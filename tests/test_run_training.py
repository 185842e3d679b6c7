"""The whole line with a training before it: a real command, a fake runtime."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ftbench.config import ModelConf, RuntimeConf, TrackingConf, TrainingConf
from ftbench.errors import LaunchError, PreflightError, TrainingError
from ftbench.gpu_pool import leased
from ftbench.outcome import Outcome
from ftbench.plan import read_plan
from ftbench.sidecar import Sidecar, read_sidecar, write_sidecar
from ftbench.training import plan_training
from ftbench.training.running import sole_trainer
from tests.checkpoint.folders import make_adapter
from tests.run_fixtures import CRASH, World, finish, make_world, stop_after_mmlu
from tests.surroundings import make_config
from tests.test_process import is_gone

COPY = "import shutil; shutil.copytree('ready', 'out', dirs_exist_ok=True); print('trained')"


@dataclass
class Trainer:
    """A world in which ``out`` is yet to be trained; ``ready`` is what a training would write."""

    world: World

    @property
    def out(self) -> Path:
        return self.world.folder / "out"

    def run(self, code: str = COPY, **changes: Any) -> Outcome:
        """Trains with a Python program, then evaluates ``out``."""
        conf = TrainingConf(command=[sys.executable, "-c", code])
        named = ModelConf(adapter="out", base=str(self.world.folder / "base"))
        return self.world.evaluate(**({"training": conf, "model": named} | changes))

    def fail(self, code: str, **changes: Any) -> TrainingError:
        with pytest.raises(TrainingError) as caught:
            self.run(code, **changes)
        assert caught.value.exit_code == 7
        assert self.world.runtime.launched == []
        return caught.value

    @property
    def folder(self) -> Path:
        """Of the one training there was."""
        (folder,) = (self.world.workspace / "training").iterdir()
        return folder


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    world = make_world(tmp_path, monkeypatch)
    world.adapter.rename(tmp_path / "ready")
    command = ("python", "-m", "ftbench.run", "model.adapter=out", "training.command=train")
    world.host = replace(world.host, command=command)
    return Trainer(world)


def test_a_training_is_evaluated_when_it_has_ended(trainer: Trainer) -> None:
    outcome = trainer.run()
    assert outcome.exit_code == 0
    assert outcome.plan.model.adapter == trainer.out
    assert "trained\nloading the model\n" in trainer.world.printed
    assert "Final Decision: True\n" in trainer.world.printed
    assert (trainer.folder / "training.log").read_text() == "trained\n"


def test_the_evaluations_plan_says_nothing_of_the_training(trainer: Trainer) -> None:
    plan = read_plan(trainer.run().plan.run_dir)
    assert plan.command == ("python", "-m", "ftbench.run", "model.adapter=out")
    assert "training.command" not in plan.parameters
    assert COPY not in (plan.files.plan).read_text()


def test_everything_is_prepared_before_the_training(trainer: Trainer) -> None:
    trainer.run("import pathlib; pathlib.Path('prepared').touch();" + COPY)
    (prepared,) = trainer.world.runtime.prepared
    assert prepared.model.adapter == trainer.out
    assert [d.name for d in prepared.datasets] == ["mmlu", "gsm8k"]


@pytest.mark.parametrize(
    ("changes", "tried"),
    [
        ({"data_dir": "elsewhere", "download": False}, "dataset mmlu"),
        ({"model": ModelConf(adapter="out", base="./absent")}, "model.base: ./absent"),
        ({"training": TrainingConf(command="absent-program")}, "training.command"),
        (
            {"tracking": TrackingConf(uri="sqlite:///none.db", training_run_id="a" * 32)},
            "tracking.training_run_id=" + "a" * 32,
        ),
    ],
    ids=["data", "base", "program", "tracker"],
)
def test_what_can_be_known_stops_before_the_training(
    trainer: Trainer, changes: dict[str, Any], tried: str
) -> None:
    with pytest.raises(PreflightError) as caught:
        trainer.run("import pathlib; pathlib.Path('started').touch()", **changes)
    assert any(problem.tried.startswith(tried) for problem in caught.value.problems)
    assert not (trainer.world.folder / "started").exists()
    assert "Final Decision: False\n" in trainer.world.printed


def test_a_dry_run_shows_the_training_and_starts_nothing(trainer: Trainer) -> None:
    assert trainer.run("raise SystemExit(3)", dry_run=True).exit_code == 0
    assert "training:\n  " in trainer.world.printed
    assert f"  writes {trainer.out}, which decides" in trainer.world.printed
    assert "a launch would stop" not in trainer.world.printed
    assert not trainer.world.workspace.exists()


def test_a_training_that_fails_is_not_evaluated(trainer: Trainer) -> None:
    error = trainer.fail("print('epoch 1'); raise ValueError('loss is nan')")
    (problem,) = error.problems
    happened = "ended with exit code 1: ValueError: loss is nan"
    assert problem.happened == happened
    assert problem.log == str(trainer.folder / "training.log")
    assert error.command_exit_code == 1
    assert "  its last lines:\n  | epoch 1\n" in str(error)
    assert (
        f"Execution: Benchmark completed: 0/2 datasets (training failed: {happened})\n"
        "Return Checking:\n"
        "  Benchmark Results:\n"
        f"    mmlu: failed: training failed: {happened}\n"
        f"    gsm8k: failed: training failed: {happened}\n"
        "Code: Average Score: none (0/2 datasets)\n"
        "Final Decision: False\n"
    ) in trainer.world.printed
    told = json.loads((trainer.folder / "feedback.json").read_text())
    assert (told["decision"], told["model"]) == (False, "out")
    assert told["failure"] == {
        "kind": "training",
        "message": f"training failed: {happened}",
        "log": "training.log",
    }
    assert (trainer.folder / "report.md").is_file()


def test_a_failed_training_that_wrote_weights_says_how_to_evaluate_them(trainer: Trainer) -> None:
    (problem,) = trainer.fail(COPY + "; raise SystemExit(3)").problems
    assert problem.happened == "ended with exit code 3"
    command = f"python -m ftbench.run model.adapter={trainer.out}"
    assert problem.cure.endswith(f"can be evaluated: {command}")


def test_exit_code_0_without_weights_is_a_failure(trainer: Trainer) -> None:
    (problem,) = trainer.fail("print('nothing to do')").problems
    assert problem.happened == (f"ended with exit code 0 and wrote no weights into {trainer.out}")
    assert problem.cure == "let it save an adapter into out, or model.adapter=DIR where it does"


def test_weights_of_an_earlier_training_do_not_count(trainer: Trainer) -> None:
    make_adapter(trainer.out)
    (problem,) = trainer.fail("pass").problems
    assert problem.happened.endswith(f"into {trainer.out} (those that lie there are older)")


def test_a_checkpoint_that_was_written_instead_is_named(trainer: Trainer) -> None:
    code = "import shutil; [shutil.copytree('ready', f'out/checkpoint-{n}') for n in (10, 9)]"
    (problem,) = trainer.fail(code).problems
    last = trainer.out / "checkpoint-10"
    assert problem.happened.endswith(f"; it did write {trainer.out}/checkpoint-9, {last}")
    assert problem.cure == f"python -m ftbench.run model.adapter={last}"


def test_a_training_that_is_killed(trainer: Trainer) -> None:
    (problem,) = trainer.fail("import os; os.kill(os.getpid(), 9)").problems
    assert problem.happened.startswith("killed from outside (SIGKILL)") or (
        problem.happened.startswith("killed for its memory")
    )


LEAVES_A_WORKER = """
import subprocess, sys, time
worker = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'],
                          start_new_session=True)
print(worker.pid, flush=True)
time.sleep(600)
"""


def test_a_training_that_takes_too_long_is_ended_with_its_workers(trainer: Trainer) -> None:
    conf = TrainingConf(command=[sys.executable, "-c", LEAVES_A_WORKER], timeout=5)
    (problem,) = trainer.fail("", training=conf).problems
    assert problem.happened == "stopped after training.timeout=5 seconds"
    assert is_gone(int((trainer.folder / "training.log").read_text()))


def test_ctrl_c_ends_the_training_and_decides_false(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupting = f"import os, time; os.kill({os.getpid()}, {int(signal.SIGINT)}); time.sleep(600)"
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        trainer.run(interrupting)
    assert time.monotonic() - started < 300
    assert "(training failed: it was interrupted)\n" in trainer.world.printed
    assert "Final Decision: False\n" in trainer.world.printed
    assert trainer.world.runtime.launched == []


SECRETS = {
    "HF_TOKEN": "hf_planted",
    "OC_JUDGE_API_KEY": "sk_planted",
    "MLFLOW_TRACKING_PASSWORD": "pw_planted",
}
SHOW = f"""
import os
for name in {list(SECRETS)}:
    print(name, os.environ.get(name))
open('seen', 'w').write(repr({{name: os.environ.get(name) for name in {list(SECRETS)}}}))
"""


def test_a_training_gets_the_secrets_it_needs_and_shows_none(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    known = {name: SECRETS[name] for name in ("HF_TOKEN", "OC_JUDGE_API_KEY")}
    trainer.world.host = replace(trainer.world.host, secrets=known)
    trainer.run(SHOW + COPY)
    seen = (trainer.world.folder / "seen").read_text()
    assert seen == repr(SECRETS | {"OC_JUDGE_API_KEY": None})
    shown = "HF_TOKEN ***\nOC_JUDGE_API_KEY None\nMLFLOW_TRACKING_PASSWORD ***\n"
    assert shown in trainer.world.printed
    assert (trainer.folder / "training.log").read_text().startswith(shown)


def test_an_evaluation_that_fails_does_not_train_again(trainer: Trainer) -> None:
    trainer.world.runtime.programs = [stop_after_mmlu(CRASH), finish]
    assert trainer.run().exit_code == 4
    go_on = "The training is done. To go on without it: python -m ftbench.run model.adapter=out\n"
    assert trainer.world.printed.endswith(go_on)
    outcome = trainer.run(training=TrainingConf())
    assert (outcome.exit_code, len(trainer.world.runtime.launched)) == (0, 2)
    assert outcome.plan.run_dir == trainer.world.runtime.launched[0].run_dir


def test_an_adapter_that_cannot_be_evaluated_does_not_train_again(trainer: Trainer) -> None:
    damage = COPY + "; open('out/adapter_model.safetensors', 'w').write('x')"
    with pytest.raises(PreflightError):
        trainer.run(damage)
    assert "The training is done. To go on without it: " in trainer.world.printed


def test_no_datasets_train_and_evaluate_nothing(trainer: Trainer) -> None:
    conf = TrainingConf(command=[sys.executable, "-c", COPY])
    named = ModelConf(adapter="out")
    assert trainer.world.evaluate("", training=conf, model=named).exit_code == 0
    assert trainer.out.is_dir()
    assert "Execution: Benchmark skipped: no datasets\n" in trainer.world.printed


def test_the_note_beside_the_weights_is_this_trainings_own(trainer: Trainer) -> None:
    make_adapter(trainer.out)
    (trainer.out / "trainer_state.json").write_text('{"global_step": 7}')
    os.utime(trainer.out / "trainer_state.json", (1000, 1000))
    write_sidecar(trainer.out, Sidecar(run_id="old", global_step=7))
    trainer.run()
    note = read_sidecar(trainer.out)
    assert note is not None
    assert (note.run_id, note.global_step) == ("", None)
    assert note.base_model == str(trainer.world.folder / "base")


def test_a_training_that_outlives_its_ftbench_is_joined_by_no_other(trainer: Trainer) -> None:
    training = plan_training(make_config(training__command="true"), trainer.world.host)
    with sole_trainer(training, trainer.world.host) as handle:
        orphan = subprocess.Popen(["sleep", "600"], pass_fds=[handle])
    try:
        with pytest.raises(LaunchError) as caught:
            trainer.run()
        (problem,) = caught.value.problems
        assert problem.tried == f"training into {trainer.out}"
        assert problem.happened == "another training does so right now"
    finally:
        orphan.kill()
        orphan.wait()
    assert trainer.run().exit_code == 0


def test_a_training_takes_gpus_of_the_pool_that_nobody_holds(
    trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smi = tmp_path / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    listed = "".join(f"GPU {n}: A100 (UUID: GPU-{n}{n})\n" for n in range(3))
    smi.write_text(f"#!/bin/sh\ncat <<X\n{listed}X\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{smi.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("FTBENCH_GPU_LOCKS", str(tmp_path / "locks"))
    pool = RuntimeConf(name="local", num_gpus=1, gpu_pool=["1", "2"])
    with leased(["GPU-11"], 1, tmp_path / "locks", print):
        show = "import os; print('sees', os.environ.get('CUDA_VISIBLE_DEVICES'));"
        trainer.run(show + COPY, runtime=pool)
    assert "sees 2\n" in trainer.world.printed
