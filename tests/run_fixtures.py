"""A runtime without a program: it leaves in the run folder what a real evaluation leaves there."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ftbench import run, tracking
from ftbench.config import Config, ModelConf, RuntimeConf, TrackingConf
from ftbench.errors import Problem
from ftbench.host import Host, read_host
from ftbench.outcome import Outcome
from ftbench.plan import DatasetPlan, Plan
from ftbench.run import evaluate
from ftbench.runtimes.base import CRASHED, FINISHED, Launch
from ftbench.schema import (
    OK,
    DatasetResult,
    Reason,
    Result,
    Sample,
    SubsetResult,
    read_result,
    to_json,
    write_atomically,
    write_result,
    write_samples,
)
from ftbench.tracking import Recorded
from tests.builders import scored
from tests.checkpoint.folders import make_adapter, make_base

SCORES = {"mmlu": 62.3, "gsm8k": 45.7}
"""Percent, the same for every subset of a dataset."""

BROKEN = Reason("inference", "ValueError: prompt is too long", "logs/opencompass.log")

CRASH = Launch(CRASHED, 1, "ended with exit code 1")

INTO_MLFLOW = TrackingConf(name="mlflow", uri="sqlite:///scores.db")

Program = Callable[[Plan], Launch]


@dataclass
class FakeRuntime:
    """Of the shape of ``ftbench.runtimes.base.Runtime``.

    Attributes:
        programs: What each launch does, in order; the last one stays.
        launched: The plan of every launch.
        prepared: Every plan that something was brought for ahead of a training.
    """

    programs: list[Program]
    launched: list[Plan] = field(default_factory=list)
    prepared: list[Plan] = field(default_factory=list)

    def check(self, plan: Plan) -> list[Problem]:
        return []

    def prepare(self, plan: Plan, on_line: Callable[[str], None]) -> None:
        self.prepared.append(plan)

    def describe(self, plan: Plan) -> list[str]:
        return ["fake-engine", "run", plan.model_abbr]

    def launch(self, plan: Plan, on_line: Callable[[str], None]) -> Launch:
        self.launched.append(plan)
        on_line("loading the model")
        return self.programs[min(len(self.launched), len(self.programs)) - 1](plan)


@dataclass
class World:
    """A model, data and a workspace, and what is printed about them."""

    folder: Path
    adapter: Path
    host: Host
    runtime: FakeRuntime
    out: io.StringIO = field(default_factory=io.StringIO)

    def evaluate(self, datasets: str = "mmlu gsm8k", **changes: Any) -> Outcome:
        """Evaluates the adapter; nothing is recorded or compared unless ``changes`` say so."""
        config = Config(
            datasets=datasets.split(),
            model=ModelConf(adapter=str(self.adapter)),
            runtime=RuntimeConf(name="local", num_gpus=0),
            tracking=TrackingConf(name="none"),
            workspace="scores",
            baseline="none",
        )
        console = Console(file=self.out, width=200)
        return evaluate(replace(config, **changes), self.host, console)

    @property
    def printed(self) -> str:
        return self.out.getvalue()

    @property
    def workspace(self) -> Path:
        return self.folder / "scores"


def make_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A tiny model and empty data in ``tmp_path``, where the fake runtime evaluates."""
    monkeypatch.chdir(tmp_path)
    base = make_base(tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", base_model_name_or_path=str(base))
    for name in ("mmlu", "gsm8k"):
        (tmp_path / "opencompass" / "data" / name).mkdir(parents=True)
        (tmp_path / "opencompass" / "data" / name / "test.txt").write_text("rows")
    host = read_host(
        {
            "FTBENCH_CACHE": str(tmp_path / "cache"),
            "COMPASS_DATA_CACHE": str(tmp_path / "opencompass"),
            "HF_HOME": str(tmp_path / "huggingface"),
        }
    )
    world = World(tmp_path, adapter, host, FakeRuntime([finish]))
    monkeypatch.setattr(run, "make_runtime", lambda plan, host: world.runtime)
    return world


def catch_recordings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Plan, Result]]:
    """What reaches a tracker that takes everything, as it comes."""
    taken: list[tuple[Plan, Result]] = []

    def record(plan: Plan, result: Result, is_found: bool) -> Recorded:
        taken.append((plan, result))
        return Recorded("run1", "1", "http://m/#/run1", "http://m/#/view")

    monkeypatch.setattr(tracking, "check", lambda *checked: [])
    monkeypatch.setattr(tracking, "record", record)
    return taken


def finish(plan: Plan) -> Launch:
    """A program that scores everything."""
    write_files(plan, plan.files.result)
    return Launch(FINISHED, 0, seconds=7.0, identity={"runtime": "fake"})


def stop_after_mmlu(launch: Launch) -> Program:
    """A program that has scored mmlu, and nothing of gsm8k, when it ends."""

    def program(plan: Plan) -> Launch:
        write_files(plan, plan.files.progress, pending=("gsm8k",))
        return launch

    return program


def finish_without(abbr: str) -> Program:
    """A program that finishes with one subset broken."""

    def program(plan: Plan) -> Launch:
        write_files(plan, plan.files.result, broken=(abbr,))
        return Launch(FINISHED, 0)

    return program


def fail_at_loading(plan: Plan) -> Launch:
    """A program that cannot load the model: its result says why, its exit code is 1."""
    reason = Reason("model", "OSError: no tokenizer in base")
    pending = tuple(dataset.name for dataset in plan.datasets)
    write_files(plan, plan.files.result, pending=pending, failure=reason)
    return CRASH


def write_files(
    plan: Plan,
    path: Path,
    pending: tuple[str, ...] = (),
    broken: tuple[str, ...] = (),
    failure: Reason | None = None,
) -> None:
    """Writes a result, and OpenCompass's own file of every scored subset.

    Args:
        plan: What is evaluated.
        path: ``result.json`` or ``progress.json``.
        pending: Datasets of which nothing is done.
        broken: Subsets that failed.
        failure: Why the whole run failed.
    """
    asked = plan.environment["BENCHMARK_DATASETS"].split(",")
    datasets = tuple(_dataset(d, pending, broken) for d in plan.datasets if d.name in asked)
    for subset in (s for dataset in datasets for s in dataset.subsets if s.status == OK):
        write_evidence(plan, subset)
    result = Result(
        fingerprint=plan.fingerprint, model_abbr=plan.model_abbr, failure=failure, datasets=datasets
    )
    write_result(path, result)


def write_evidence(plan: Plan, subset: SubsetResult) -> None:
    """Writes what stands behind a scored subset: predictions, results and samples."""
    samples = [Sample(subset.abbr, i, f"{i}?", plan.run_dir.name) for i in range(subset.expected)]
    predictions = {str(s.index): {"prediction": s.prediction} for s in samples}
    lines = [json.dumps(to_json(sample)) + "\n" for sample in samples]
    name = f"{plan.model_abbr}/{subset.abbr}.json"
    write_atomically(plan.files.results / name, json.dumps({"accuracy": subset.score}))
    write_atomically(plan.files.predictions / name, json.dumps(predictions))
    write_atomically(plan.files.samples(subset.abbr), "".join(lines))


def _dataset(
    planned: DatasetPlan, pending: tuple[str, ...], broken: tuple[str, ...]
) -> DatasetResult:
    if planned.name in pending:
        waiting = tuple(SubsetResult(abbr, abbr, expected=8) for abbr in planned.subsets)
        return DatasetResult(planned.name, subsets=waiting)
    subsets = tuple(
        SubsetResult(abbr, abbr, "failed", BROKEN, expected=8)
        if abbr in broken
        else scored(abbr, abbr, SCORES[planned.name.partition(":")[0]])
        for abbr in planned.subsets
    )
    status = "partial" if set(broken) & set(planned.subsets) else OK
    return DatasetResult(planned.name, status, subsets=subsets)


def answer_twenty(plan: Plan) -> Launch:
    """A program whose adapter answers all of 20 questions right, and its base every fourth."""
    launch = finish(plan)
    result = read_result(plan.files.result)
    (dataset,) = result.datasets
    (subset,) = dataset.subsets
    samples = [
        Sample(subset.abbr, i, f"{i}?", "4", correct=bool(plan.model.adapter) or i % 4 == 0)
        for i in range(20)
    ]
    score = 5.0 * sum(bool(sample.correct) for sample in samples)
    asked = replace(
        subset,
        score=score,
        metrics={"accuracy": score},
        expected=20,
        completed=20,
        correct_known=20,
        data_hash="a" * 16,
        prompt_hash="b" * 16,
    )
    name = f"{plan.model_abbr}/{subset.abbr}.json"
    (plan.files.results / name).write_text(json.dumps({"accuracy": score}))
    predictions = {str(sample.index): {"prediction": "4"} for sample in samples}
    (plan.files.predictions / name).write_text(json.dumps(predictions))
    write_samples(plan.files.samples(subset.abbr), samples)
    changed = replace(dataset, subsets=(asked,))
    write_result(plan.files.result, replace(result, datasets=(changed,)))
    return launch
