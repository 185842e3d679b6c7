"""What a watcher hands on: checked before it starts, and the same however it is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ftbench.errors import ConfigError
from ftbench.host import Host, read_host
from ftbench.watch.options import parse_options
from ftbench.watch.settings import Settings, check_settings


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.chdir(tmp_path)
    return read_host({"HOME": str(tmp_path), "FTBENCH_CACHE": str(tmp_path / "cache")})


def check(host: Host, line: str) -> Settings:
    return check_settings(parse_options(line.split()), host)


def problems(host: Host, line: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check(host, line)
    return [problem.tried for problem in caught.value.problems]


def test_all_problems_are_told_at_once(host: Host) -> None:
    line = "out model.adapter=x tracking.step=3 training.command=train dry_run=true reuse=never"
    assert problems(host, f"{line} limit=-3 no.such=1") == [
        "model.adapter=x",
        "tracking.step=3",
        "training.command=train",
        "dry_run=true",
        "reuse=never",
        "no.such=1",
        "datasets",
        "limit=-3",
    ]


def test_unknown_dataset_is_told_before_anything_is_followed(host: Host) -> None:
    assert problems(host, "out datasets=[gsm9k]") == ["datasets: 'gsm9k'"]


def test_training_run_of_a_folder_may_be_said_that_of_an_experiment_is_found(host: Host) -> None:
    line = "datasets=[gsm8k] tracking.training_run_id=abc"
    assert "tracking.training_run_id=abc" in check(host, f"out {line}").arguments
    assert problems(host, f"--experiment mine {line}") == ["tracking.training_run_id=abc"]


def test_same_settings_have_one_identity_however_they_are_written(host: Host) -> None:
    one = check(host, "out datasets=[gsm8k,mmlu] limit=3 backend.temperature=0.0")
    two = check(host, "out limit=3 --poll 1 datasets=['gsm8k','mmlu']")
    other = check(host, "out datasets=[gsm8k,mmlu] limit=4")
    assert one.digest == two.digest
    assert one.digest != other.digest


def test_own_file_is_part_of_the_identity(host: Host) -> None:
    quiz = Path("quiz.jsonl")
    quiz.write_text('{"question": "1+1", "answer": "2"}\n')
    before = check(host, "out datasets=[./quiz.jsonl]").digest
    quiz.write_text('{"question": "1+1", "answer": "3"}\n')
    assert check(host, "out datasets=[./quiz.jsonl]").digest != before


def test_selection_and_store_are_part_of_the_identity(host: Host) -> None:
    line = "datasets=[gsm8k]"
    lines = [
        f"out {line}",
        f"out {line} --every 5",
        f"out {line} --take final",
        f"out {line} tracking.uri=http://m:5000",
        f"--experiment a {line}",
        f"--experiment b {line}",
    ]
    assert len({check(host, text).digest for text in lines}) == len(lines)


def test_password_reaches_neither_arguments_nor_identity(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
    for line in (
        "out datasets=[gsm8k] tracking.uri=http://me:s3cret@m:5000",
        "out datasets=[gsm8k] --tracking-uri http://me:s3cret@m:5000",
        "--experiment e datasets=[gsm8k] --tracking-uri http://me:s3cret@m:5000",
    ):
        settings = check(host, line)
        assert "s3cret" not in repr(settings)
        assert settings.tracking_uri == "http://m:5000"
        assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "s3cret"


def test_own_options_of_hydra_are_handed_on(host: Host, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "suite"
    folder.mkdir(parents=True)
    (folder / "ours.yaml").write_text("name: ours\ndatasets: [gsm8k]\n")
    settings = check(host, f"out suite=ours --config-dir {tmp_path}/mine")
    assert settings.arguments == (f"--config-dir={tmp_path}/mine", "suite=ours")
