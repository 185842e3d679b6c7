"""Finished evaluations come back from a real MLflow store (sqlite), whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from ftbench.config import DatasetConf, ModelConf, TrackingConf
from ftbench.plan import Plan
from ftbench.record import record_folder
from ftbench.runtimes.base import Launch
from ftbench.schema import read_result, read_samples, write_result
from ftbench.tracking.archive import archive_name, archive_tag, sha256_of
from tests.run_fixtures import CRASH, INTO_MLFLOW, World, finish, make_world, stop_after_mmlu

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_database: Path) -> World:
    shutil.copyfile(empty_database, tmp_path / "scores.db")
    return make_world(tmp_path, monkeypatch)


def client_of(world: World) -> MlflowClient:
    return MlflowClient(f"sqlite:///{world.folder}/scores.db")


def runs(world: World) -> list[Run]:
    client = client_of(world)
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()]))


def asked(world: World) -> list[str]:
    return [plan.environment["BENCHMARK_DATASETS"] for plan in world.runtime.launched]


def contents(folder: Path) -> dict[str, bytes]:
    """The files that an evaluation leaves, by their path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for name in ("plan.json", "launch.json", "predictions", "results", "samples", "summary")
        for path in ([folder / name] if (folder / name).is_file() else (folder / name).rglob("*"))
        if path.is_file() and path.suffix != ".csv"
    }


def test_a_deleted_workspace_is_answered_from_mlflow(world: World) -> None:
    first = world.evaluate(tracking=INTO_MLFLOW)
    before = contents(first.plan.run_dir)
    shutil.rmtree(world.workspace)
    second = world.evaluate(tracking=INTO_MLFLOW)
    assert asked(world) == ["mmlu,gsm8k"]
    assert (second.exit_code, second.result) == (0, first.result)
    assert second.plan.run_dir == first.plan.run_dir
    assert contents(second.plan.run_dir) == before
    # Nothing that evaluated no one is recorded as an evaluation of its own.
    assert [run.info.run_id for run in runs(world)] == [second.pointers.run_id]
    assert f"brought from MLflow run {first.pointers.run_id}: mmlu, gsm8k" in world.printed


def test_one_dataset_of_an_evaluation_comes_from_mlflow(world: World) -> None:
    first = world.evaluate("mmlu", tracking=INTO_MLFLOW)
    shutil.rmtree(world.workspace)
    both = world.evaluate("mmlu gsm8k", tracking=INTO_MLFLOW)
    assert asked(world) == ["mmlu", "gsm8k"]
    assert both.result is not None
    mmlu, gsm8k = both.result.datasets
    assert (mmlu.reused_from, gsm8k.reused_from) == (str(first.plan.run_dir), "")
    assert len(read_samples(both.plan.files.samples(mmlu.subsets[0].abbr))) == 8
    tags = {run.info.run_id: run.data.tags for run in runs(world)}
    assert tags[both.pointers.run_id]["ftbench.reused.mmlu"] == str(first.plan.run_dir)
    assert len(tags) == 2


def test_another_evaluation_is_not_brought(world: World) -> None:
    world.evaluate("mmlu", tracking=INTO_MLFLOW)
    shutil.rmtree(world.workspace)
    own = {"mmlu": DatasetConf(limit=3)}
    world.evaluate("mmlu", tracking=INTO_MLFLOW, per_dataset=own)
    world.evaluate("mmlu", tracking=INTO_MLFLOW, reuse="never")
    assert asked(world) == ["mmlu", "mmlu", "mmlu"]
    assert "brought from" not in world.printed


def test_a_finished_dataset_of_a_failed_run_is_brought(world: World) -> None:
    world.runtime.programs = [stop_after_mmlu(CRASH), finish]
    world.evaluate("mmlu gsm8k", tracking=INTO_MLFLOW)
    shutil.rmtree(world.workspace)
    world.evaluate("mmlu", tracking=INTO_MLFLOW)
    assert asked(world) == ["mmlu,gsm8k"]


def test_an_unfinished_run_goes_on_here_whatever_was_recorded_of_it(world: World) -> None:
    world.runtime.programs = [stop_after_mmlu(CRASH), finish]
    first = world.evaluate(tracking=INTO_MLFLOW)
    second = world.evaluate(tracking=INTO_MLFLOW)
    assert second.plan.run_dir == first.plan.run_dir
    assert "brought from" not in world.printed
    assert len(list(world.workspace.glob("benchmark_results/*"))) == 1


def test_an_unfinished_run_goes_on_from_mlflow_where_nothing_is_here(world: World) -> None:
    world.runtime.programs = [stop_after_mmlu(CRASH), finish]
    first = world.evaluate(tracking=INTO_MLFLOW)
    shutil.rmtree(world.workspace)
    second = world.evaluate(tracking=INTO_MLFLOW)
    assert second.exit_code == 0
    assert second.plan.run_dir == first.plan.run_dir
    assert second.pointers.run_id == first.pointers.run_id
    assert f"brought from MLflow run {first.pointers.run_id}: mmlu (" in world.printed


def damage_archive(world: World, run: Run) -> None:
    path = artifact(run, archive_name("mmlu"))
    path.write_bytes(path.read_bytes()[:-7])


def swap_archive(world: World, run: Run) -> None:
    """The archive is whole, but it is another dataset's."""
    path = artifact(run, archive_name("mmlu"))
    shutil.copyfile(artifact(run, archive_name("gsm8k")), path)
    client_of(world).set_tag(run.info.run_id, archive_tag("mmlu"), sha256_of(path))


def lose_archive(world: World, run: Run) -> None:
    artifact(run, archive_name("mmlu")).unlink()


def forget_archive(world: World, run: Run) -> None:
    client_of(world).delete_tag(run.info.run_id, archive_tag("mmlu"))


def edit_score(world: World, run: Run) -> None:
    path = artifact(run, "summary.json")
    path.write_text(path.read_text().replace("62.3", "99.9"))


def edit_fingerprint(world: World, run: Run) -> None:
    path = artifact(run, "summary.json")
    fingerprint = run.data.tags["ftbench.fingerprint"]
    path.write_text(path.read_text().replace(fingerprint, "0" * 64))


def tear_summary(world: World, run: Run) -> None:
    path = artifact(run, "summary.json")
    path.write_text(path.read_text()[:99])


def leave_running(world: World, run: Run) -> None:
    client_of(world).update_run(run.info.run_id, status="RUNNING")


def artifact(run: Run, name: str) -> Path:
    return Path(run.info.artifact_uri.removeprefix("file://")) / name


@pytest.mark.parametrize(
    "damage",
    [
        damage_archive,
        swap_archive,
        lose_archive,
        forget_archive,
        edit_score,
        edit_fingerprint,
        tear_summary,
        leave_running,
    ],
)
def test_what_is_damaged_is_evaluated_again(
    damage: Callable[[World, Run], None], world: World
) -> None:
    world.evaluate(tracking=INTO_MLFLOW)
    shutil.rmtree(world.workspace)
    (run,) = runs(world)
    damage(world, run)
    outcome = world.evaluate(tracking=INTO_MLFLOW)
    assert outcome.exit_code == 0
    assert asked(world) == ["mmlu,gsm8k"] * 2
    assert [path.name for path in world.workspace.glob(".restored-*")] == []
    assert len(list(world.workspace.glob("benchmark_results/*"))) == 1


def test_an_unreachable_server_is_said_in_one_line(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftbench.tracking.check", lambda *checked: [])
    tracking = TrackingConf(name="mlflow", uri="http://127.0.0.1:9")
    outcome = world.evaluate("mmlu", tracking=tracking)
    assert asked(world) == ["mmlu"]
    assert outcome.exit_code == 6  # not recorded
    lines = [line for line in world.printed.splitlines() if line.startswith("note: earlier scores")]
    assert lines == [
        "note: earlier scores in http://127.0.0.1:9 could not be asked for: "
        "nothing answers there (connection refused)"
    ]


def test_the_tracker_is_not_asked_where_the_workspace_answers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = world.evaluate("mmlu gsm8k", tracking=INTO_MLFLOW)
    monkeypatch.setattr("ftbench.tracking.restore", lambda *asked: pytest.fail("asked"))
    assert world.evaluate("mmlu gsm8k", tracking=INTO_MLFLOW).exit_code == 0
    assert world.evaluate("gsm8k", tracking=INTO_MLFLOW).exit_code == 0
    assert world.evaluate(tracking=replace(INTO_MLFLOW), reuse="never").exit_code == 0
    assert first.exit_code == 0


def test_dry_run_asks_no_tracker_and_says_what_it_would_ask(world: World) -> None:
    world.evaluate("mmlu", tracking=INTO_MLFLOW)
    shutil.rmtree(world.workspace)
    world.evaluate("mmlu gsm8k", tracking=INTO_MLFLOW, dry_run=True)
    uri = f"sqlite:///{world.folder}/scores.db"
    assert f"a launch would first look for mmlu, gsm8k in {uri}\n" in world.printed
    assert not world.workspace.exists()


def with_hashes(plan: Plan) -> Launch:
    """As a real program: it says which questions were asked, in which words."""
    launch = finish(plan)
    result = read_result(plan.files.result)
    datasets = tuple(
        replace(d, subsets=tuple(replace(s, prompt_hash="aa", data_hash=s.abbr) for s in d.subsets))
        for d in result.datasets
    )
    write_result(plan.files.result, replace(result, datasets=datasets))
    return launch


def test_adapters_are_compared_with_a_base_whose_scores_were_reused(world: World) -> None:
    world.runtime.programs = [with_hashes]
    base = ModelConf(base=str(world.folder / "base"))
    world.evaluate("mmlu", model=base, tracking=INTO_MLFLOW)
    both = world.evaluate("mmlu gsm8k", model=base, tracking=INTO_MLFLOW)
    adapter = world.evaluate("mmlu gsm8k", tracking=INTO_MLFLOW)
    assert asked(world) == ["mmlu", "gsm8k", "mmlu,gsm8k"]
    tags = client_of(world).get_run(adapter.pointers.run_id).data.tags
    assert tags["ftbench.base_run_id"] == both.pointers.run_id
    assert tags["ftbench.vs_base"] == "avg ±0.0 · gsm8k ±0.0 · mmlu ±0.0"


def test_a_reusing_run_folder_can_be_recorded_elsewhere_and_brought_from_there(
    world: World,
) -> None:
    world.evaluate("mmlu")
    both = world.evaluate("mmlu gsm8k")
    uri = f"sqlite:///{world.folder}/scores.db"
    recorded = record_folder(both.plan.run_dir, uri)
    assert record_folder(both.plan.run_dir, uri).run_id == recorded.run_id
    shutil.rmtree(world.workspace)
    again = world.evaluate("mmlu gsm8k", tracking=INTO_MLFLOW)
    assert asked(world) == ["mmlu", "gsm8k"]
    assert again.result == both.result


def test_recording_what_was_found_uploads_nothing_again(world: World) -> None:
    world.evaluate(tracking=INTO_MLFLOW)
    (run,) = runs(world)
    gone = [artifact(run, name) for name in ("samples.html", "plots/scores.svg")]
    for path in gone:
        path.unlink()
    world.evaluate(tracking=INTO_MLFLOW)
    assert [path.exists() for path in gone] == [False, False]
    record_folder(world.runtime.launched[0].run_dir)
    assert [path.exists() for path in gone] == [True, True]
