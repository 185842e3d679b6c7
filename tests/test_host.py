"""The surroundings: which environment variables count, with which defaults."""

import os
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from ftbench.host import Host, command_line, read_host

HOME = {"HOME": "/home/ada", "FTBENCH_CACHE": "/cache"}


def test_read_host_has_defaults_below_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["run.py", "datasets=[mmlu]"])
    assert read_host(HOME) == Host(
        cwd=tmp_path,
        cache_dir=Path("/cache"),
        data_dir=Path("/home/ada/.cache/opencompass"),
        hub_dir=Path("/home/ada/.cache/huggingface/hub"),
        hub_offline=False,
        tracking_uri=None,
        processors=len(os.sched_getaffinity(0)),
        user=f"{os.getuid()}:{os.getgid()}",
        command=("python", "-m", "ftbench.run", "datasets=[mmlu]"),
        secrets={},
        home_data_dir=Path("/home/ada/.cache/opencompass"),
    )


@pytest.mark.parametrize(
    ("environ", "hub_dir"),
    [
        ({"HF_HOME": "/hf"}, "/hf/hub"),
        ({"HF_HOME": "~/hf"}, "/home/ada/hf/hub"),
        ({"HF_HOME": ""}, "/home/ada/.cache/huggingface/hub"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/huggingface/hub"),
        ({"XDG_CACHE_HOME": "/xdg", "HF_HOME": "/hf"}, "/hf/hub"),
        ({"HUGGINGFACE_HUB_CACHE": "/old", "HF_HOME": "/hf"}, "/old"),
        ({"HF_HUB_CACHE": "/hub", "HUGGINGFACE_HUB_CACHE": "/old", "HF_HOME": "/hf"}, "/hub"),
    ],
    ids=str,
)
def test_read_host_finds_the_hub_cache_where_its_client_does(
    environ: dict[str, str], hub_dir: str
) -> None:
    assert read_host(HOME | environ).hub_dir == Path(hub_dir)


def test_read_host_makes_relative_folders_absolute(
    monkeypatch: pytest.MonkeyPatch, weird_tmp_path: Path
) -> None:
    monkeypatch.chdir(weird_tmp_path)
    environ = {"FTBENCH_CACHE": "c", "COMPASS_DATA_CACHE": "d", "HF_HUB_CACHE": "h"}
    host = read_host(environ)
    expected = [weird_tmp_path / name for name in "cdh"]
    assert [host.cache_dir, host.data_dir, host.hub_dir] == expected


@pytest.mark.parametrize(
    ("environ", "offline"),
    [
        ({"HF_HUB_OFFLINE": "1"}, True),
        ({"HF_HUB_OFFLINE": "True"}, True),
        ({"HF_HUB_OFFLINE": "on"}, True),
        ({"HF_HUB_OFFLINE": "0"}, False),
        ({"HF_HUB_OFFLINE": ""}, False),
        ({"TRANSFORMERS_OFFLINE": "1"}, True),
        ({"TRANSFORMERS_OFFLINE": "1", "HF_HUB_OFFLINE": "0"}, False),
    ],
    ids=str,
)
def test_read_host_knows_whether_the_hub_is_off(environ: dict[str, str], offline: bool) -> None:
    assert read_host(HOME | environ).hub_offline is offline


def test_read_host_takes_the_tracking_uri_unless_it_is_empty() -> None:
    assert read_host(HOME | {"MLFLOW_TRACKING_URI": "http://t:5000"}).tracking_uri == (
        "http://t:5000"
    )
    assert read_host(HOME | {"MLFLOW_TRACKING_URI": ""}).tracking_uri is None


def test_read_host_takes_only_secrets_that_may_be_handed_on() -> None:
    environ = {"HF_TOKEN": "hf_1", "OC_JUDGE_API_KEY": "", "AWS_SECRET_ACCESS_KEY": "aws"}
    assert read_host(HOME | environ).secrets == {"HF_TOKEN": "hf_1"}


def test_host_shows_no_secret_when_it_is_printed() -> None:
    host = read_host(HOME | {"HF_TOKEN": "hf_very_secret"})
    assert "hf_very_secret" not in repr(host) and "hf_very_secret" not in str(host)
    assert "secrets" in {field.name for field in fields(host)}


def test_command_line_is_what_a_shell_takes_back() -> None:
    assert command_line(("python", "-m", "ftbench.run", "model.adapter=a b'c")) == (
        "python -m ftbench.run 'model.adapter=a b'\"'\"'c'"
    )


def test_host_path_starts_at_the_working_folder_and_knows_the_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ada")
    host = read_host(HOME)
    assert host.path("out") == tmp_path / "out"
    assert host.path("/out") == Path("/out")
    assert host.path("~/out") == Path("/home/ada/out")
