"""The fingerprint: it follows everything that can change a prediction, and nothing else."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ftbench.config import Config, DatasetConf, GateRuleConf, flatten
from ftbench.plan import fingerprint_of
from ftbench.program import lock_hash, program_hash
from tests.checkpoint.folders import base_tensors, lora_tensors, make_adapter, make_base
from tests.surroundings import make_config, make_host, make_world, planned

CHANGE_PREDICTIONS: dict[str, Any] = {
    "datasets": ["mmlu"],
    "suite.datasets": ["mmlu"],
    "limit": 5,
    "test_range": "[2:4]",
    "split": "test",
    "num_runs": 2,
    "num_shots": 0,
    "per_dataset": {"gsm8k": DatasetConf(limit=5)},
    "suite.per_dataset": {"gsm8k": DatasetConf(limit=5)},
    "model.type": "base",
    "model.dtype": "float32",
    "model.max_seq_len": 512,
    "model.trust_remote_code": True,
    "backend.name": "vllm",
    "backend.max_out_len": 16,
    "backend.batch_size": 1,
    "backend.batch_tokens": 1,
    "backend.order": "stock",
    "backend.tensor_parallel": 1,
    "backend.temperature": 0.5,
    "backend.top_p": 0.5,
    "backend.custom_prompt": "Be brief.",
    "backend.seed": 1,
    "backend.merge_adapter": "never",
    "runtime.num_gpus": 1,
    "runtime.gpu_ids": ["0"],
    "runtime.environment": "own",
}
"""Every key that can change a prediction, with another value than the default."""

CHANGE_WITH_OTHERS: dict[str, dict[str, Any]] = {"pass_k": {"num_runs": 4, "pass_k": [4]}}
"""Keys that count only beside another one."""

CHANGE_NO_PREDICTION: dict[str, Any] = {
    "suite.name": "mine",
    "allow_outside_services": True,
    "judge.model": "grader",
    "judge.api_base": "http://gpu-box:8000/v1",
    "judge.temperature": 0.5,
    "judge.max_out_len": 16,
    "judge.request_timeout": 1,
    "judge.retries": 0,
    "judge.concurrency": 1,
    "backend.gpu_memory_utilization": 0.5,
    "backend.data_parallel": 1,
    "runtime.name": "docker",
    "runtime.gpu_pool": ["0"],
    "runtime.cpu_threads": 3,
    "runtime.scoring_workers": 1,
    "runtime.scoring_timeout": 1,
    "runtime.image": "mine:latest",
    "runtime.memory": "1g",
    "runtime.shm_size": "1g",
    "runtime.tmp_size": "1g",
    "runtime.pids_limit": 16,
    "runtime.network": "none",
    "runtime.stop_grace": 1,
    "runtime.python": "python3.12",
    "tracking.name": "mlflow",
    "tracking.uri": "http://t",
    "tracking.experiment": "e",
    "tracking.training_run_id": "r",
    "tracking.step": 5,
    "tracking.sweep_id": "s",
    "tracking.nest": True,
    "tracking.write_back": "none",
    "tracking.request_timeout": 1,
    "flag_above": 0.5,
    "canary": False,
    "gate.name": "mine",
    "gate.evidence": "score",
    "gate.rule.tier": "advisory",
    "gate.rule.floor": 1.0,
    "gate.rule.max_drop": 1.0,
    "gate.rule.max_drop_share": 0.5,
    "gate.rule.min_coverage": 0.5,
    "gate.rule.min_samples": 5,
    "gate.rule.max_truncated": 0.5,
    "gate.rule.max_empty": 0.5,
    "gate.rule.max_unextracted": 0.5,
    "gate.per_dataset": {"gsm8k": GateRuleConf(floor=1.0)},
    "gate.allowed_supporting": 1,
    "gate.registered_model": "mine",
    "gate.alias": "champion",
    "timeout": 1,
    "workspace": "elsewhere",
    "baseline": "none",
    "reuse": "never",
    "dry_run": True,
    "download": False,
    "training.command": "true",
    "training.cwd": "elsewhere",
    "training.timeout": 1,
    "feedback.samples": 0,
    "feedback.seed": 1,
}
"""Every other key, for a dataset without a judge; an image is held to the lock and the program by
its labels."""

NAME_FILES = {"model.adapter", "model.base", "data_dir"}
"""Keys whose files count, not their names."""


def with_key(key: str, value: Any) -> Config:
    return make_config(**{key.replace(".", "__"): value})


def fingerprint(root: Path, config: Config | None = None, **host: Any) -> str:
    return planned(config or make_config(), make_host(root, **host)).fingerprint


@pytest.fixture
def world(weird_tmp_path: Path) -> Path:
    return make_world(weird_tmp_path)


def test_every_key_is_known_to_change_predictions_or_not() -> None:
    groups = [
        set(CHANGE_PREDICTIONS),
        set(CHANGE_WITH_OTHERS),
        set(CHANGE_NO_PREDICTION),
        NAME_FILES,
    ]
    assert set().union(*groups) == set(flatten(Config(datasets=[]), keep_unset=True))
    assert sum(map(len, groups)) == len(set().union(*groups))


@pytest.mark.parametrize("key", CHANGE_PREDICTIONS)
def test_fingerprint_changes_with(key: str, world: Path) -> None:
    assert fingerprint(world, with_key(key, CHANGE_PREDICTIONS[key])) != fingerprint(world)


def test_fingerprint_changes_with_pass_k(world: Path) -> None:
    changed = CHANGE_WITH_OTHERS["pass_k"]
    without = make_config(num_runs=changed["num_runs"])
    assert fingerprint(world, make_config(**changed)) != fingerprint(world, without)


def test_fingerprint_is_the_same_for_options_of_all_and_of_each(world: Path) -> None:
    each = {"gsm8k": DatasetConf(limit=5, num_runs=2)}
    same = [
        make_config(limit=5, num_runs=2),
        make_config(per_dataset=each),
        make_config(suite__per_dataset=each),
        make_config(limit=7, num_runs=2, per_dataset={"GSM-8K": DatasetConf(limit=5)}),
    ]
    assert len({fingerprint(world, config) for config in same}) == 1


@pytest.mark.parametrize("key", CHANGE_NO_PREDICTION)
def test_fingerprint_stays_with(key: str, world: Path) -> None:
    assert fingerprint(world, with_key(key, CHANGE_NO_PREDICTION[key])) == fingerprint(world)


JUDGE = {"judge__model": "grader", "judge__api_base": "http://gpu-box:8000/v1"}


@pytest.mark.parametrize("dataset", ["essays", "sums"])
def test_fingerprint_follows_the_judge_of_a_dataset_that_has_one(dataset: str, world: Path) -> None:
    def judged(**changes: Any) -> str:
        return fingerprint(world, make_config(datasets=[dataset], **(JUDGE | changes)))

    assert judged(judge__model="other") != judged()
    assert judged(judge__api_base="http://other/v1") != judged()
    assert judged(judge__temperature=0.5) != judged()
    assert judged(judge__max_out_len=16) != judged()
    assert judged(judge__retries=0, judge__concurrency=1, judge__request_timeout=1) == judged()
    assert fingerprint(world, make_config(datasets=[dataset])) != judged()


def test_fingerprint_stays_with_the_caller(world: Path) -> None:
    other = {
        "user": "5:5",
        "processors": 1,
        "tracking_uri": "http://t",
        "secrets": {"HF_TOKEN": "x"},
        "data_url": "http://mirror",
        "hub_url": "http://mirror",
    }
    assert fingerprint(world, command=("x",), hub_offline=True, **other) == fingerprint(world)


def test_fingerprint_stays_with_copies_under_other_names(world: Path, tmp_path: Path) -> None:
    for name, copy in {"out": "a", "base": "b", "compass": "c"}.items():
        shutil.copytree(world / name, tmp_path / "elsewhere" / copy)
    other = make_config(model__adapter="a", model__base="b", data_dir="c")
    assert fingerprint(tmp_path / "elsewhere", other) == fingerprint(world)


@pytest.mark.parametrize("changed", ["adapter", "base", "data", "preset", "no adapter"])
def test_fingerprint_changes_with_content(changed: str, world: Path) -> None:
    before = fingerprint(world)
    config = make_config()
    if changed == "adapter":
        tensors = lora_tensors()
        next(iter(tensors.values()))[0, 0] += np.float32(1e-6)
        make_adapter(world / "out", tensors)
    elif changed == "base":
        make_base(world / "base", base_tensors() | {"extra": np.zeros(1, np.float32)})
    elif changed == "data":
        (world / "compass" / "data" / "gsm8k" / "test.jsonl").write_text('{"question": "1+2"}\n')
    elif changed == "preset":
        config = make_config(datasets=["mmlu"])
        before = fingerprint(world, make_config(datasets=["mmlu:ppl"]))
    else:
        config = make_config(model__adapter=None)
    assert fingerprint(world, config) != before


def test_fingerprint_ignores_data_of_other_datasets(world: Path) -> None:
    before = fingerprint(world)
    (world / "compass" / "data" / "mmlu" / "test.jsonl").write_text("other\n")
    assert fingerprint(world) == before


@pytest.mark.parametrize(("gpus", "variant"), [(0, "cpu"), (2, "cuda")])
def test_fingerprint_holds_program_packages_and_gpus(gpus: int, variant: str, world: Path) -> None:
    parts = planned(make_config(runtime__num_gpus=gpus), make_host(world)).fingerprint_parts
    assert (parts["schema"], parts["num_gpus"]) == ("2", str(gpus))
    assert (parts["program"], parts["lock"]) == (program_hash(), lock_hash(variant))
    for name in parts:
        assert fingerprint_of(parts | {name: "other"}) != fingerprint_of(parts)


def test_fingerprint_follows_the_packages_of_the_users_environment(world: Path) -> None:
    for folder, version in (("a", "1"), ("b", "1"), ("c", "2")):
        packages = world / folder / "lib" / "python3.11" / "site-packages"
        (packages / f"torch-{version}.dist-info").mkdir(parents=True)
    a, b, c = (fingerprint(world, make_config(runtime__environment=name)) for name in "abc")
    assert a == b != c
    docker = make_config(runtime__environment="a", runtime__name="docker")
    assert fingerprint(world, docker) == fingerprint(world)


def test_fingerprint_parts_say_which_preset_stands_for_which_name(world: Path) -> None:
    parts = planned(make_config(datasets=["gsm8k"]), make_host(world)).fingerprint_parts
    assert json.loads(parts["datasets"]) == [["gsm8k", "gsm8k/gsm8k_gen.py"]]


OF_THE_QUESTIONS = {
    "datasets",
    "suite.datasets",
    "limit",
    "test_range",
    "split",
    "num_runs",
    "num_shots",
    "per_dataset",
    "suite.per_dataset",
}
"""Keys that change what is asked, and not who answers how."""


@pytest.mark.parametrize("key", CHANGE_PREDICTIONS)
def test_models_name_and_workspace_change_only_with_who_answers_how(key: str, world: Path) -> None:
    before = planned(make_config(), make_host(world))
    after = planned(with_key(key, CHANGE_PREDICTIONS[key]), make_host(world))
    is_same = key in OF_THE_QUESTIONS
    assert (after.model_abbr == before.model_abbr) is is_same
    assert (after.workspace == before.workspace) is is_same


def dataset_fingerprint(root: Path, name: str = "gsm8k", **changes: Any) -> str:
    plan = planned(make_config(**changes), make_host(root))
    return next(d.fingerprint for d in plan.datasets if d.name == name)


def test_fingerprint_of_a_dataset_stays_with_what_is_asked_beside_it(world: Path) -> None:
    alone = dataset_fingerprint(world)
    beside = {"per_dataset": {"mmlu": DatasetConf(limit=5)}, **JUDGE}
    assert dataset_fingerprint(world, datasets=["mmlu", "gsm8k", "essays"], **beside) == alone
    plan = planned(make_config(), make_host(world))
    assert plan.fingerprint == alone


@pytest.mark.parametrize("key", sorted(CHANGE_PREDICTIONS.keys() - {"datasets", "suite.datasets"}))
def test_fingerprint_of_a_dataset_changes_with(key: str, world: Path) -> None:
    changes = {key.replace(".", "__"): CHANGE_PREDICTIONS[key], "datasets": ["mmlu", "gsm8k"]}
    assert dataset_fingerprint(world, **changes) != dataset_fingerprint(world)


def test_fingerprint_of_a_dataset_follows_its_own_options_judge_and_data(world: Path) -> None:
    both = ["gsm8k", "essays"]
    before = {name: dataset_fingerprint(world, name, datasets=both, **JUDGE) for name in both}
    limited = {"gsm8k": DatasetConf(limit=1)}
    judge = JUDGE | {"judge__temperature": 0.5}
    after = {
        name: dataset_fingerprint(world, name, datasets=both, per_dataset=limited, **judge)
        for name in both
    }
    assert all(after[name] != before[name] for name in both)
    (world / "compass" / "data" / "mmlu" / "test.jsonl").write_text("other\n")
    assert dataset_fingerprint(world, datasets=["mmlu", *both], **JUDGE) == before["gsm8k"]
