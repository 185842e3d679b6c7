"""The command line of the gate, on run folders and on a recorded run."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from ftbench.gate.__main__ import main
from ftbench.plan import TrackingPlan
from ftbench.tracking import record
from ftbench.tracking.searching import open_tracker
from tests.tracking.conftest import Store
from tests.tracking_fixtures import gsm8k, make_adapter, make_run_folder, mmlu, result_of

DROP = ["gate=no_regression", "gate.evidence=score"]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Workspaces of a base model and of an adapter of it: gsm8k 75 and 25, mmlu equal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name, score in (("plain", 75.0), ("tuned", 25.0)):
        result = replace(result_of(mmlu(), gsm8k(score)), fingerprint=name)
        adapter = make_adapter(tmp_path / "poems") if name == "tuned" else None
        make_run_folder(tmp_path / name, TrackingPlan("none"), result, adapter)
    return tmp_path


def test_a_breach_has_its_exit_code(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tuned", *DROP, "--baseline", "plain", "--json", "gate.json"]) == 8
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Gate no_regression: BREACH"
    assert "  gsm8k (critical): at most 2 below the baseline: BREACH: -50.00" in lines, "\n".join(
        lines
    )
    assert lines[-1].startswith("The decision is not recorded")
    assert json.loads(Path("gate.json").read_text())["outcome"] == "BREACH"


def test_a_floor_needs_no_baseline(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    floor = ["gate.name=mine", "gate.evidence=score", "gate.per_dataset.gsm8k.floor=20"]
    assert main(["tuned", *floor]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "Gate mine: PASS"


def test_without_a_base_run_a_drop_is_inconclusive(
    store: Store, folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tuned", *DROP, "--tracking-uri", store.uri]) == 9
    assert "no benchmark run of tiny/base-model asks the same" in capsys.readouterr().out


def test_settings_of_no_gate_and_no_policy_are_refused(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tuned", "limit=3"]) == 2
    assert "limit=3: it is no setting of a gate" in capsys.readouterr().err
    assert main(["tuned", "gate=none"]) == 2
    assert "no policy is chosen" in capsys.readouterr().err
    assert main(["tuned", "gate=strictt"]) == 2


def test_a_named_baseline_must_be_there(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tuned", *DROP, "--baseline", "plainn"]) in (2, 6)


@pytest.mark.slow
def test_a_decision_is_on_its_run_and_the_alias_moves_on_pass_only(
    store: Store, folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = replace(result_of(gsm8k(25.0)), fingerprint="ours")
    folder = make_run_folder(folders / "w", store.plan(), result, make_adapter(folders / "poems"))
    run_id = record(folder.plan, result).run_id
    asked = [run_id, "gate.name=mine", "gate.evidence=score", "--tracking-uri", store.uri]
    alias = ["gate.registered_model=poet", "gate.alias=champion"]
    assert main([*asked, "gate.rule.floor=30", *alias]) == 8
    assert store.client.get_run(run_id).data.tags["ftbench.gate"] == "BREACH"
    assert store.client.search_registered_models() == []
    assert main([*asked, "gate.rule.floor=20", *alias]) == 0
    assert "poet@champion is version 1 now" in capsys.readouterr().out
    tags = store.client.get_run(run_id).data.tags
    assert (tags["ftbench.gate"], tags["ftbench.gate_policy"]) == ("PASS", "mine")
    assert main([*asked, "gate.rule.floor=99", "--no-record"]) == 8
    assert store.client.get_run(run_id).data.tags["ftbench.gate"] == "PASS"


@pytest.fixture
def elsewhere(store: Store, empty_database: Path, folders: Path) -> str:
    """A second store without runs, in which names are looked for."""
    shutil.copyfile(empty_database, folders / "elsewhere.db")
    return f"sqlite:///{folders / 'elsewhere.db'}"


FLOOR = ["gate.name=mine", "gate.evidence=score", "gate.rule.floor=20"]


@pytest.mark.slow
def test_a_decision_about_a_folder_is_on_the_run_that_it_is_recorded_as(
    store: Store, elsewhere: str, folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run_folder(folders / "w", store.plan(), result_of(gsm8k(25.0)))
    recorded = record(folder.plan, folder.result)
    assert main([str(folder.path), *FLOOR, "--tracking-uri", elsewhere]) == 0
    assert "not recorded" not in capsys.readouterr().out
    assert store.client.get_run(recorded.run_id).data.tags["ftbench.gate"] == "PASS"
    assert MlflowClient(elsewhere).search_runs(["0"]) == []
    # It is gone from there: nobody takes the decision.
    store.client.delete_run(recorded.run_id)
    assert main([str(folder.path), *FLOOR, "--tracking-uri", elsewhere]) == 0
    assert "The decision is not recorded" in capsys.readouterr().out


@pytest.mark.slow
def test_a_decision_about_a_page_is_on_the_run_of_its_server(
    store: Store, elsewhere: str, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run_folder(folders / "w", store.plan(), result_of(gsm8k(25.0)))
    recorded = record(folder.plan, folder.result)
    server = "http://127.0.0.1:5000"
    assert recorded.run_url.startswith(server)
    # Another store takes the part of the server, which need not run.
    monkeypatch.setattr(
        "ftbench.references.finder.open_tracker",
        lambda uri: open_tracker(store.uri if uri == server else uri),
    )
    here = folders / "here"
    here.mkdir()
    shutil.copyfile(folders / "elsewhere.db", here / "mlflow.db")
    monkeypatch.chdir(here)
    assert main([recorded.run_url, *FLOOR]) == 0
    assert store.client.get_run(recorded.run_id).data.tags["ftbench.gate"] == "PASS"
    assert MlflowClient(f"sqlite:///{here / 'mlflow.db'}").search_runs(["0"]) == []
