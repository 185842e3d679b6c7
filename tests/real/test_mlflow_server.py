"""Recording into a real MLflow server: crashes, outages, credentials, parallel writers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from ftbench import tracking
from ftbench.errors import EXIT_TRACKING, TrackingError
from ftbench.plan import TrackingPlan, write_plan
from ftbench.references import Finder, find_runs
from ftbench.tracking import recorder
from ftbench.tracking.gated import move_alias, record_gate
from ftbench.tracking.glance import SeenRun, is_ready, look_up_run
from tests.browser import free_port, kill_mlflow_server, mlflow_server, start_mlflow_server
from tests.http_proxy import http_proxy
from tests.tracking_fixtures import (
    RunFolder,
    dataset,
    gsm8k,
    make_adapter,
    make_run_folder,
    mmlu,
    result_of,
)

pytestmark = [pytest.mark.mlflow_server, pytest.mark.slow]

SECRET = "pl4nted-s3cret"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(f"sqlite:///{folder}/mlflow.db") as url:
        yield url


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def training_run(client: MlflowClient, experiment: str) -> str:
    experiment_id = client.create_experiment(experiment)
    run_id = str(client.create_run(experiment_id, run_name="lora").info.run_id)
    client.log_metric(run_id, "loss", 0.5, step=3)
    client.set_terminated(run_id)
    return run_id


def run_folder(
    path: Path, plan: TrackingPlan, stamp: str = "20260921_143320", subjects: int = 57
) -> RunFolder:
    """A finished evaluation of so many subjects of mmlu, and gsm8k."""
    adapter = make_adapter(path / "sft" / "adapter")
    some = dataset("mmlu", mmlu(4).subsets[:subjects])
    return make_run_folder(
        path / "workspace", plan, result_of(some, gsm8k(25.0)), adapter, stamp=stamp
    )


def assert_recorded_once(
    client: MlflowClient, run_id: str, trained: str, subjects: int = 57
) -> None:
    """One benchmark run, one model, one point per metric, one link, every artifact."""
    run = client.get_run(run_id)
    experiment = [run.info.experiment_id]
    key = run.data.tags["ftbench.eval_key"]
    assert [
        r.info.run_id for r in client.search_runs(experiment, f"tags.`ftbench.eval_key` = '{key}'")
    ] == [run_id]
    assert len(client.search_logged_models(experiment)) == 1
    assert run.info.status == "FINISHED"
    families = Counter(name.split("/")[0] for name in run.data.metrics)
    assert families == {
        "bench": 3,
        "coverage": 2,
        "subset": subjects,
        "seconds": 2,
        "validity": 2,
    }
    for metric in ("bench/avg", "bench/mmlu", f"subset/mmlu/subject_{subjects - 1:02d}"):
        assert len(client.get_metric_history(run_id, metric)) == 1
    assert len(run.inputs.dataset_inputs) == 2
    assert len(run.inputs.model_inputs) == 1
    names = {item.path for item in client.list_artifacts(run_id)}
    assert {"summary.json", "plan.json", "samples", "predictions", "logs", "configs"} <= names
    parent = client.get_run(trained)
    assert parent.data.metrics["bench/gsm8k"] == 25.0
    assert len(client.get_metric_history(trained, "bench/gsm8k")) == 1
    assert len(parent.outputs.model_outputs) == 1
    assert parent.data.tags["mlflow.note.content"].count(f"runs/{run_id}") == 2


def test_a_server_takes_everything_and_recording_again_changes_nothing(
    server: str, tmp_path: Path
) -> None:
    client = MlflowClient(server)
    trained = training_run(client, "once")
    folder = run_folder(tmp_path, TrackingPlan("mlflow", server, training_run_id=trained))

    assert tracking.check(folder.plan.tracking) == []
    recorded = tracking.record(folder.plan, folder.result)
    assert_recorded_once(client, recorded.run_id, trained)
    again = tracking.record(folder.plan, folder.result)

    assert again == recorded
    assert_recorded_once(client, recorded.run_id, trained)
    page = f"{server}/#/experiments/{recorded.experiment_id}/runs"
    assert recorded.run_url == f"{page}/{recorded.run_id}"
    assert recorded.open_with == ""
    samples = client.download_artifacts(recorded.run_id, "samples/gsm8k.json", str(tmp_path))
    assert len(json.loads(Path(samples).read_text())["data"]) == 16

    finder = Finder(server, None, tmp_path, is_given=True)
    by_id, by_page = (
        find_runs([name], None, finder).runs for name in (recorded.run_id, recorded.run_url)
    )
    assert by_id == by_page
    assert [run.result for run in by_id] == [folder.result]
    assert (by_id[0].link, by_id[0].training_name) == (recorded.run_url, "lora")

    record_gate(server, recorded.run_id, {"ftbench.gate": "PASS"}, '{"outcome": "PASS"}')
    assert client.get_run(recorded.run_id).data.tags["ftbench.gate"] == "PASS"
    said = move_alias(server, recorded.run_id, "poet", "champion")
    assert said == "poet@champion is version 1 now (it was unset)"
    version = client.get_model_version_by_alias("poet", "champion")
    assert version.source == f"models:/{recorded.model_id}"
    assert move_alias(server, recorded.run_id, "poet", "champion").endswith("already")


@pytest.mark.parametrize("loses_an_answer", [False, True])
def test_a_server_may_die_between_any_two_requests(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loses_an_answer: bool
) -> None:
    """Dies after the first request, at the next try after the second, ... until all went through.

    Whatever a request makes, it is once the last thing that a try made, and the next try finds it.
    Of two subjects: more of them add not one request.
    """
    monkeypatch.setattr(recorder, "RETRIES", 0)
    client = MlflowClient(server)
    trained = training_run(client, f"dies, answer lost: {loses_an_answer}")
    total = 0
    with http_proxy(server) as proxy:
        plan = TrackingPlan("mlflow", proxy.url, training_run_id=trained)
        folder = run_folder(tmp_path, plan, subjects=2)
        while True:
            proxy.seen.clear()
            proxy.dies_after, proxy.loses_an_answer = total, loses_an_answer
            try:
                recorded = tracking.record(folder.plan, folder.result)
                break
            except TrackingError as error:
                assert "the server broke the connection" in str(error)
            total += 1
    assert_recorded_once(client, recorded.run_id, trained, subjects=2)
    # Every request of one recording was the last one once: far more than the 20 that are ours.
    assert total > 20


def test_a_killed_server_costs_nothing(tmp_path: Path) -> None:
    """The server is killed while it takes artifacts; the command line finishes the recording."""
    port, database = free_port(), f"sqlite:///{tmp_path}/mlflow.db"
    process, url = start_mlflow_server(database, port)
    client = MlflowClient(url)
    trained = training_run(client, "killed")
    folder = run_folder(tmp_path, TrackingPlan("mlflow", url, training_run_id=trained))
    command = [sys.executable, "-m", "ftbench.record", str(folder.plan.workspace)]
    with http_proxy(url) as proxy:
        proxy.holds = "artifacts"
        planned = replace(folder.plan, tracking=replace(folder.plan.tracking, uri=proxy.url))
        write_plan(planned)
        recording = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        while not any("artifacts" in request for request in proxy.seen):
            assert recording.poll() is None
            time.sleep(0.01)
        kill_mlflow_server(process)
        proxy.released.set()
    # The proxy is gone too: nothing answers any more.
    _, error = recording.communicate(timeout=300)

    assert recording.returncode == EXIT_TRACKING
    assert error.startswith("The scores are safe on disk but were not recorded\n")
    assert "  try: start the server (mlflow server)" in error
    assert f"then python -m ftbench.record {folder.path}" in error

    process, _ = start_mlflow_server(database, port)
    try:
        write_plan(folder.plan)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        (run,) = client.search_runs(
            [client.get_run(trained).info.experiment_id], "tags.`ftbench.kind` = 'eval'"
        )
        assert done.stdout.startswith(f"Recorded {folder.path}\n")
        assert f"runs/{run.info.run_id}\n" in done.stdout
        assert_recorded_once(client, run.info.run_id, trained)
    finally:
        kill_mlflow_server(process)


def test_a_server_that_is_away_is_noticed_soon(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    folder = run_folder(tmp_path, TrackingPlan("mlflow", url))
    started = time.monotonic()

    with pytest.raises(TrackingError) as caught:
        tracking.record(folder.plan, folder.result)

    # MLflow's own client would try for four minutes.
    assert time.monotonic() - started < 60
    assert str(caught.value) == (
        "The scores are safe on disk but were not recorded\n"
        f"recording into {url}: nothing answers there (connection refused)\n"
        f"  log: {folder.path}/logs/tracking.log\n"
        "  try: start the server (mlflow server), or choose another with tracking.uri=URI; "
        f"tracking=none records nothing; then python -m ftbench.record {folder.path}"
    )


def test_credentials_reach_the_server_and_nothing_else(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    with http_proxy(server, credentials=f"me:{SECRET}") as proxy:
        folder = run_folder(tmp_path, TrackingPlan("mlflow", proxy.url, experiment="guarded"))
        assert [str(problem) for problem in tracking.check(folder.plan.tracking)] == [
            f"tracking.uri={proxy.url}: it refuses the credentials (401)\n"
            "  try: export MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
            "or MLFLOW_TRACKING_TOKEN"
        ]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.url.replace("//", f"//me:{SECRET}@"))
        assert tracking.check(folder.plan.tracking) == []
        recorded = tracking.record(folder.plan, folder.result)
        proxy.dies_after = 0
        with pytest.raises(TrackingError) as caught:
            tracking.record(folder.plan, folder.result)
    assert "MLFLOW_TRACKING_PASSWORD" not in os.environ

    client = MlflowClient(server)
    copy = tmp_path / "downloaded"
    copy.mkdir()
    client.download_artifacts(recorded.run_id, "", str(copy))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert folder.path / "logs" / "tracking.log" in files
    assert copy / "plan.json" in files
    printed = capfd.readouterr()
    texts = {str(path): path.read_bytes().decode(errors="replace") for path in files}
    texts |= {"error": str(caught.value), "out": printed.out, "err": printed.err}
    texts["run"] = json.dumps(client.get_run(recorded.run_id).to_dictionary(), default=str)
    texts["model"] = str(client.get_logged_model(recorded.model_id).to_dictionary())
    assert [name for name, text in texts.items() if SECRET in text] == []


def test_parallel_recorders_on_a_new_database(tmp_path: Path) -> None:
    """Six processes at once, two of them with the same run folder, and no database yet."""
    plan = TrackingPlan("mlflow", f"sqlite:///{tmp_path}/new/mlflow.db")
    folders = [run_folder(tmp_path, plan, stamp=f"2026092{n}_000000") for n in range(5)]
    commands = [
        [sys.executable, "-m", "ftbench.record", str(folder.path)]
        for folder in (*folders, folders[0])
    ]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    ends = [(process.communicate(timeout=600)[1], process.returncode) for process in started]

    assert [(code, error) for error, code in ends if code] == []
    client = MlflowClient(plan.uri)
    experiment = client.get_experiment_by_name("ftbench")
    runs = client.search_runs([experiment.experiment_id])
    keys = sorted(run.data.tags["ftbench.eval_key"] for run in runs)
    assert keys == [f"f0f0f0f0f0f0f0f0-2026092{n}_000000" for n in range(5)]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(client.search_logged_models([experiment.experiment_id])) == 1


def test_a_server_is_looked_at_without_its_client(server: str) -> None:
    client = MlflowClient(server)
    run_id = training_run(client, "looked at")
    experiment_id = client.get_run(run_id).info.experiment_id
    assert is_ready(server)
    assert is_ready(server, "looked at")
    assert not is_ready(server, "new one")
    assert look_up_run(server, run_id) == SeenRun("FINISHED", experiment_id)
    assert look_up_run(server, "ab" * 16) is None
    client.delete_run(run_id)
    assert look_up_run(server, run_id) is None


def test_a_recorded_result_is_not_recorded_again_on_a_server(server: str, tmp_path: Path) -> None:
    folder = run_folder(tmp_path, TrackingPlan("mlflow", server, experiment="once"), subjects=2)
    recorded = tracking.record(folder.plan, folder.result)
    assert tracking.recorded_before(folder.plan, folder.result) == recorded
    MlflowClient(server).delete_run(recorded.run_id)
    assert tracking.recorded_before(folder.plan, folder.result) is None
