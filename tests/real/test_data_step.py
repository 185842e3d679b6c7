"""Data in a step of its own: brought by the real command, then evaluated with no server left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ftbench.schema import OK, RunFiles, read_result, read_samples
from tests.data.repositories import parquet
from tests.data.server import DataServer, data_server
from tests.real.conftest import Demo

pytestmark = [pytest.mark.opencompass, pytest.mark.slow]

ROOT = Path(__file__).parents[2]

QUESTION = {
    "question": "Which?",
    "opa": "a",
    "opb": "b",
    "opc": "c",
    "opd": "d",
    "cop": 1,
    "subject_name": "Oral_Health",
    "topic_name": "t",
    "choice_type": "single",
}


@dataclass(frozen=True)
class Brought:
    """What two commands did.

    Attributes:
        fetched: What ``python -m ftbench.datasets fetch`` printed, a line each.
        seen: Requests that the server got.
        exit_code: Of the evaluation, which ran when the server was gone.
        printed: By the evaluation.
    """

    folder: Path
    fetched: tuple[str, ...]
    seen: tuple[str, ...]
    exit_code: int
    printed: str

    @property
    def files(self) -> RunFiles:
        (folder,) = (self.folder / "workspace" / "benchmark_results").iterdir()
        return RunFiles(folder)


@pytest.fixture(scope="module")
def brought(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Brought:
    folder = tmp_path_factory.mktemp("data_step")
    with data_server() as server:
        environment = {
            **os.environ,
            "PYTHONPATH": str(installed(folder / "installed", fill(server))),
            "no_proxy": "127.0.0.1",
            "COMPASS_DATA_CACHE": str(folder / "opencompass"),
            "HF_HUB_CACHE": str(folder / "hub"),
            "FTBENCH_DATA_URL": server.url,
            "HF_ENDPOINT": server.url,
        }

        def python(*arguments: str) -> tuple[int, str]:
            done = subprocess.run(
                [sys.executable, "-m", *arguments],
                env=environment,
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            return done.returncode, done.stdout

        code, fetched = python("ftbench.datasets", "fetch", "gsm8k", "medmcqa")
        assert code == 0, fetched
        seen = tuple(server.seen)
    exit_code, printed = python(
        *("ftbench.run", f"model.adapter={demo.adapter}", "datasets=[gsm8k,medmcqa]"),
        *("runtime=local", "runtime.num_gpus=0", "backend.max_out_len=8"),
        *("tracking=none", "workspace=workspace", "baseline=none"),
    )
    return Brought(folder, tuple(fetched.splitlines()), seen, exit_code, printed)


def fill(server: DataServer) -> str:
    """Serves gsm8k's archive and medmcqa's repository, three rows each; gives the former's md5."""
    stories = "".join(
        json.dumps({"question": f"Tom has {i} and gets 2.", "answer": f"So.\n#### {i + 2}"}) + "\n"
        for i in range(3)
    )
    server.repositories["openlifescienceai/medmcqa@main"] = {
        "data/validation-00000-of-00001.parquet": parquet(QUESTION, QUESTION, QUESTION)
    }
    splits = ("train", "test")
    return server.add_archive("gsm8k.zip", {f"gsm8k/{s}.jsonl": stories for s in splits})


def installed(folder: Path, md5: str) -> Path:
    """A copy of ftbench whose catalogue knows the test's archive by its checksum."""
    for name in ("ftbench", "conf", "docker"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "ftbench" / "catalogue.json"
    catalogue = json.loads(path.read_text())
    catalogue["downloads"]["/gsm8k/"][1] = md5
    path.write_text(json.dumps(catalogue))
    return folder


def test_fetch_brings_an_archive_and_a_dataset_of_the_hub(brought: Brought) -> None:
    place = brought.folder / "opencompass" / "data" / "gsm8k"
    hub = brought.folder / "hub" / "datasets--openlifescienceai--medmcqa"
    assert f"gsm8k: downloaded 0.0 MB to {place}" in brought.fetched
    assert f"medmcqa: downloaded 0.0 MB to {hub}" in brought.fetched
    assert "GET /datasets/data/gsm8k.zip" in brought.seen
    assert [path.name for path in sorted(place.iterdir())] == ["test.jsonl", "train.jsonl"]


def test_what_was_brought_is_evaluated_with_no_server(brought: Brought) -> None:
    assert brought.exit_code == 0, brought.printed
    assert "Execution: Benchmark completed: 2/2 datasets" in brought.printed
    result = read_result(brought.files.summary)
    statuses = {d.name: (d.status, d.subsets[0].expected) for d in result.datasets}
    assert statuses == {"gsm8k": (OK, 3), "medmcqa": (OK, 3)}


def test_every_sample_of_a_hub_dataset_is_there(brought: Brought) -> None:
    samples = read_samples(brought.files.samples("medmcqa"))
    assert [sample.reference for sample in samples] == ["B", "B", "B"]
    assert all("Which?\nA. a\nB. b\nC. c\nD. d" in sample.prompt for sample in samples)
