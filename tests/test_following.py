"""The command, the environment and the start of the process that evaluates beside a training."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ftbench.compose import compose_config
from ftbench.errors import ConfigError
from ftbench.following import (
    Wishes,
    check_settings,
    ends_with_its_job,
    follow_command,
    follower_environment,
    log_file,
    start_follower,
)
from ftbench.tracking.active import ActiveRun

WATCH = [sys.executable, "-P", "-m", "ftbench.watch"]


def test_follow_command_waits_for_the_end_of_the_training() -> None:
    wishes = Wishes(datasets=("mmlu", "gsm8k"), settings=("limit=100",))
    assert follow_command(wishes, Path("/out"), [4711], 1000.5) == [
        *WATCH,
        "/out",
        *("--after-exit-of", "4711"),
        *("--take", "final", "--only-marked", "--since", "1000.500"),
        'datasets=["mmlu","gsm8k"]',
        "limit=100",
    ]


def test_follow_command_evaluates_at_once_on_gpus_of_its_own() -> None:
    wishes = Wishes(
        datasets=("mmlu",), at="both", every=500, gpu_ids=("2", "3"), workspace="/a b", python="/py"
    )
    assert follow_command(wishes, Path("/out"), [4711, 4712], 0.0) == [
        *("/py", "-P", "-m", "ftbench.watch", "/out"),
        *("--until-exit-of", "4711", "--until-exit-of", "4712"),
        *("--take", "both", "--only-marked", "--since", "0.000", "--every", "500"),
        'datasets=["mmlu"]',
        'runtime.gpu_ids=["2","3"]',
        'workspace="/a b"',
    ]


def test_no_gpus_means_evaluating_on_the_processor() -> None:
    assert Wishes(gpu_ids=()).overrides() == ["runtime.num_gpus=0"]


def test_overrides_compose_whatever_the_names_hold() -> None:
    names = ("mmlu:ppl", "./my quiz, it's.jsonl", "gsm8k@17d0dc")
    wishes = Wishes(datasets=names, gpu_ids=("GPU-1a", "3"), workspace="/w ${x}")
    config = compose_config([*wishes.overrides(), "model.adapter=out"])
    assert tuple(config.datasets) == names
    assert config.runtime.gpu_ids == ["GPU-1a", "3"]
    assert config.workspace == "/w ${x}"


@pytest.mark.parametrize(
    ("at", "every", "step", "taken"),
    [
        ("end", None, 500, False),
        ("checkpoints", None, 500, True),
        ("both", 1000, 500, False),
        ("both", 1000, 2000, True),
    ],
)
def test_takes_checkpoint(at: str, every: int | None, step: int, taken: bool) -> None:
    assert Wishes(at=at, every=every).takes_checkpoint(step) is taken


def test_follower_environment_leaves_out_what_belongs_to_the_trainer() -> None:
    ours = {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "1", "HF_TOKEN": "t", "RANKING": "kept"}
    theirs = """RANK LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE GROUP_RANK ROLE_RANK ROLE_NAME
    ROLE_WORLD_SIZE GROUP_WORLD_SIZE MASTER_ADDR MASTER_PORT TORCHELASTIC_RUN_ID
    ACCELERATE_MIXED_PRECISION FSDP_VERSION MLFLOW_RUN_ID MLFLOW_ACTIVE_MODEL_ID
    _MLFLOW_ACTIVE_MODEL_ID""".split()
    environ = {**ours, **dict.fromkeys(theirs, "1")}
    assert follower_environment(Wishes(), ActiveRun(), environ) == ours


def test_follower_environment_names_the_tracker_of_the_training() -> None:
    run = ActiveRun("id", "1", "https://mlflow.example", "ann", "s3cret")
    environ = {"MLFLOW_TRACKING_URI": "https://ann:s3cret@mlflow.example"}
    assert follower_environment(Wishes(), run, environ) == {
        "MLFLOW_TRACKING_URI": "https://mlflow.example",
        "MLFLOW_TRACKING_USERNAME": "ann",
        "MLFLOW_TRACKING_PASSWORD": "s3cret",
    }


def test_credentials_of_a_setting_go_into_the_environment() -> None:
    wishes = Wishes(settings=("tracking.uri=https://ann:s3cret@mlflow.example",))
    assert follow_command(wishes, Path("/out"), [1], 0.0)[-1] == (
        "tracking.uri=https://mlflow.example"
    )
    assert follower_environment(wishes, ActiveRun(), {}) == {
        "MLFLOW_TRACKING_USERNAME": "ann",
        "MLFLOW_TRACKING_PASSWORD": "s3cret",
    }


def test_another_interpreter_gets_no_module_path_of_this_one() -> None:
    environ = {"PYTHONPATH": "/mine", "PYTHONHOME": "/mine"}
    assert follower_environment(Wishes(), ActiveRun(), environ) == environ
    assert follower_environment(Wishes(python="/py"), ActiveRun(), environ) == {}


def test_start_follower_has_a_session_and_a_log_of_its_own(weird_tmp_path: Path) -> None:
    log = log_file(weird_tmp_path)
    code = "import os, sys; print(os.getsid(0) == os.getpid(), sys.stdin.read(), os.environ['A'])"
    command = [sys.executable, "-c", code]
    for value in ("one", "two"):
        assert start_follower(command, {"A": value}, weird_tmp_path, log).wait(600) == 0
    lines = log.read_text().splitlines()
    assert lines[1::2] == ["True  one", "True  two"]
    assert log == weird_tmp_path / "_ftbench" / "watch.log"


@pytest.mark.parametrize(
    ("environ", "pid", "what"),
    [
        ({}, 4711, ""),
        ({"SLURM_JOB_ID": "7"}, 4711, "this Slurm job"),
        ({}, 1, "this container"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, 4711, "this container"),
    ],
)
def test_ends_with_its_job(environ: dict[str, str], pid: int, what: str) -> None:
    assert ends_with_its_job(environ, pid) == what


def test_check_settings_lists_wrong_arguments(tmp_path: Path) -> None:
    wrong = Wishes(at="never", every=0)
    with pytest.raises(ConfigError) as caught:
        check_settings(wrong, os.environ, tmp_path)
    assert [problem.tried for problem in caught.value.problems] == ["at='never'", "every=0"]


def test_check_settings_refuses_every_at_the_end_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at='end' evaluates none"):
        check_settings(Wishes(datasets=("mmlu",), every=5), os.environ, tmp_path)


def test_check_settings_finds_an_unknown_dataset(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'gsm8': .*\n  try: one of: gsm8k"):
        check_settings(Wishes(datasets=("gsm8",)), os.environ, tmp_path)


def test_check_settings_finds_an_unknown_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="limt"):
        check_settings(Wishes(datasets=("gsm8k",), settings=("limt=3",)), os.environ, tmp_path)


def test_check_settings_passes_what_is_right(tmp_path: Path) -> None:
    check_settings(Wishes(datasets=("gsm8k",), settings=("limit=3",)), os.environ, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_check_settings_says_that_an_interpreter_does_not_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="python=PATH of an interpreter that has ftbench"):
        check_settings(Wishes(datasets=("gsm8k",), python="/no/python"), os.environ, tmp_path)
