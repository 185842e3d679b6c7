"""The stock ``opencompass`` command, on the config that the program wrote, gives the very same."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftbench.schema import OK, RunFiles, read_samples
from tests.real.conftest import contents, run_stock
from tests.real.evaluation.conftest import ABBR, Finished, Program

# aime2025 is scored in processes of its own (MATHVerifyEvaluator).
ABBRS = ["aime2025", "gsm8k", "race-high", "race-high-ppl", "race-middle", "race-middle-ppl"]


@pytest.fixture(scope="module")
def stock(
    finished: Finished,
    program: Program,
    eval_python: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Work folder of the stock command."""
    folder = tmp_path_factory.mktemp("stock")
    config = RunFiles(finished.output).opencompass_config
    run_stock(eval_python, config, folder, program.data)
    (work,) = (folder / "work").iterdir()
    return work


def test_stock_command_gives_the_same_predictions(finished: Finished, stock: Path) -> None:
    ours = contents(finished.output / "predictions" / ABBR)
    assert sorted(ours) == ABBRS
    assert ours == contents(stock / "predictions" / ABBR)


def test_stock_command_gives_the_same_results(finished: Finished, stock: Path) -> None:
    ours = contents(finished.output / "results" / ABBR)
    assert sorted(ours) == ABBRS
    assert ours == contents(stock / "results" / ABBR)


def test_scores_are_those_of_the_files_unrounded(finished: Finished, stock: Path) -> None:
    scores = {s.abbr: s.score for d in finished.result.datasets for s in d.subsets}
    stock_scores = {k: v["accuracy"] for k, v in contents(stock / "results" / ABBR).items()}
    assert scores == stock_scores
    # race-middle: answers are BCBCBCBC, race-high: BCBCB; the adapter answers B.
    assert (scores["race-middle"], scores["race-high"]) == (50.0, 60.0)
    race = finished.result.datasets[1]
    assert (race.status, race.score, race.aggregation) == (OK, 55.0, "mean of 2 subsets")


def test_samples_are_in_dataset_order(finished: Finished) -> None:
    samples = read_samples(RunFiles(finished.output).samples("race-middle"))
    assert [s.index for s in samples] == list(range(8))
    assert [s.reference for s in samples] == list("BCBCBCBC")
    assert [s.correct for s in samples] == [True, False] * 4
    assert all(s.truncated is (s.output_tokens == 8) for s in samples)


def test_facts_of_the_run(finished: Finished) -> None:
    result = finished.result
    assert result.stage == "done"
    assert result.model.opencompass_type == "HuggingFaceBaseModel, HuggingFacewithChatTemplate"
    assert result.model.chat_template == "adapter"
    assert result.model.adapter_tensors == 20
    assert result.model.canary is not None
    assert (result.model.canary.changed, result.model.canary.prompts) == (8, 8)
    assert result.model.canary.noise == 0.0
    assert result.model.notes[-1] == (
        "aime2025: scored by its rules alone, without the judge model of its preset."
    )
    assert result.versions["opencompass"] == "0.5.4"
    expected = {s.abbr: (s.expected, s.completed) for d in result.datasets for s in d.subsets}
    assert expected == {
        "gsm8k": (12, 12),
        "race-middle": (8, 8),
        "race-high": (5, 5),
        "race-middle-ppl": (8, 8),
        "race-high-ppl": (5, 5),
        "aime2025": (3, 3),
    }


def test_own_lines_are_few_and_noise_is_in_the_log(finished: Finished) -> None:
    lines = finished.printed.splitlines()
    assert "race/middle: accuracy 50.00 (8 of 8 samples, 7 truncated)" in lines
    assert "race: accuracy 55.00, mean of 2 subsets (12 truncated)" in lines
    assert lines[-1] == "ftbench: done"
    assert "ftbench: 80 prompts of 6 subsets in 20 batches" in lines
    sentence = "ftbench: Canary: the adapter changes the answers to 8 of 8 fixed prompts, and "
    assert [line.startswith(sentence) for line in lines].count(True) == 1
    assert len(lines) == 14
    log = RunFiles(finished.output).opencompass_log.read_text()
    assert "Start inferencing" in log


def test_no_secret_is_written(finished: Finished) -> None:
    written = [p for p in finished.output.rglob("*") if p.is_file()]
    assert len(written) > 15
    leaks = [p for p in written if b"plantedSecret" in p.read_bytes()]
    assert leaks == []
    assert "plantedSecret" not in finished.printed
