"""Runs of a subset come together into one result, whatever order they end in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ftbench_eval.checks import Checked
from ftbench_eval.collecting import Collector
from ftbench_eval.extract import read_scored
from ftbench_eval.output import Output
from ftbench_eval.presets import Subset
from ftbench_eval.progress import Progress
from ftbench_eval.settings import read_settings

from ftbench.schema import (
    FAILED,
    OK,
    PARTIAL,
    PENDING,
    DatasetResult,
    Reason,
    Result,
    RunFiles,
    SubsetResult,
    read_samples,
)

CONFIG: dict[str, Any] = {"eval_cfg": {"evaluator": {"type": "x.Gsm8kEvaluator"}}}
CRASH = Reason("scoring", "the scoring process was killed by SIGABRT")


class Run:
    """A run folder in which OpenCompass has asked two rows twice; the second run was better."""

    def __init__(self, folder: Path) -> None:
        environ = {"BENCHMARK_DATASETS": "d", "BASE_MODEL": "b", "MODEL_ABBR": "m"}
        settings = read_settings({**environ, "OUTPUT_PATH": str(folder)})
        self.files = RunFiles(folder)
        self.progress = Progress(self.files, Result())
        subset = SubsetResult("s", "s", expected=4, repeats=2)
        self.progress.update(datasets=[DatasetResult("d", subsets=(subset,))])
        checked = {}
        for run, correct in enumerate(([True, False], [True, True])):
            abbr = f"s_run{run + 1}"
            config = Subset(
                abbr, "d", "s", "p", "ppl", CONFIG, run=run, runs=2, pass_k=(1, 2), result_abbr="s"
            )
            checked[abbr] = Checked(config, rows=2)
            details = [{"correct": [c], "pred": ["a"], "answer": ["b"]} for c in correct]
            score = 50.0 * sum(correct)
            self._write("results", abbr, {"accuracy": score, "details": details})
            answers = {str(i): {"origin_prompt": "q", "prediction": "a"} for i in range(2)}
            self._write("predictions", abbr, answers)
        output = Output(self.files.opencompass_log)
        self.collector = Collector(settings, self.files, self.progress, output, checked, "")

    def _write(self, kind: str, abbr: str, value: Any) -> None:
        path = self.files.root / kind / "m" / f"{abbr}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))

    @property
    def result(self) -> SubsetResult:
        return self.progress.subset("s")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    # The output of a real run is that of the whole process.
    monkeypatch.setattr(Output, "__init__", lambda self, log: None)
    monkeypatch.setattr(Output, "say", lambda self, text: None)
    return Run(tmp_path)


def test_runs_are_settled_when_the_last_has_ended(run: Run) -> None:
    run.collector.collect("s_run2", None)
    assert run.result.status == PENDING
    run.collector.collect("s_run1", None)
    assert (run.result.status, run.result.score, run.result.completed) == (OK, 75.0, 4)
    assert run.result.metrics == {"accuracy": 75.0, "pass@1": 75.0, "pass@2": 100.0}
    assert [d.aggregation for d in run.progress.result.datasets] == ["mean of 2 runs"]
    samples = read_samples(run.files.samples("s"))
    assert [(s.subset, s.repeat, s.index, s.correct) for s in samples] == [
        ("s", 0, 0, True),
        ("s", 0, 1, False),
        ("s", 1, 0, True),
        ("s", 1, 1, True),
    ]


def test_a_failed_run_leaves_a_partial_result(run: Run) -> None:
    run.collector.fail("s_run1", CRASH)
    run.collector.collect("s_run2", None)
    result = run.result
    assert (result.status, result.reason, result.score) == (PARTIAL, CRASH, 100.0)
    assert (result.completed, result.expected, result.metrics) == (2, 4, {"accuracy": 100.0})
    assert {sample.repeat for sample in read_samples(run.files.samples("s"))} == {1}


def test_runs_that_all_failed_have_no_score(run: Run) -> None:
    run.collector.collect("s_run1", CRASH)
    run.collector.collect("s_run2", CRASH)
    assert (run.result.status, run.result.reason, run.result.score) == (FAILED, CRASH, None)


def test_subsets_of_several_presets_are_told_apart(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    names = ("ARC-c", "ARC-e")
    environ = {"BENCHMARK_DATASETS": "arc", "BASE_MODEL": "b", "MODEL_ABBR": "m"}
    settings = read_settings({**environ, "OUTPUT_PATH": str(tmp_path)})
    files = RunFiles(tmp_path)
    progress = Progress(files, Result())
    subsets = tuple(SubsetResult(name, name, expected=1) for name in names)
    progress.update(datasets=[DatasetResult("arc", subsets=subsets)])
    checked = {n: Checked(Subset(n, "arc", n, "p", "gen", CONFIG), rows=1) for n in names}
    collector = Collector(settings, files, progress, Output(files.opencompass_log), checked, "")
    for name in names:
        collector.fail(name, CRASH)
    lines = [line for line in capfd.readouterr().out.splitlines() if not line.startswith("---")]
    assert [line.partition(":")[0] for line in lines] == ["arc/ARC-c", "arc/ARC-e", "arc"]


def test_a_subsets_samples_are_those_of_its_whole_files(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long prompts, which a result repeats, are not read with it."""
    prompt = [{"role": "HUMAN", "prompt": "q 🙂"}, {"role": "BOT", "prompt": "a"}]
    details = {"type": "GEN"} | {
        str(i): {"prompt": prompt, "origin_prediction": "ANSWER", "predictions": p, "references": r}
        for i, (p, r) in enumerate([("A", "A"), ("B", "C")])
    }
    result = {"accuracy": 50.0, "details": details}
    records = {
        str(i): {"origin_prompt": prompt, "prediction": "ANSWER", "gold": r}
        for i, r in enumerate("AC")
    }
    for number in (1, 2):
        run._write("results", f"s_run{number}", result)
        run._write("predictions", f"s_run{number}", records)
    expected = read_scored("s", result, records, repeats=1, evaluator="AccEvaluator")
    monkeypatch.setitem(CONFIG["eval_cfg"]["evaluator"], "type", "x.AccEvaluator")
    for number in (1, 2):
        run.collector.collect(f"s_run{number}", None)
    samples = read_samples(run.files.samples("s"))
    assert samples[:2] == list(expected.samples)
    assert [(s.prompt, s.extracted, s.correct) for s in samples[2:]] == [
        ("HUMAN: q 🙂\n\nBOT: a", "A", True),
        ("HUMAN: q 🙂\n\nBOT: a", "B", False),
    ]


@pytest.mark.parametrize("text", ['{"accuracy": 50.0, "details": [{"corr', "[]", None])
def test_a_torn_result_fails_its_run_alone(run: Run, text: str | None) -> None:
    path = run.files.results / "m" / "s_run1.json"
    path.unlink()
    if text is not None:
        path.write_text(text)
    for number in (1, 2):
        run.collector.collect(f"s_run{number}", None)
    assert (run.result.status, run.result.score) == (PARTIAL, 100.0)
    assert run.result.reason is not None
    assert run.result.reason.message == "the result is not a JSON object"
