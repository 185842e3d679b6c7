"""Runs are found by whatever people call them, in a tracker that holds a small project."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ftbench.comparison import compare
from ftbench.errors import ComparisonError, ReadingError
from ftbench.plan import TrackingPlan
from ftbench.references import Finder, find_runs
from ftbench.schema import Result
from ftbench.tracking import record
from ftbench.tracking.store import open_store
from tests.tracking.conftest import Store
from tests.tracking_fixtures import RunFolder, gsm8k, make_adapter, make_run_folder, result_of

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Project:
    """A tracker with two experiments.

    Attributes:
        ids: Run ids by a short name: base, lora, again (the same evaluation as lora, newer),
            early and late (checkpoints of one training), warm (in a sweep), elsewhere (of the
            second experiment).
        folders: Run folders by the same names.
        training_id: The run that trained early and late.
    """

    folder: Path
    uri: str
    ids: dict[str, str]
    folders: dict[str, RunFolder]
    training_id: str

    def finder(self, **changes: object) -> Finder:
        given = {"uri": self.uri, "experiment": None, "cwd": self.folder, "is_given": True}
        return Finder(**given | changes)  # type: ignore[arg-type]

    def find(self, *names: str, **changes: object) -> list[str]:
        """Short names of the runs that are found."""
        found = find_runs(names, None, self.finder(**changes))
        by_key = {run_id: name for name, run_id in self.ids.items()}
        by_key |= {str(folder.path): name for name, folder in self.folders.items()}
        return [by_key[run.key] for run in found.runs]


def result(score: float, fingerprint: str) -> Result:
    return replace(result_of(gsm8k(score)), fingerprint=fingerprint * 64)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("project")
    shutil.copyfile(empty_database, folder / "mlflow.db")
    uri = f"sqlite:///{folder}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        store = Store(uri, open_store(uri), folder)
        training_id = store.training_run("sft")
        sft = TrackingPlan("mlflow", uri, "sft")
        wanted = {
            "base": (25.0, "1", None, sft),
            "lora": (50.0, "2", "poems", sft),
            "again": (50.0, "2", "poems", sft),
            "early": (55.0, "3", "out/checkpoint-9", replace(sft, step=9)),
            "late": (75.0, "4", "out/checkpoint-10", replace(sft, step=10)),
            "warm": (60.0, "5", "warm", replace(sft, sweep_id="sweep-ab")),
            "elsewhere": (90.0, "6", "elsewhere", replace(sft, experiment="other")),
        }
        ids, folders = {}, {}
        for minute, (name, (score, digit, adapter, tracking)) in enumerate(wanted.items()):
            if name in ("early", "late"):
                tracking = replace(tracking, training_run_id=training_id)
            own = replace(result(score, digit), started_at=1_790_000_000.0 + 60 * minute)
            folders[name] = make_run_folder(
                folder / "work" / name,
                tracking,
                own,
                make_adapter(folder / adapter) if adapter else None,
                stamp=f"20260921_14{minute:02d}00",
            )
            ids[name] = record(folders[name].plan, own).run_id
        yield Project(folder, uri, ids, folders, training_id)


def test_run_is_found_by_its_id_and_by_the_beginning_of_it(project: Project) -> None:
    assert project.find(project.ids["base"], project.ids["lora"][:12]) == ["base", "lora"]


def test_run_is_found_by_its_name_and_by_its_adapters(project: Project) -> None:
    assert project.find("tiny/base-model · greedy, first 8", "warm") == ["base", "warm"]


def test_newest_of_one_evaluation_answers_to_its_name(project: Project) -> None:
    assert project.find("poems · greedy, first 8") == ["again"]


def test_run_is_found_by_its_page(project: Project) -> None:
    page = f"http://127.0.0.1:5000/#/experiments/1/runs/{project.ids['base']}"
    assert project.find(page, f"{page[:-32]}{project.ids['lora']}/artifacts") == ["base", "lora"]


def test_run_folder_and_workspace_are_read_from_disk(project: Project) -> None:
    folders = [str(project.folders["base"].path), "work/lora"]
    assert project.find(*folders, uri="sqlite:////nowhere/mlflow.db") == ["base", "lora"]


def test_folders_own_tracker_is_asked_where_there_is_no_other(project: Project) -> None:
    missing = "sqlite:////nowhere/mlflow.db"
    assert project.find("work/late", "base", uri=missing, is_given=False) == ["late", "base"]


def test_training_run_means_its_checkpoints_in_order(project: Project) -> None:
    assert project.find(project.training_id) == ["early", "late"]
    assert project.find("lora r16") == ["early", "late"]


def test_sweep_means_its_jobs(project: Project) -> None:
    assert project.find("sweep:sweep-ab") == ["warm"]


def test_base_is_the_base_models_run_that_fits(project: Project) -> None:
    assert project.find("warm", "base") == ["warm", "base"]


def test_best_is_the_highest_average_within_the_experiment(project: Project) -> None:
    assert project.find("best", "base", experiment="sft") == ["late", "base"]
    assert project.find("best", "base") == ["elsewhere", "base"]


def test_runs_are_named_once_however_often_they_are_typed(project: Project) -> None:
    assert project.find("out/checkpoint-10", project.ids["late"], "best", experiment="sft") == [
        "late"
    ]


def test_baseline_is_the_base_model_unless_another_is_chosen(project: Project) -> None:
    found = find_runs(["warm", "base"], None, project.finder())
    assert found.baseline == 1
    found = find_runs(["warm", "base"], "warm", project.finder())
    assert found.baseline == 0
    found = find_runs(["warm"], "base", project.finder())
    assert (len(found.runs), found.baseline) == (2, 1)


def test_no_name_means_the_leaderboard_of_the_experiment(project: Project) -> None:
    found = find_runs([], None, project.finder(experiment="sft"))
    compared = compare(found.runs, found.baseline, is_leaderboard=True)
    assert [r.model for r in compared.runs] == [
        "out/checkpoint-10",
        "warm",
        "out/checkpoint-9",
        "poems",
        "tiny/base-model",
    ]
    assert compared.runs[compared.baseline].is_base
    assert found.notes == ("Of 6 benchmark runs, the newest of each evaluation is shown.",)


def test_leaderboard_of_several_experiments_asks_which(project: Project) -> None:
    with pytest.raises(ComparisonError) as raised:
        find_runs([], None, project.finder())
    assert "'sft' (6 runs)" in str(raised.value)
    assert "'other' (1 runs)" in str(raised.value)


def test_what_is_known_of_a_run_comes_along(project: Project) -> None:
    (late,) = find_runs(["out/checkpoint-10"], None, project.finder()).runs
    assert late.result == project.folders["late"].result
    assert (late.model, late.setting, late.step) == ("out/checkpoint-10", "greedy, first 8", 10)
    assert (late.base_model, late.is_base, late.base_identity) == (
        "tiny/base-model",
        False,
        "ba" * 32,
    )
    assert late.command == project.folders["late"].plan.command
    assert late.params["adapter.r"] == "16"
    assert late.params["train.learning_rate"] == "0.0002"
    assert late.link.endswith(f"/runs/{project.ids['late']}")
    assert "/models/m-" in late.model_link
    assert (late.training_name, late.training_link.rpartition("/")[2]) == (
        "lora r16",
        project.training_id,
    )


def test_folder_and_tracker_say_the_same_of_a_run(project: Project) -> None:
    (recorded,) = find_runs(["out/checkpoint-10"], None, project.finder()).runs
    (folder,) = find_runs(["work/late"], None, project.finder()).runs
    for name in ("name", "model", "setting", "step", "result", "command", "base_identity"):
        assert getattr(recorded, name) == getattr(folder, name)


def test_everything_unknown_is_said_at_once_with_the_closest_names(project: Project) -> None:
    with pytest.raises(ComparisonError) as raised:
        find_runs(["pems", "deadbeef", "sweep:none", "warm"], None, project.finder())
    problems = {problem.tried: problem for problem in raised.value.problems}
    assert list(problems) == ["pems", "deadbeef", "sweep:none"]
    assert problems["pems"].cure.startswith("one of: poems, ")
    assert problems["sweep:none"].cure == "one of sweep:sweep-ab"
    assert raised.value.exit_code == 2


def test_ambiguous_beginning_of_nothing_but_digits_is_no_name(project: Project) -> None:
    with pytest.raises(ComparisonError, match="no run, adapter or folder is called so"):
        find_runs(["00000000"], None, project.finder())


def test_name_with_both_kinds_of_quotes_is_looked_for_too(project: Project) -> None:
    with pytest.raises(ComparisonError, match="no run, adapter or folder is called so"):
        find_runs(['it\'s "odd"'], None, project.finder())


def test_unknown_experiment_lists_those_there_are(project: Project) -> None:
    with pytest.raises(ComparisonError) as raised:
        find_runs(["late"], None, project.finder(experiment="stf"))
    assert "one of: sft" in str(raised.value)


def test_base_of_another_setting_does_not_fit(project: Project, tmp_path: Path) -> None:
    odd = replace(result(10.0, "7"), datasets=(gsm8k(10.0, rows=4),))
    workspace = tmp_path / "odd"
    make_run_folder(workspace, TrackingPlan("none"), odd, make_adapter(tmp_path / "odd-adapter"))
    with pytest.raises(ComparisonError) as raised:
        find_runs([str(workspace), "base"], None, project.finder())
    (problem,) = raised.value.problems
    assert problem.happened.startswith(
        "no benchmark run of tiny/base-model asks the same in the same setting (there are: "
    )
    assert problem.cure.endswith("model.base=tiny/base-model")


def test_base_alone_means_nothing(project: Project) -> None:
    with pytest.raises(ComparisonError, match="no other run is named"):
        find_runs(["base"], None, project.finder())


def test_training_run_without_evaluations_says_how_to_make_one(project: Project) -> None:
    store = Store(project.uri, open_store(project.uri), project.folder)
    other = store.client.create_run("0", run_name="untested").info.run_id
    with pytest.raises(ComparisonError) as raised:
        find_runs(["untested"], None, project.finder())
    assert raised.value.problems[0].cure == f"python -m ftbench.run model.adapter=runs:/{other}"


def test_folder_without_scores_says_so(project: Project) -> None:
    lonely = make_run_folder(project.folder / "lonely", TrackingPlan("none"), result(1.0, "8"))
    lonely.plan.files.summary.unlink()
    with pytest.raises(ComparisonError, match="it has no scores yet"):
        find_runs(["lonely"], None, project.finder())


def test_missing_database_is_not_made(tmp_path: Path) -> None:
    finder = Finder(f"sqlite:///{tmp_path}/none.db", None, tmp_path)
    with pytest.raises(ReadingError, match="there is no database"):
        find_runs(["late"], None, finder)
    assert list(tmp_path.iterdir()) == []
