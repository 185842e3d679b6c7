"""Benchmarks by the names people use, from files in their real formats to every sample's verdict.

One run with a model that answers by a script: score and samples are known by hand. One run with
the tiny checkpoint: whatever it answers, every dataset ends ok.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ftbench.schema import (
    OK,
    DatasetResult,
    RunFiles,
    Sample,
    SubsetResult,
    read_result,
    read_samples,
)
from tests.benchmarks import BENCHMARKS, script, write_data
from tests.benchmarks.truth import Benchmark, Row
from tests.real.evaluation.conftest import PROGRAM, Finished, Program

SCRIPTED = Path(__file__).parent / "scripted_program.py"
NAMES = ",".join(benchmark.name for benchmark in BENCHMARKS)
SETTINGS = {"MAX_OUT_LEN": "16", "BATCH_SIZE": "16"}
ROWS = [
    pytest.param(benchmark, abbr, id=abbr) for benchmark in BENCHMARKS for abbr in benchmark.subsets
]

datasets = pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda benchmark: benchmark.name)


@dataclass(frozen=True)
class Runs:
    """Both runs over the same files."""

    scripted: Finished
    tiny: Finished


@pytest.fixture(scope="module")
def runs(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Runs both beside each other: most of a run with few rows is one thread's work."""
    data = tmp_path_factory.mktemp("benchmarks")
    write_data(data)
    lines = data / "script.json"
    lines.write_text(json.dumps(script()), encoding="utf-8")
    program = replace(program, data=data)
    outputs = [tmp_path_factory.mktemp(name) for name in ("scripted", "tiny")]
    with contextlib.ExitStack() as stack:
        processes = []
        for command, output in zip(([SCRIPTED, lines], [PROGRAM]), outputs, strict=True):
            process = subprocess.Popen(
                [program.python, *command],
                env=program.environment(output, NAMES, **SETTINGS),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            # Should the other one fail; a program that has ended is not killed.
            stack.callback(process.kill)
            processes.append(process)
        return Runs(*map(_finish, processes, outputs))


def _finish(process: subprocess.Popen[str], output: Path) -> Finished:
    printed, _ = process.communicate(timeout=900)
    assert process.returncode == 0, printed
    return Finished(output, printed, read_result(RunFiles(output).result))


def dataset(run: Finished, benchmark: Benchmark) -> DatasetResult:
    return next(found for found in run.result.datasets if found.name == benchmark.name)


def subset(run: Finished, benchmark: Benchmark, abbr: str) -> SubsetResult:
    return next(found for found in dataset(run, benchmark).subsets if found.abbr == abbr)


def answered(run: Finished, benchmark: Benchmark) -> Iterator[tuple[Row, Sample]]:
    """Every row with its sample."""
    for abbr, rows in benchmark.subsets.items():
        yield from zip(rows, read_samples(RunFiles(run.output).samples(abbr)), strict=True)


@datasets
def test_score_is_the_hand_made_one(runs: Runs, benchmark: Benchmark) -> None:
    found = dataset(runs.scripted, benchmark)
    assert (found.status, found.reason) == (OK, None)
    assert [subset.abbr for subset in found.subsets] == list(benchmark.subsets)
    assert found.metric == benchmark.metric
    assert found.score == pytest.approx(benchmark.score, abs=1e-9)


@pytest.mark.parametrize(("benchmark", "abbr"), ROWS)
def test_subset_has_the_share_of_right_rows(runs: Runs, benchmark: Benchmark, abbr: str) -> None:
    found = subset(runs.scripted, benchmark, abbr)
    assert found.score == pytest.approx(benchmark.subset_score(abbr), abs=1e-9)
    for name, value in benchmark.metrics.items():
        assert found.metrics[name] == pytest.approx(value, abs=1e-9)


@datasets
def test_every_sample_has_its_prompt_and_reply(runs: Runs, benchmark: Benchmark) -> None:
    for row, sample in answered(runs.scripted, benchmark):
        assert row.marker in sample.prompt
        if not benchmark.name.endswith(":ppl"):
            assert sample.prediction == row.reply


@datasets
def test_every_sample_is_judged_as_by_hand(runs: Runs, benchmark: Benchmark) -> None:
    found = [sample.correct for _, sample in answered(runs.scripted, benchmark)]
    assert found == [row.correct for rows in benchmark.subsets.values() for row in rows]


@datasets
def test_every_sample_says_what_was_compared(runs: Runs, benchmark: Benchmark) -> None:
    for row, sample in answered(runs.scripted, benchmark):
        assert sample.extracted is not None or not row.read, row.marker
        assert sample.reference is not None, row.marker
        if row.extracted is not None:
            assert sample.extracted == row.extracted
        if row.reference is not None:
            assert sample.reference == row.reference


@datasets
def test_a_real_model_completes_it(runs: Runs, benchmark: Benchmark) -> None:
    found = dataset(runs.tiny, benchmark)
    assert (found.status, found.reason) == (OK, None)
    counts = {subset.abbr: (subset.completed, subset.expected) for subset in found.subsets}
    assert counts == {abbr: (len(rows), len(rows)) for abbr, rows in benchmark.subsets.items()}


@datasets
def test_answers_are_counted(runs: Runs, benchmark: Benchmark) -> None:
    for run in (runs.scripted, runs.tiny):
        for subset in dataset(run, benchmark).subsets:
            samples = read_samples(RunFiles(run.output).samples(subset.abbr))
            if subset.mode != "gen":
                counts = (subset.truncated, subset.empty, subset.unextracted)
                assert (*counts, subset.mean_output_tokens) == (None, None, None, None)
                continue
            tokens = [s.output_tokens for s in samples if s.output_tokens is not None]
            assert len(tokens) == len(samples)
            assert subset.mean_output_tokens == pytest.approx(sum(tokens) / len(tokens))
            assert subset.truncated == sum(s.truncated is True for s in samples)
            assert subset.empty == sum(not s.prediction.strip() for s in samples)


def test_groups_of_mmlu_are_means_of_their_subsets(runs: Runs) -> None:
    (mmlu,) = (d for d in runs.scripted.result.datasets if d.name == "mmlu")
    scores = {subset.abbr: subset.score for subset in mmlu.subsets}
    plain = {g.name: g for g in mmlu.groups if not g.weights}
    assert {name: (g.subsets_done, g.subsets_total) for name, g in plain.items()} == {
        "mmlu-humanities": (13, 13),
        "mmlu-stem": (19, 19),
        "mmlu-social-science": (12, 12),
        "mmlu-other": (13, 13),
    }
    for group in plain.values():
        known = [score for abbr in group.members if (score := scores[abbr]) is not None]
        assert group.score == pytest.approx(sum(known) / group.subsets_total)
    rows = [(s.score, s.expected) for s in mmlu.subsets if s.score is not None]
    by_samples = sum(score * n for score, n in rows) / sum(n for _, n in rows)
    assert mmlu.weighted_score == pytest.approx(by_samples)
