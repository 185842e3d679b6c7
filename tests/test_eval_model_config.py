"""Which wrapper, tokenizer, template and limits a model gets."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from ftbench_eval.merge_rules import adapter_rank
from ftbench_eval.model_config import ModelDecision, decide
from ftbench_eval.model_files import ModelFiles, TokenizerFiles
from ftbench_eval.model_load import limit_gpus
from ftbench_eval.presets import GENERATION, LIKELIHOOD
from ftbench_eval.reasons import Refused
from ftbench_eval.settings import Settings, read_settings

ADAPTER = Path("/adapter")
PLAIN = TokenizerFiles(template=None, length=1000, pad_token_id=0, eos_token_id=2)
CHAT = dataclasses.replace(PLAIN, template="base template")
OWN = dataclasses.replace(PLAIN, template="own template")
FILES = ModelFiles(
    base_tokenizer=CHAT,
    adapter_tokenizer=OWN,
    adapter_template="own template",
    context=4096,
    vocabulary=1000,
    generation_eos="named",
    adapter={"peft_type": "LORA", "r": 24},
)


def settings(**changes: Any) -> Settings:
    read = read_settings(
        {
            "BENCHMARK_DATASETS": "mmlu",
            "BASE_MODEL": "/base",
            "ADAPTER_PATH": str(ADAPTER),
            "MODEL_ABBR": "m",
            "OUTPUT_PATH": "/out",
        }
    )
    return dataclasses.replace(read, **changes)


def decided(
    changed: dict[str, Any] | None = None,
    files: ModelFiles = FILES,
    roles: tuple[str, ...] = (GENERATION,),
) -> ModelDecision:
    return decide(settings(**(changed or {})), files, roles, Path("/scratch/merged"))


def generation(changed: dict[str, Any] | None = None, files: ModelFiles = FILES) -> dict[str, Any]:
    return decided(changed, files).configs[GENERATION]


def test_adapter_with_its_own_tokenizer() -> None:
    decision = decided()
    assert decision.chat_template == "adapter"
    assert decision.notes == ("The tokenizer is the adapter's.",)
    assert decision.configs == {
        GENERATION: {
            "type": "opencompass.models.HuggingFacewithChatTemplate",
            "abbr": "m",
            "path": "/base",
            "tokenizer_path": "/adapter",
            "peft_path": "/adapter",
            "model_kwargs": {
                "device_map": "auto",
                "torch_dtype": "auto",
                "trust_remote_code": False,
            },
            "tokenizer_kwargs": {"trust_remote_code": False},
            "generation_kwargs": {"do_sample": False},
            "pad_token_id": 0,
            "max_seq_len": 4096,
            "max_out_len": 2048,
            "batch_size": 8,
            "run_cfg": {"num_gpus": 1},
        }
    }


def test_cpu_is_named() -> None:
    config = generation({"num_gpus": 0})
    assert config["model_kwargs"]["device_map"] == "cpu"
    assert config["run_cfg"] == {"num_gpus": 0}


def test_full_model_has_no_adapter() -> None:
    files = dataclasses.replace(FILES, adapter_tokenizer=None, adapter_template=None, adapter={})
    config = generation({"adapter": None}, files)
    assert "peft_path" not in config
    assert config["tokenizer_path"] == "/base"


def test_adapter_tokenizer_without_template_speaks_the_bases() -> None:
    files = dataclasses.replace(FILES, adapter_tokenizer=PLAIN, adapter_template=None)
    decision = decided(files=files)
    assert decision.chat_template == "base"
    config = decision.configs[GENERATION]
    assert config["tokenizer_path"] == "/adapter"
    assert config["tokenizer_kwargs"]["chat_template"] == "base template"


def test_template_file_beside_an_adapter_without_tokenizer() -> None:
    files = dataclasses.replace(FILES, adapter_tokenizer=None)
    config = generation(files=files)
    assert config["tokenizer_path"] == "/base"
    assert config["tokenizer_kwargs"]["chat_template"] == "own template"


NO_TEMPLATE = dataclasses.replace(
    FILES, base_tokenizer=PLAIN, adapter_tokenizer=PLAIN, adapter_template=None
)


def test_without_template_prompts_are_plain() -> None:
    decision = decided(files=NO_TEMPLATE)
    assert decision.chat_template == "none"
    assert decision.configs[GENERATION]["type"] == "opencompass.models.HuggingFaceBaseModel"


def test_model_type_base_leaves_the_template_unused() -> None:
    decision = decided({"model_type": "base"})
    assert decision.chat_template == "none"
    assert decision.notes[0] == "MODEL_TYPE=base: the chat template is not used."


def test_perplexity_pads_on_the_right_and_shares_everything_else() -> None:
    decision = decided(roles=(GENERATION, LIKELIHOOD))
    config = decision.configs[LIKELIHOOD]
    assert config["type"] == "opencompass.models.HuggingFaceBaseModel"
    assert config["tokenizer_kwargs"] == {"trust_remote_code": False, "padding_side": "right"}
    same = ("path", "peft_path", "model_kwargs", "abbr", "max_seq_len")
    assert all(config[key] == decision.configs[GENERATION][key] for key in same)
    assert decision.notes[-1] == (
        "Perplexity datasets use plain prompts, without the chat template."
    )


def test_sampling_is_explicit() -> None:
    config = generation({"temperature": 0.6, "top_p": 0.9})
    assert config["generation_kwargs"] == {"do_sample": True, "temperature": 0.6, "top_p": 0.9}


def test_max_seq_len_is_at_most_the_context() -> None:
    assert generation({"max_seq_len": 1024})["max_seq_len"] == 1024
    assert generation({"max_seq_len": 100_000})["max_seq_len"] == 4096


def test_custom_prompt_is_a_system_message() -> None:
    template = generation({"custom_prompt": "Be brief."})["meta_template"]
    assert template["begin"] == {"role": "SYSTEM", "api_role": "SYSTEM", "prompt": "Be brief."}
    roles = [(turn["role"], turn["api_role"]) for turn in template["round"]]
    assert roles == [("HUMAN", "HUMAN"), ("SYSTEM", "HUMAN"), ("BOT", "BOT")]


def test_pad_token_falls_back_to_the_end_token() -> None:
    no_pad = dataclasses.replace(OWN, pad_token_id=None)
    files = dataclasses.replace(FILES, adapter_tokenizer=no_pad)
    assert generation(files=files)["pad_token_id"] == 2
    assert generation(files=dataclasses.replace(files, generation_pad=7))["pad_token_id"] == 7


@pytest.mark.parametrize(
    ("changed", "files", "kind", "message"),
    [
        ({"model_type": "chat"}, NO_TEMPLATE, "chat_template", "has a chat template"),
        ({"custom_prompt": "x"}, NO_TEMPLATE, "chat_template", "needs a chat template"),
        (
            {},
            dataclasses.replace(FILES, generation_eos="none"),
            "model",
            'add "eos_token_id": 2, or delete',
        ),
        ({}, dataclasses.replace(FILES, context=None), "model", "set MAX_SEQ_LEN"),
        (
            {"merge_adapter": "never"},
            dataclasses.replace(FILES, adapter_embedding_rows=1002),
            "adapter",
            "MERGE_ADAPTER=never: its vocabulary has 1002 entries, the base's 1000",
        ),
    ],
)
def test_refusals(changed: dict[str, Any], files: ModelFiles, kind: str, message: str) -> None:
    with pytest.raises(Refused, match=message) as caught:
        decided(changed, files)
    assert caught.value.kind == kind


def test_no_template_needs_no_end_token_in_the_generation_config() -> None:
    files = dataclasses.replace(NO_TEMPLATE, generation_eos="none")
    assert decided(files=files).chat_template == "none"


def test_resized_vocabulary_is_merged() -> None:
    decision = decided(files=dataclasses.replace(FILES, adapter_embedding_rows=1002))
    assert decision.merge_because == "its vocabulary has 1002 entries, the base's 1000"
    config = decision.configs[GENERATION]
    assert config["path"] == "/scratch/merged"
    assert "peft_path" not in config
    assert config["tokenizer_path"] == "/adapter"


def test_base_with_more_rows_than_tokens_is_not_resized() -> None:
    assert decided(files=dataclasses.replace(FILES, vocabulary=1024)).merge_because == ""


VLLM = {"use_vllm": True, "num_gpus": 2}


def test_vllm_serves_the_adapter() -> None:
    assert generation(VLLM) == {
        "type": "opencompass.models.VLLMwithChatTemplate",
        "abbr": "m",
        "path": "/base",
        "lora_path": "/adapter",
        "model_kwargs": {
            "tokenizer": "/adapter",
            "trust_remote_code": False,
            "dtype": "auto",
            "tensor_parallel_size": 2,
            "gpu_memory_utilization": 0.9,
            "seed": 0,
            "enable_lora": True,
            "max_lora_rank": 32,
        },
        "generation_kwargs": {"temperature": 0.0, "top_p": 1.0},
        "max_seq_len": 4096,
        "max_out_len": 2048,
        "batch_size": 512,
        "run_cfg": {"num_gpus": 2},
    }


def test_vllm_without_template() -> None:
    assert generation(VLLM, NO_TEMPLATE)["type"] == "opencompass.models.VLLM"


def test_vllm_context_has_room_for_the_output() -> None:
    config = generation({**VLLM, "max_seq_len": 1024})
    assert config["model_kwargs"]["max_model_len"] == 3072
    config = generation({**VLLM, "max_seq_len": 4000})
    assert config["model_kwargs"]["max_model_len"] == 4096


@pytest.mark.parametrize(
    ("rank", "legal"), [(1, 8), (8, 8), (9, 16), (64, 64), (300, 320), (512, 512)]
)
def test_vllm_rank_is_rounded_up(rank: int, legal: int) -> None:
    files = dataclasses.replace(FILES, adapter={"r": rank})
    assert generation(VLLM, files)["model_kwargs"]["max_lora_rank"] == legal


@pytest.mark.parametrize(
    ("adapter", "because"),
    [
        ({"r": 8, "modules_to_save": ["lm_head"]}, "it has modules_to_save lm_head"),
        ({"r": 8, "use_dora": True}, "it uses DoRA"),
        ({"r": 513}, "its rank 513 is above 512"),
        ({"peft_type": "IA3"}, "vLLM serves LoRA adapters only, this is IA3"),
    ],
)
def test_vllm_gets_a_merged_model_where_it_cannot_serve(
    adapter: dict[str, Any], because: str
) -> None:
    decision = decided(VLLM, dataclasses.replace(FILES, adapter=adapter))
    assert decision.merge_because == because
    config = decision.configs[GENERATION]
    assert config["path"] == "/scratch/merged"
    assert "lora_path" not in config
    assert "enable_lora" not in config["model_kwargs"]
    assert decision.notes[-1] == f"The adapter is merged into the base first: {because}."


def test_vllm_merges_on_demand() -> None:
    decision = decided({**VLLM, "merge_adapter": "always"})
    assert decision.merge_because == "MERGE_ADAPTER=always"


def test_vllm_never_scores_perplexity_with_a_lora() -> None:
    decision = decided(VLLM, roles=(GENERATION, LIKELIHOOD))
    assert list(decision.configs) == [GENERATION]
    assert "would score the base" in decision.unsupported[LIKELIHOOD]


def test_vllm_scores_perplexity_of_a_merged_model() -> None:
    decision = decided({**VLLM, "merge_adapter": "always"}, roles=(GENERATION, LIKELIHOOD))
    assert decision.unsupported == {}
    config = decision.configs[LIKELIHOOD]
    assert config["type"] == "opencompass.models.VLLM"
    assert config["generation_kwargs"] == {"temperature": 0.0, "max_tokens": 1}


def test_adapter_rank_looks_at_the_pattern() -> None:
    assert adapter_rank({"r": 8, "rank_pattern": {"q_proj": 64}}) == 64
    assert adapter_rank({"r": 8, "rank_pattern": {}}) == 8


@pytest.mark.parametrize(
    ("num_gpus", "visible", "expected"),
    [(0, None, ""), (0, "2,3", ""), (2, None, "0,1"), (1, "2,3", "2"), (2, "GPU-a", "GPU-a")],
)
def test_limit_gpus(num_gpus: int, visible: str | None, expected: str) -> None:
    assert limit_gpus(num_gpus, visible) == expected
