"""What fails is named, and takes down no more than itself."""

from __future__ import annotations

import json
from pathlib import Path

from ftbench.schema import FAILED, OK, RunFiles
from tests.real.evaluation.conftest import ABBR, Program


def test_broken_datasets_do_not_take_down_others(program: Program, tmp_path: Path) -> None:
    exit_code, printed, result = program.run(
        tmp_path, "hellaswag,nonsense,race", LIMIT="2", CUSTOM_PROMPT="Be brief."
    )
    assert exit_code == 0, printed
    hellaswag, nonsense, race = result.datasets
    assert hellaswag.status == FAILED
    assert hellaswag.reason is not None
    assert hellaswag.reason.kind == "data_missing"
    where = program.data / "data" / "hellaswag"
    assert hellaswag.reason.message.startswith(f"no data at {where}")
    assert nonsense.status == FAILED
    assert nonsense.reason is not None
    assert nonsense.reason.kind == "unknown_dataset"
    assert race.status == OK
    assert [s.expected for s in race.subsets] == [2, 2]
    prediction = json.loads((tmp_path / "predictions" / ABBR / "race-high.json").read_text())
    first = prediction["0"]["origin_prompt"][0]
    assert (first["role"], first["prompt"]) == ("SYSTEM", "Be brief.")


def test_foreign_adapter_is_fatal(program: Program, tmp_path: Path) -> None:
    adapter = program.checkpoints / "adapter-foreign"
    exit_code, printed, result = program.run(tmp_path, "race", ADAPTER_PATH=str(adapter))
    assert exit_code == 1
    assert result.failure is not None
    assert result.failure.kind == "adapter"
    assert result.failure.message.startswith(
        f"the adapter {adapter} does not match the base model, which would be scored without it: "
        "20 of its tensors are not in the base, such as base_model.model.model.blocks.0."
    )
    assert [d.reason for d in result.datasets] == [result.failure]
    assert printed.splitlines()[-1] == f"ftbench: failed: {result.failure.message}"
    assert not list((tmp_path / "predictions").rglob("*.json"))


def test_missing_chat_template_is_named_before_loading(program: Program, tmp_path: Path) -> None:
    base = program.checkpoints / "base-plain"
    exit_code, _, result = program.run(
        tmp_path, "race", BASE_MODEL=str(base), ADAPTER_PATH="", MODEL_TYPE="chat"
    )
    assert exit_code == 1
    assert result.failure is not None
    assert result.failure.kind == "chat_template"


def test_gpu_that_is_not_there(program: Program, tmp_path: Path) -> None:
    exit_code, _, result = program.run(tmp_path, "race", NUM_GPUS="64")
    assert exit_code == 1
    assert result.failure is not None
    assert result.failure.kind == "gpu"
    assert result.failure.message.startswith("NUM_GPUS=64, and torch ")


def test_slow_scoring_is_ended(program: Program, tmp_path: Path) -> None:
    exit_code, _, result = program.run(tmp_path, "race", LIMIT="1", SCORING_TIMEOUT_S="1e-9")
    assert exit_code == 0
    (race,) = result.datasets
    assert race.status == FAILED
    assert [s.reason.kind for s in race.subsets if s.reason] == ["scoring_timeout"] * 2
    assert [s.completed for s in race.subsets] == [1, 1]


def test_adapter_with_more_tokens_is_merged(program: Program, tmp_path: Path) -> None:
    adapter = program.checkpoints / "adapter-grown"
    exit_code, printed, result = program.run(tmp_path, "race", ADAPTER_PATH=str(adapter), LIMIT="1")
    assert exit_code == 0, printed
    assert result.model.merged
    # Two LoRA matrices for two projections in two layers; embedding and output layer, each with the
    # frozen original that peft saves beside it.
    assert result.model.adapter_tensors == 12
    assert result.model.canary is not None
    # The embedding and the output layer, of 27: its LoRA matrices are fresh from the start.
    assert (result.model.canary.changed_weights, result.model.canary.weights) == (2, 27)
    assert result.datasets[0].status == OK


def test_base_model_without_template(program: Program, tmp_path: Path) -> None:
    exit_code, printed, result = program.run(
        tmp_path,
        "race",
        BASE_MODEL=str(program.checkpoints / "base-plain"),
        ADAPTER_PATH=str(program.checkpoints / "adapter-plain"),
        LIMIT="1",
    )
    assert exit_code == 0, printed
    assert result.model.opencompass_type == "HuggingFaceBaseModel"
    assert result.model.chat_template == "none"
    assert result.model.notes == ("No chat template: prompts are plain text.",)
    assert RunFiles(tmp_path).result.is_file()
