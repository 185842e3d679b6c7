"""Comparing runs out of a tracker: whose answers are read, and where the comparison is put."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ftbench.compare import main
from ftbench.tracking import record
from ftbench.tracking.answers import FolderAnswers, RecordedAnswers
from ftbench.tracking.reading import load_runs
from ftbench.tracking.searching import open_tracker
from tests.tracking.conftest import Store
from tests.tracking_fixtures import RunFolder, gsm8k, make_adapter, make_run_folder, mmlu, result_of


@dataclass(frozen=True)
class Recorded:
    """A base model and an adapter of it in a tracker, and what compares them."""

    store: Store
    folders: tuple[RunFolder, RunFolder]
    ids: tuple[str, str]
    run: Callable[..., int]

    def artifacts(self, run_id: str) -> set[str]:
        return {item.path for item in self.store.client.list_artifacts(run_id, "comparison")}


@pytest.fixture
def recorded(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    monkeypatch.chdir(tmp_path)
    folders = []
    for name, score in (("plain", 25.0), ("tuned", 75.0)):
        result = replace(result_of(mmlu(), gsm8k(score)), fingerprint=name.ljust(64, "0"))
        adapter = make_adapter(tmp_path / "poems") if name == "tuned" else None
        folders += [make_run_folder(tmp_path / name, store.plan(), result, adapter)]
    ids = tuple(record(folder.plan, folder.result).run_id for folder in folders)

    def run(*options: str) -> int:
        return main([*ids, "--tracking-uri", store.uri, *options])

    return Recorded(store, (folders[0], folders[1]), (ids[0], ids[1]), run)


def test_answers_come_from_the_folder_only_with_the_recorded_summary(recorded: Recorded) -> None:
    tracker = open_tracker(recorded.store.uri)
    _, tuned = recorded.folders
    with tuned.plan.files.summary.open("a") as summary:
        summary.write("\n")
    found = {
        run.key: run for run in load_runs(tracker, tracker.search("tags.`ftbench.kind`='eval'"))
    }
    assert isinstance(found[recorded.ids[0]].answers, FolderAnswers)
    assert isinstance(found[recorded.ids[1]].answers, RecordedAnswers)


def test_folder_and_artifacts_give_the_same_comparison(recorded: Recorded) -> None:
    assert recorded.run("--json", "disk.json", "--no-record") == 0
    for folder in recorded.folders:
        shutil.rmtree(folder.path)
    assert recorded.run("--json", "tracker.json", "--no-record") == 0
    disk, tracker = (json.loads(Path(name).read_text()) for name in ("disk.json", "tracker.json"))
    assert tracker == disk
    assert tracker["datasets"][1]["scores"][recorded.ids[1]]["verdict"] == "better"
    assert tracker["runs"][1]["flips"][1]["shown"]


def test_missing_artifact_is_the_reason_that_nothing_is_tested(recorded: Recorded) -> None:
    for folder in recorded.folders:
        shutil.rmtree(folder.path)
    run = recorded.store.client.get_run(recorded.ids[1])
    root = Path(run.info.artifact_uri.removeprefix("file://"))
    (root / "predictions" / "gsm8k.parquet").unlink()
    assert recorded.run("--json", "a.json", "--no-record") == 0
    value = json.loads(Path("a.json").read_text())
    scores = value["datasets"][1]["scores"][recorded.ids[1]]
    assert scores["verdict"] == "not tested"
    assert "predictions/gsm8k.parquet cannot be had" in scores["not_tested"]


def test_comparison_is_put_on_the_compared_run_and_replaced(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = {f"comparison/vs-base.{ending}" for ending in ("html", "json", "md")}
    for _ in range(2):
        assert recorded.run() == 0
        assert recorded.artifacts(recorded.ids[1]) == expected
    assert recorded.artifacts(recorded.ids[0]) == set()
    assert "recorded as comparison/vs-base.html" in capsys.readouterr().err


def test_nothing_is_put_there_when_it_is_not_wanted(recorded: Recorded) -> None:
    assert recorded.run("--no-record") == 0
    assert recorded.artifacts(recorded.ids[1]) == set()


def test_tracker_that_does_not_take_it_is_a_note(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    run = recorded.store.client.get_run(recorded.ids[1])
    root = Path(run.info.artifact_uri.removeprefix("file://"))
    (root / "comparison").write_text("in the way")
    assert recorded.run() == 0
    assert "note: the comparison was not recorded" in capsys.readouterr().err
