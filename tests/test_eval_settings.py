"""The contract's variables: every one is read, wrong ones are all named at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from ftbench_eval.settings import SettingsError, read_settings

from ftbench.judge_client import JudgeEndpoint
from ftbench.options import DatasetOptions
from ftbench.schema import VARIABLES

MINIMAL = {
    "BENCHMARK_DATASETS": "mmlu, gsm8k,mmlu,",
    "BASE_MODEL": "Qwen/Qwen2-1.5B-Instruct",
    "MODEL_ABBR": "qwen2-1.5b-ft-abc12345",
    "OUTPUT_PATH": "/out",
}


class Recording(Mapping[str, str]):
    """An environment that remembers which variables were asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values_by_name = dict(values)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the environment is listed, not read by name")

    def __len__(self) -> int:
        return len(self.values_by_name)


def test_read_settings_reads_exactly_the_contract() -> None:
    environ = Recording(MINIMAL)
    read_settings(environ)
    assert environ.asked == set(VARIABLES)


def test_read_settings_defaults() -> None:
    settings = read_settings(MINIMAL)
    assert settings.datasets == ("mmlu", "gsm8k")
    assert (settings.max_out_len, settings.batch_size, settings.num_gpus) == (2048, None, 1)
    assert (settings.batch_tokens, settings.order) == (None, "stream")
    assert (settings.temperature, settings.top_p) == (0.0, 1.0)
    assert settings.adapter is None
    assert settings.max_seq_len is None
    assert settings.options == {}
    assert settings.files == {}
    assert settings.timeout_s is None
    assert not settings.use_vllm
    assert not settings.trust_remote_code
    assert settings.model_type == settings.merge_adapter == settings.dtype == "auto"


def test_read_settings_values() -> None:
    settings = read_settings(
        {
            **MINIMAL,
            "ADAPTER_PATH": "/adapter",
            "TEMPERATURE": "0.7",
            "MAX_SEQ_LEN": "4096",
            "USE_VLLM": "True",
            "DATASET_OPTIONS": '{"mmlu": {"limit": 8, "num_runs": 2, "pass_k": [2]}}',
            "DATASET_FILES": '{"gsm8k": "/my files/gsm8k.csv"}',
            "TIMEOUT_S": "3600",
            "CUSTOM_PROMPT": "a=b,\nc",
        }
    )
    assert settings.adapter == Path("/adapter")
    assert settings.temperature == 0.7
    assert settings.max_seq_len == 4096
    assert settings.use_vllm
    assert settings.options == {"mmlu": DatasetOptions(limit=8, num_runs=2, pass_k=(2,))}
    assert settings.files == {"gsm8k": Path("/my files/gsm8k.csv")}
    assert settings.timeout_s == 3600.0
    assert settings.custom_prompt == "a=b,\nc"


def test_read_settings_without_datasets_asks_for_no_model() -> None:
    assert read_settings({"BENCHMARK_DATASETS": "", "OUTPUT_PATH": "/out"}).datasets == ()


def test_read_settings_names_every_problem() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(
            {
                "BENCHMARK_DATASETS": "mmlu",
                "BASE_MODEL": "",
                "ADAPTER_PATH": "adapter",
                "MODEL_ABBR": "a/b",
                "BATCH_SIZE": "x",
                "NUM_GPUS": "0",
                "USE_VLLM": "true",
                "TOP_P": "0",
                "DTYPE": "int8",
                "TRUST_REMOTE_CODE": "yes",
                "DATASET_OPTIONS": '{"mmlu": {"test_range": "[x]"}, "boolq": {}}',
                "DATASET_FILES": "[]",
            }
        )
    assert caught.value.problems == [
        "BASE_MODEL is empty",
        "ADAPTER_PATH=adapter: must be an absolute path",
        "MODEL_ABBR=a/b: it names a folder, so it cannot contain '/'",
        "BATCH_SIZE=x: must be a whole number",
        "TOP_P=0: must be above 0 and at most 1",
        "DTYPE=int8: must be one of auto, float32, float16, bfloat16",
        "TRUST_REMOTE_CODE=yes: must be true or false",
        "DATASET_OPTIONS: 'mmlu' test_range must be a slice such as [10:20]",
        "DATASET_OPTIONS: 'boolq' is not in BENCHMARK_DATASETS",
        "DATASET_FILES: must be a JSON object",
        "OUTPUT_PATH is not set",
        "USE_VLLM=true needs a GPU, and NUM_GPUS is 0",
    ]


def test_read_settings_of_a_judge() -> None:
    assert read_settings(MINIMAL).judge is None
    judge = read_settings(
        {
            **MINIMAL,
            "JUDGE_MODEL": "grader",
            "JUDGE_API_BASE": "http://gpu-box:8000/v1",
            "JUDGE_CONCURRENCY": "3",
        }
    ).judge
    assert judge == JudgeEndpoint("grader", "http://gpu-box:8000/v1", concurrency=3)


def test_read_settings_takes_no_half_of_a_judge() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({**MINIMAL, "JUDGE_MODEL": "grader"})
    assert caught.value.problems == ["JUDGE_MODEL and JUDGE_API_BASE: one needs the other"]
