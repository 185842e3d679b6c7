from __future__ import annotations

from pathlib import Path

import pytest

from ftbench.checkpoint import has_chat_template, inspect_model
from ftbench.errors import Problem
from tests.checkpoint.folders import cut, make_adapter, make_base, make_shards, write_json


def only_problem(folder: Path) -> tuple[str, str]:
    problems = inspect_model(folder)
    assert len(problems) == 1
    return problems[0].tried, problems[0].happened


def test_inspect_model_takes_a_complete_model(weird_tmp_path: Path) -> None:
    assert inspect_model(make_base(weird_tmp_path / "base")) == []
    assert inspect_model(make_shards(weird_tmp_path / "shards")) == []


def test_inspect_model_says_that_there_is_no_folder(tmp_path: Path) -> None:
    folder = tmp_path / "nowhere"
    assert inspect_model(folder) == [
        Problem(f"model.base={folder}", "there is no such folder", "model.base=DIR_OR_NAME")
    ]


def test_inspect_model_recognises_an_adapter(tmp_path: Path) -> None:
    make_adapter(tmp_path)
    assert inspect_model(tmp_path) == [
        Problem(
            f"model.base={tmp_path}",
            "it is an adapter, not a full model",
            f"model.adapter={tmp_path}, and model.base for its base",
        )
    ]


def test_inspect_model_suggests_the_newest_checkpoint(tmp_path: Path) -> None:
    for step in (5, 40):
        make_base(tmp_path / f"checkpoint-{step}")
    problem = inspect_model(tmp_path)[0]
    assert problem.happened == "it is a trainer's output folder with checkpoints, not a model"
    assert problem.cure == f"model.base={tmp_path / 'checkpoint-40'}"


def test_inspect_model_misses_the_weights(tmp_path: Path) -> None:
    (make_base(tmp_path) / "model.safetensors").unlink()
    (tmp_path / "model.gguf").touch()
    assert only_problem(tmp_path) == (
        f"model.base={tmp_path}",
        "it has no weights (none of model.safetensors, pytorch_model.bin, whole or in shards); "
        "GGUF files cannot be evaluated here",
    )


def test_inspect_model_misses_a_shard(tmp_path: Path) -> None:
    (make_shards(tmp_path) / "model-00002-of-00002.safetensors").unlink()
    assert only_problem(tmp_path) == (
        str(tmp_path / "model.safetensors.index.json"),
        "1 of its 2 shards are missing, first model-00002-of-00002.safetensors",
    )


def test_inspect_model_finds_the_truncated_shard(tmp_path: Path) -> None:
    shard = make_shards(tmp_path) / "model-00001-of-00002.safetensors"
    whole = shard.stat().st_size
    cut(shard, 10)
    assert only_problem(tmp_path) == (
        f"reading {shard}",
        f"it is truncated: {whole - 10} of {whole} bytes are there",
    )


def test_inspect_model_compares_the_index_with_the_shards(tmp_path: Path) -> None:
    index = make_shards(tmp_path) / "model.safetensors.index.json"
    write_json(index, {"weight_map": {"lm_head.weight": "model-00001-of-00002.safetensors"}})
    assert only_problem(tmp_path) == (
        str(index),
        "1 tensors are missing in model-00001-of-00002.safetensors, first lm_head.weight",
    )


def test_inspect_model_refuses_an_index_without_shards(tmp_path: Path) -> None:
    index = make_shards(tmp_path) / "model.safetensors.index.json"
    write_json(index, {"weight_map": ["a"]})
    assert only_problem(tmp_path)[0] == f"reading {index}"


def test_inspect_model_tells_all_problems_at_once(tmp_path: Path) -> None:
    make_base(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    (tmp_path / "tokenizer.json").unlink()
    cut(tmp_path / "model.safetensors", 1)
    assert [problem.tried for problem in inspect_model(tmp_path)] == [
        f"reading {tmp_path / 'config.json'}",
        f"reading {tmp_path / 'model.safetensors'}",
        f"model.base={tmp_path}",
    ]


def test_inspect_model_takes_the_tokenizer_of_the_adapter(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    (base / "tokenizer.json").unlink()
    adapter = make_adapter(tmp_path / "adapter")
    assert only_problem(base)[1].startswith("it has no tokenizer (none of tokenizer.json, ")
    write_json(adapter / "tokenizer.json", {})
    assert inspect_model(base, tokenizer_folder=adapter) == []


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("tokenizer_config.json", '{"chat_template": "{{ messages }}"}', True),
        ("tokenizer_config.json", '{"chat_template": [{"name": "default"}]}', True),
        ("chat_template.jinja", "{{ messages }}", True),
        ("tokenizer_config.json", '{"chat_template": null}', False),
        ("tokenizer_config.json", "{}", False),
        ("tokenizer_config.json", "{", False),
        ("tokenizer.json", '{"chat_template": "x"}', False),
    ],
)
def test_has_chat_template_looks_where_transformers_does(
    tmp_path: Path, name: str, content: str, expected: bool
) -> None:
    (tmp_path / name).write_text(content)
    assert has_chat_template(tmp_path) is expected
