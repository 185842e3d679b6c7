from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ftbench.checkpoint import inspect_adapter
from ftbench.errors import Problem
from tests.checkpoint.folders import LAYERS, cut, lora_tensors, make_adapter, make_base, write_json

Q = "base_model.model.model.layers.0.self_attn.q_proj"
V = "base_model.model.model.layers.0.self_attn.v_proj"


def problems_of(folder: Path) -> list[Problem]:
    return inspect_adapter(folder)[1]


def only_problem(folder: Path) -> tuple[str, str]:
    problems = problems_of(folder)
    assert len(problems) == 1
    return problems[0].happened, problems[0].cure


def test_inspect_adapter_reads_the_facts(weird_tmp_path: Path) -> None:
    folder = make_adapter(
        weird_tmp_path / "a d", rank_pattern={"k_proj": 7}, modules_to_save=["lm_head"]
    )
    adapter, problems = inspect_adapter(folder)
    assert problems == []
    assert adapter is not None
    assert adapter.base_model == "some/base"
    assert (adapter.rank, adapter.max_rank) == (2, 7)
    assert adapter.target_modules == ("q_proj", "v_proj")
    assert adapter.modules_to_save == ("lm_head",)
    assert not adapter.uses_dora
    assert len(adapter.pairs()) == 2 * LAYERS
    assert adapter.pairs()[Q]["A"].shape == (2, 8)


def test_inspect_adapter_says_that_there_is_no_folder(tmp_path: Path) -> None:
    folder = tmp_path / "nowhere"
    assert problems_of(folder) == [
        Problem(
            f"model.adapter={folder}",
            "there is no such folder",
            "model.adapter=DIR with a trained adapter",
        )
    ]


def test_inspect_adapter_points_from_a_file_to_its_folder(tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "a")
    file = folder / "adapter_model.safetensors"
    assert only_problem(file) == ("it is a file", f"model.adapter={folder}")


def test_inspect_adapter_suggests_the_newest_checkpoint(tmp_path: Path) -> None:
    for step in (90, 1000, 200):
        make_adapter(tmp_path / f"checkpoint-{step}")
    (tmp_path / "checkpoint-2000").mkdir()
    assert only_problem(tmp_path) == (
        "it is a trainer's output folder with checkpoints, not an adapter",
        f"model.adapter={tmp_path / 'checkpoint-1000'}",
    )


def test_inspect_adapter_recognises_a_full_model(tmp_path: Path) -> None:
    make_base(tmp_path)
    assert only_problem(tmp_path) == (
        "it is a full model, not an adapter: it has config.json and no adapter_config.json",
        f"model.base={tmp_path} without model.adapter",
    )


def test_inspect_adapter_finds_an_adapter_one_folder_down(tmp_path: Path) -> None:
    inner = make_adapter(tmp_path / "my_adapter")
    happened, cure = only_problem(tmp_path)
    assert happened == (
        "it has neither adapter_config.json nor adapter_model.safetensors nor adapter_model.bin"
    )
    assert cure == f"model.adapter={inner}"


def test_inspect_adapter_misses_the_weights(tmp_path: Path) -> None:
    (make_adapter(tmp_path) / "adapter_model.safetensors").unlink()
    assert only_problem(tmp_path) == (
        "it has adapter_config.json but no adapter_model.safetensors or adapter_model.bin",
        "save the adapter with model.save_pretrained(DIR)",
    )


def test_inspect_adapter_refuses_shards_which_peft_does_not_read(tmp_path: Path) -> None:
    weights = make_adapter(tmp_path) / "adapter_model.safetensors"
    weights.rename(tmp_path / "adapter_model-00001-of-00001.safetensors")
    assert only_problem(tmp_path)[0] == (
        "its weights are in 1 shards (adapter_model-00001-of-00001.safetensors ...), "
        "and peft reads one file"
    )


def test_inspect_adapter_misses_the_configuration(tmp_path: Path) -> None:
    (make_adapter(tmp_path) / "adapter_config.json").unlink()
    assert only_problem(tmp_path)[0] == "it has weights but no adapter_config.json"


def test_inspect_adapter_tells_all_problems_at_once(tmp_path: Path) -> None:
    weights = make_adapter(tmp_path) / "adapter_model.safetensors"
    whole = weights.stat().st_size
    cut(weights, 4)
    (tmp_path / "adapter_config.json").write_text("{")
    problems = problems_of(tmp_path)
    assert [problem.tried for problem in problems] == [
        f"reading {tmp_path / 'adapter_config.json'}",
        f"reading {weights}",
    ]
    assert problems[0].happened.startswith("it does not parse: ")
    assert problems[1].happened == f"it is truncated: {whole - 4} of {whole} bytes are there"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type is 'IA3'; only LORA can be evaluated"),
        ({"peft_type": None}, "peft_type is None; only LORA can be evaluated"),
        ({"r": 0}, "r is 0, not a rank"),
        ({"r": "8"}, "r is '8', not a rank"),
        ({"task_type": "SEQ_CLS"}, "task_type is SEQ_CLS: that model gives no text to score"),
    ],
)
def test_inspect_adapter_refuses_a_configuration(
    tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    assert only_problem(make_adapter(tmp_path, **config))[0] == message


def test_inspect_adapter_refuses_a_configuration_that_is_no_table(tmp_path: Path) -> None:
    write_json(make_adapter(tmp_path) / "adapter_config.json", ["LORA"])
    assert only_problem(tmp_path)[0] == "it is not a table of settings"


def test_inspect_adapter_names_the_first_spoilt_tensor(tmp_path: Path) -> None:
    tensors = lora_tensors()
    tensors[f"{Q}.lora_A.weight"][1, 3] = np.nan
    tensors[f"{Q}.lora_A.weight"][0, 0] = np.inf
    tensors[f"{V}.lora_B.weight"][0, 0] = -np.inf
    assert only_problem(make_adapter(tmp_path, tensors)) == (
        f"{Q}.lora_A.weight has 1 NaN and 1 infinite values (and 1 more like it)",
        "the training diverged; evaluate an earlier checkpoint, or train with a lower rate",
    )


@pytest.mark.parametrize("part", ["A", "B"])
def test_inspect_adapter_refuses_one_that_changes_nothing(tmp_path: Path, part: str) -> None:
    tensors = lora_tensors()
    for name in tensors:
        if f"lora_{part}" in name:
            tensors[name][:] = 0
    assert only_problem(make_adapter(tmp_path, tensors)) == (
        f"every lora_{part} is zero, so the adapter would change nothing",
        "evaluate a trained checkpoint, or the base itself with model.base=...",
    )


def test_inspect_adapter_takes_one_zero_module_among_others(tmp_path: Path) -> None:
    tensors = lora_tensors()
    tensors[f"{Q}.lora_B.weight"][:] = 0
    assert problems_of(make_adapter(tmp_path, tensors)) == []


def test_inspect_adapter_takes_zero_lora_beside_another_trained_module(tmp_path: Path) -> None:
    tensors = {name: array * 0 for name, array in lora_tensors().items()}
    tensors["base_model.model.lm_head.weight"] = np.ones((32, 8), np.float32)
    assert problems_of(make_adapter(tmp_path, tensors, modules_to_save=["lm_head"])) == []


def test_inspect_adapter_compares_shapes_with_the_rank(tmp_path: Path) -> None:
    assert only_problem(make_adapter(tmp_path, lora_tensors(rank=3))) == (
        f"{Q} has lora_A [3, 8] and lora_B [8, 3], its rank in adapter_config.json is 2 "
        "(and 3 more like it)",
        "save configuration and weights from the same run",
    )


@pytest.mark.parametrize(
    "pattern", ["q_proj", r"layers\.\d+\.self_attn\.q_proj", "model.layers.[01].self_attn.q_proj"]
)
def test_inspect_adapter_respects_the_rank_pattern(tmp_path: Path, pattern: str) -> None:
    tensors = lora_tensors() | {n: a for n, a in lora_tensors(rank=5).items() if "q_proj" in n}
    assert problems_of(make_adapter(tmp_path, tensors, rank_pattern={pattern: 5})) == []


def test_inspect_adapter_misses_the_other_half(tmp_path: Path) -> None:
    tensors = lora_tensors()
    del tensors[f"{Q}.lora_B.weight"]
    assert only_problem(make_adapter(tmp_path, tensors))[0] == (
        f"{Q} has only one of lora_A and lora_B"
    )


def test_inspect_adapter_knows_what_zero3_leaves(tmp_path: Path) -> None:
    tensors = {name: np.zeros((0,), np.float32) for name in lora_tensors()}
    messages = [problem.happened for problem in problems_of(make_adapter(tmp_path, tensors))]
    assert messages[0] == (
        f"{Q} is empty, as DeepSpeed ZeRO-3 leaves it when not gathered (and 3 more like it)"
    )


def test_inspect_adapter_refuses_weights_without_lora(tmp_path: Path) -> None:
    tensors = {"model.embed_tokens.weight": np.ones((4, 4), np.float32)}
    assert only_problem(make_adapter(tmp_path, tensors))[0] == (
        "none of its 1 tensors is a LoRA tensor"
    )


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("opened"),))


def test_inspect_adapter_never_opens_a_pickle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pickle

    monkeypatch.chdir(tmp_path)
    (make_adapter(tmp_path / "a") / "adapter_model.safetensors").unlink()
    (tmp_path / "a" / "adapter_model.bin").write_bytes(pickle.dumps(_Bomb()))
    adapter, problems = inspect_adapter(tmp_path / "a")
    assert problems == []
    assert adapter is not None
    assert adapter.is_pickle
    assert adapter.tensors == {}
    assert not (tmp_path / "opened").exists()


def test_inspect_adapter_reads_what_peft_writes_first(tmp_path: Path) -> None:
    (make_adapter(tmp_path) / "adapter_model.bin").write_bytes(b"")
    adapter, problems = inspect_adapter(tmp_path)
    assert problems == []
    assert adapter is not None
    assert adapter.weights.name == "adapter_model.safetensors"


def test_inspect_adapter_reads_only_json_numbers_for_ranks(tmp_path: Path) -> None:
    config = json.loads((make_adapter(tmp_path) / "adapter_config.json").read_text())
    write_json(tmp_path / "adapter_config.json", config | {"r": True})
    assert only_problem(tmp_path)[0] == "r is True, not a rank"
