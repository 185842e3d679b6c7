"""Lists of adapters: what each function finds, leaves out, and says when it finds nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from ftbench import adapter_lists
from ftbench.adapter_lists import Expanded, expand_lists
from ftbench.errors import ConfigError
from ftbench.null_adapter import base_for_null
from ftbench.tracking import TrainedRun
from tests.checkpoint.folders import make_adapter, make_base

RUN = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32


def no_tracker() -> str:
    raise AssertionError("no tracker is needed")


def expand(folder: Path, *arguments: str, is_sweep: bool = True) -> Expanded:
    return expand_lists(arguments, is_sweep, folder, lambda: "sqlite:////mlflow.db")


def values(expanded: Expanded) -> list[str]:
    """The values that Hydra makes of the one argument, as a job gets them."""
    (argument,) = expanded.arguments
    parsed = OverridesParser.create().parse_override(argument)
    if not parsed.is_sweep_override():
        return [parsed.value()]
    jobs = [f"k={text}" for text in parsed.sweep_string_iterator()]
    return [OverridesParser.create().parse_override(job).value() for job in jobs]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """``runs/a`` and ``runs/b``, each with checkpoints 9 and 10; ``runs/notes`` without any."""
    base = make_base(tmp_path / "base")
    for run in "ab":
        for step in (9, 10):
            folder = tmp_path / "runs" / run / f"checkpoint-{step}"
            make_adapter(folder, base_model_name_or_path=str(base))
    (tmp_path / "runs" / "notes" / "checkpoint-1").mkdir(parents=True)
    return tmp_path


def test_glob_finds_folders_with_an_adapter_as_people_count(runs: Path) -> None:
    expanded = expand(runs, "model.adapter=glob(runs/*/checkpoint-*)")
    assert values(expanded) == [
        "runs/a/checkpoint-9",
        "runs/a/checkpoint-10",
        "runs/b/checkpoint-9",
        "runs/b/checkpoint-10",
    ]
    assert expanded.problems == ()
    assert expanded.notes == (
        "model.adapter=glob(runs/*/checkpoint-*): 4 adapters: runs/a/checkpoint-9, "
        "runs/a/checkpoint-10, runs/b/checkpoint-9, runs/b/checkpoint-10",
        "model.adapter=glob(runs/*/checkpoint-*): left out: runs/notes/checkpoint-1 (no weights)",
    )


def test_functions_stand_beside_other_values(runs: Path) -> None:
    expanded = expand(runs, "model.adapter=null,glob(runs/a/*),runs/b/checkpoint-9")
    assert values(expanded) == [
        None,
        "runs/a/checkpoint-9",
        "runs/a/checkpoint-10",
        "runs/b/checkpoint-9",
    ]


def test_a_folder_that_two_functions_find_is_evaluated_once(runs: Path) -> None:
    expanded = expand(runs, "model.adapter=glob(runs/a/*),glob(runs/*/checkpoint-9)")
    assert values(expanded) == [
        "runs/a/checkpoint-9",
        "runs/a/checkpoint-10",
        "runs/b/checkpoint-9",
    ]


def test_glob_takes_several_patterns(runs: Path) -> None:
    expanded = expand(runs, 'model.adapter=glob(runs/b/*-9, "runs/a/*-9")')
    assert values(expanded) == ["runs/b/checkpoint-9", "runs/a/checkpoint-9"]


@pytest.mark.parametrize("name", ["lr=1e-4,r=8", "it's (2)", "mit Öl", 'so "said"', "a b"])
def test_glob_finds_folders_with_awkward_names(tmp_path: Path, name: str) -> None:
    make_adapter(tmp_path / name / "checkpoint-5")
    pattern = f"{name[:2]}*/checkpoint-*"
    assert values(expand(tmp_path, f"model.adapter=glob({pattern})")) == [f"{name}/checkpoint-5"]


@pytest.mark.parametrize("name", ["lr=1e-4", "mit Öl", "a b", "a,b"])
def test_a_quoted_pattern_is_taken_as_it_stands(tmp_path: Path, name: str) -> None:
    make_adapter(tmp_path / name)
    assert values(expand(tmp_path, f'model.adapter=glob("{name}")')) == [name]


def test_glob_of_base_takes_full_models_only(runs: Path) -> None:
    expanded = expand(runs, "model.base=glob(base),glob(runs/a/*9,base)")
    assert values(expanded) == ["base"]
    assert expanded.notes[-1].endswith("runs/a/checkpoint-9 (an adapter: say model.adapter=)")


def test_glob_says_where_weights_are_below(runs: Path) -> None:
    (problem,) = expand(runs, "model.adapter=glob(runs/*,base)").problems
    assert problem.happened == (
        "no folder that matches holds an adapter: "
        "runs/a (no weights of its own, but 2 checkpoints); "
        "runs/b (no weights of its own, but 2 checkpoints); runs/notes (no weights); "
        "base (a full model: say model.base=)"
    )


def test_glob_that_matches_nothing_says_what_it_looked_for(runs: Path) -> None:
    expanded = expand(runs, "model.adapter=glob(run/*/checkpoint-*)", "limit=1")
    (problem,) = expanded.problems
    assert problem.tried == "model.adapter=glob(run/*/checkpoint-*)"
    assert problem.happened == f"no folder matches run/*/checkpoint-* in {runs}"
    assert expanded.arguments == ("limit=1",)


def test_several_values_without_a_sweep_are_a_problem(runs: Path) -> None:
    (problem,) = expand(runs, "model.adapter=glob(runs/a/*)", is_sweep=False).problems
    assert problem.happened == (
        "finds 2 values, and one run takes one: runs/a/checkpoint-9, runs/a/checkpoint-10"
    )
    assert problem.cure == "python -m ftbench.run -m ... evaluates each of them"


def test_one_value_needs_no_sweep(runs: Path) -> None:
    expanded = expand(runs, "model.adapter=glob(runs/a/*9)", is_sweep=False)
    assert expanded.arguments == ('model.adapter="runs/a/checkpoint-9"',)


@pytest.mark.parametrize(
    "argument",
    [
        "model.adapter=a,b",
        "model.adapter=null",
        'model.adapter="glob(x)"',
        "backend=glob(*)",
        "model.adapter=choice(a,b)",
        "-m",
        "~model.adapter",
        "model.adapter=a=b,glob(x",
    ],
)
def test_what_is_no_function_stays_as_it_is(tmp_path: Path, argument: str) -> None:
    assert expand(tmp_path, argument) == Expanded((argument,))


def test_checkpoints_of_a_folder(runs: Path) -> None:
    assert values(expand(runs, "model.adapter=checkpoints(runs/b)")) == [
        "runs/b/checkpoint-9",
        "runs/b/checkpoint-10",
    ]


@pytest.mark.parametrize(
    ("named", "happened"),
    [
        ("runs/c", "there is no such folder, and it is no run's id"),
        ("runs/notes", "{}/runs/notes holds no adapter in a checkpoint"),
    ],
)
def test_checkpoints_of_no_folder(runs: Path, named: str, happened: str) -> None:
    (problem,) = expand(runs, f"model.adapter=checkpoints({named})").problems
    assert (problem.tried, problem.happened) == (
        f"model.adapter=checkpoints({named})",
        happened.format(runs),
    )


def trained(run_id: str, output: Path | None = None, why_not: str = "") -> TrainedRun:
    return TrainedRun(run_id, "sft", "1", "FINISHED", output=output, folder=output, why_not=why_not)


@pytest.mark.parametrize("named", [RUN, f"runs:/{RUN}"])
def test_checkpoints_of_a_run(runs: Path, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    asked = []

    def get_trained(uri: str, run_id: str) -> TrainedRun:
        asked.append((uri, run_id))
        return trained(run_id, runs / "runs" / "a")

    monkeypatch.setattr(adapter_lists, "get_trained", get_trained)
    assert values(expand(runs, f"model.adapter=checkpoints({named})")) == [
        f"runs:/{RUN}/checkpoint-9",
        f"runs:/{RUN}/checkpoint-10",
    ]
    assert asked == [("sqlite:////mlflow.db", RUN)]


def test_query_gives_runs_that_have_an_adapter(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def find_trained(*question: str) -> list[TrainedRun]:
        asked.append(question)
        gone = trained("e" * 32, why_not="its folder is gone")
        return [gone, trained(RUN, runs), trained(OTHER, runs), trained("d" * 32, runs)]

    monkeypatch.setattr(adapter_lists, "find_trained", find_trained)
    text = "query(sft, \"metrics.loss < 1 AND params.x = 'a,b'\", order_by='metrics.loss', limit=2)"
    expanded = expand(runs, f"model.adapter={text}")
    assert values(expanded) == [f"runs:/{RUN}", f"runs:/{OTHER}"]
    where = "metrics.loss < 1 AND params.x = 'a,b'"
    assert asked == [("sqlite:////mlflow.db", "sft", where, "metrics.loss")]
    assert expanded.notes[1] == (
        f"model.adapter={text}: left out: sft ({'e' * 32}): its folder is gone"
    )


def test_query_that_finds_nothing_says_what_it_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter_lists, "find_trained", lambda *question: [])
    (problem,) = expand(tmp_path, 'model.adapter=query(sft, "metrics.loss < 0")').problems
    assert problem.happened == (
        "experiment 'sft' has no finished training run where metrics.loss < 0"
    )


@pytest.mark.parametrize(
    ("function", "happened"),
    [
        ("glob()", "glob(...) cannot do with 0 values"),
        ("checkpoints(a, b)", "checkpoints(...) cannot do with 2 values"),
        ("query(a, b, c)", "query(...) cannot do with 3 values"),
        ("query(a, limit=none)", "limit=none is no whole number above 0"),
    ],
)
def test_functions_that_cannot_be_read(tmp_path: Path, function: str, happened: str) -> None:
    (problem,) = expand(tmp_path, f"model.adapter={function}").problems
    assert problem.happened == happened


def test_null_is_the_base_that_all_adapters_name(runs: Path) -> None:
    arguments = ['model.adapter=null,"runs/a/checkpoint-9",runs/b/checkpoint-9']
    assert base_for_null(arguments, runs, no_tracker) == str(runs / "base")


@pytest.mark.parametrize("argument", ["model.adapter=null", "model.adapter=runs/a/checkpoint-9"])
def test_null_alone_or_no_null_needs_no_base(runs: Path, argument: str) -> None:
    assert base_for_null([argument], runs, no_tracker) is None


def test_null_among_adapters_of_several_bases_is_refused(runs: Path) -> None:
    config = runs / "runs" / "a" / "checkpoint-9" / "adapter_config.json"
    settings = json.loads(config.read_text()) | {"base_model_name_or_path": "Qwen/other"}
    config.write_text(json.dumps(settings))
    arguments = ["model.adapter=null,runs/a/checkpoint-9,runs/b/checkpoint-9"]
    with pytest.raises(ConfigError) as caught:
        base_for_null(arguments, runs, no_tracker)
    assert caught.value.problems[0].happened == (
        "null is the base model, and these adapters have several: "
        f"Qwen/other (runs/a/checkpoint-9), {runs}/base (runs/b/checkpoint-9)"
    )
