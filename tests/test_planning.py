"""From a configuration and a machine to exactly what will happen."""

import re
import shutil
from pathlib import Path

import pytest

from ftbench.choosing import choose_datasets
from ftbench.errors import ConfigError
from ftbench.host import Host
from ftbench.image import image_name
from ftbench.plan import DatasetPlan, Mount, TrackingPlan, write_plan
from ftbench.planning import plan_tracking
from ftbench.schema import VARIABLES
from ftbench.workspace import new_run_dir
from tests.surroundings import CATALOGUE, NOW, make_config, make_host, make_world, planned


@pytest.fixture
def world(weird_tmp_path: Path) -> Path:
    return make_world(weird_tmp_path)


def test_gpu_ids_count_as_that_many_gpus(world: Path) -> None:
    plan = planned(
        make_config(runtime__num_gpus=5, runtime__gpu_ids=["3", "GPU-1"]), make_host(world)
    )
    assert (plan.num_gpus, plan.gpu_ids, plan.environment["NUM_GPUS"]) == (2, ("3", "GPU-1"), "2")
    assert plan.image == image_name("cuda")
    assert (
        plan.fingerprint == planned(make_config(runtime__num_gpus=2), make_host(world)).fingerprint
    )
    none = planned(make_config(runtime__num_gpus=5, runtime__gpu_ids=[]), make_host(world))
    assert (none.num_gpus, none.gpu_ids, none.image) == (0, (), image_name("cpu"))


def test_make_plan_names_everything_absolutely(world: Path) -> None:
    plan = planned(make_config(workspace="ws", runtime__environment="env"), make_host(world))
    assert plan.run_dir == new_run_dir(world / "ws", NOW)
    assert plan.environment_folder == world / "env"
    assert re.fullmatch("base-ft-[0-9a-f]{8}", plan.model_abbr)
    data, own = ("data/gsm8k",), plan.datasets[0].fingerprint
    assert plan.datasets == (
        DatasetPlan("gsm8k", ("gsm8k/gsm8k_gen.py",), "gen", ("gsm8k",), data, fingerprint=own),
    )
    default = planned(make_config(), make_host(world))
    assert default.workspace == world / "ftbench_workspace" / default.model_abbr


def test_make_plan_fills_the_contract_with_the_program(world: Path) -> None:
    plan = planned(make_config(limit=7, model__max_seq_len=512), make_host(world))
    assert set(VARIABLES) - set(plan.environment) == {"SECRETS_PATH"}
    assert plan.environment == {
        "BENCHMARK_DATASETS": "gsm8k",
        "BASE_MODEL": str(world / "base"),
        "ADAPTER_PATH": str(world / "out"),
        "MODEL_ABBR": plan.model_abbr,
        "MAX_OUT_LEN": "2048",
        "BATCH_SIZE": "",
        "BATCH_TOKENS": "",
        "INFERENCE_ORDER": "stream",
        "NUM_GPUS": "0",
        "DATA_PARALLEL": "",
        "TENSOR_PARALLEL": "",
        "TEMPERATURE": "0.0",
        "TOP_P": "1.0",
        "MAX_SEQ_LEN": "512",
        "USE_VLLM": "false",
        "CUSTOM_PROMPT": "",
        "MODEL_TYPE": "auto",
        "MERGE_ADAPTER": "auto",
        "DTYPE": "auto",
        "TRUST_REMOTE_CODE": "false",
        "SEED": "0",
        "DATASET_OPTIONS": '{"gsm8k": {"limit": 7}}',
        "DATASET_FILES": "",
        "GPU_MEMORY_UTILIZATION": "0.9",
        "FINGERPRINT": plan.fingerprint,
        "OUTPUT_PATH": str(plan.run_dir),
        "TIMEOUT_S": "3600",
        "SCORING_TIMEOUT_S": "1800",
        "SCORING_WORKERS": "2",
        "CANARY": "true",
        "COMPASS_DATA_CACHE": str(world / "compass"),
        "JUDGE_MODEL": "",
        "JUDGE_API_BASE": "",
        "JUDGE_TEMPERATURE": "0.0",
        "JUDGE_MAX_OUT_LEN": "4096",
        "JUDGE_TIMEOUT_S": "120",
        "JUDGE_RETRIES": "5",
        "JUDGE_CONCURRENCY": "8",
        "ALLOW_OUTSIDE_SERVICES": "false",
        "OMP_NUM_THREADS": "4",
        "HF_HUB_CACHE": str(world / "hub"),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
    }


def test_make_plan_goes_on_with_an_unfinished_run_unless_told_otherwise(world: Path) -> None:
    first = planned(make_config(), make_host(world))
    write_plan(first)
    assert planned(make_config(), make_host(world)).run_dir == first.run_dir
    again = planned(make_config(reuse="never"), make_host(world)).run_dir
    assert again == first.run_dir.with_name(first.run_dir.name + "_1")


@pytest.mark.parametrize(
    ("asked", "dataset", "network"),
    [
        ("auto", "gsm8k", None),
        ("auto", "hle", None),
        ("none", "gsm8k", None),
        ("mine", "gsm8k", "mine"),
    ],
)
def test_network_is_on_only_when_named(
    asked: str, dataset: str, network: str | None, world: Path
) -> None:
    host = make_host(world, secrets={"OC_JUDGE_API_KEY": "key-123", "HF_TOKEN": "hf-123"})
    plan = planned(make_config(datasets=[dataset], runtime__network=asked), host)
    assert plan.network == network
    # Secrets go where they are needed, and only their names are written.
    assert plan.secrets == (("HF_TOKEN",) if network else ())
    # Models and data are on this machine; only a judge or a benchmark's own server is asked.
    assert plan.environment["HF_HUB_OFFLINE"] == "1"
    write_plan(plan)
    text = plan.files.plan.read_text()
    assert "key-123" not in text and "hf-123" not in text


JUDGE = {"judge__model": "grader", "judge__api_base": "http://gpu-box:8000/v1"}


@pytest.mark.parametrize("dataset", ["essays", "sums"])
def test_a_judge_gets_network_key_and_variables_where_it_is_asked(
    dataset: str, world: Path
) -> None:
    host = make_host(world, secrets={"OC_JUDGE_API_KEY": "key-123", "HF_TOKEN": "hf-123"})
    plan = planned(make_config(datasets=[dataset], **JUDGE), host)
    assert (plan.network, plan.secrets) == ("bridge", ("OC_JUDGE_API_KEY",))
    assert plan.environment["JUDGE_MODEL"] == "grader"
    assert plan.environment["JUDGE_API_BASE"] == "http://gpu-box:8000/v1"
    assert plan.environment["HF_HUB_OFFLINE"] == "1"
    without = planned(make_config(**JUDGE), host)
    assert (without.network, without.secrets) == (None, ())
    assert without.environment["JUDGE_MODEL"] == ""


def test_a_service_outside_gets_a_network_when_it_is_allowed(world: Path) -> None:
    config = make_config(datasets=["tools"], allow_outside_services=True)
    plan = planned(config, make_host(world))
    assert (plan.network, plan.environment["ALLOW_OUTSIDE_SERVICES"]) == ("bridge", "true")
    assert planned(make_config(datasets=["tools"]), make_host(world)).network is None


def test_mounts_are_read_only_but_the_run_folder(world: Path) -> None:
    plan = planned(make_config(), make_host(world))
    read_only = [world / "base", world / "out", world / "compass"]
    own = Mount(plan.run_dir, str(plan.run_dir), read_only=False)
    assert plan.mounts == (*(Mount(folder, str(folder)) for folder in read_only), own)


def test_mounts_leave_out_folders_that_are_not_there(world: Path) -> None:
    shutil.rmtree(world / "compass")
    plan = planned(make_config(datasets=["gsm8k", "hle"]), make_host(world))
    assert [m.source for m in plan.mounts] == [world / "base", world / "out", plan.run_dir]


def test_mounts_hold_the_hub_cache_for_a_dataset_of_the_hub(world: Path) -> None:
    (world / "hub").mkdir()
    for dataset, mounted in {"gsm8k": False, "hle": True}.items():
        mounts = planned(make_config(datasets=[dataset]), make_host(world)).mounts
        assert (Mount(world / "hub", str(world / "hub")) in mounts) is mounted


def test_mounts_follow_links_out_of_a_folder(world: Path) -> None:
    disk = world / "disk"
    disk.mkdir()
    for path in (world / "out" / "adapter_model.safetensors", world / "compass" / "data" / "gsm8k"):
        path.rename(disk / path.name)
        path.symlink_to(disk / path.name)
    sources = {mount.source for mount in planned(make_config(), make_host(world)).mounts}
    assert {disk, disk / "gsm8k"} < sources


@pytest.mark.parametrize(
    ("config", "ambient", "uri"),
    [
        ({}, None, "sqlite:///CWD/mlflow.db"),
        ({"uri": "sqlite:///a/b.db"}, "http://t", "sqlite:///CWD/a/b.db"),
        ({"uri": "sqlite:////abs/b.db"}, None, "sqlite:////abs/b.db"),
        ({}, "https://me:secret@host:5/x", "https://host:5/x"),
        ({"uri": "postgresql://me:secret@host/db"}, None, "postgresql://host/db"),
    ],
    ids=str,
)
def test_plan_tracking_is_absolute_and_without_credentials(
    config: dict[str, str], ambient: str | None, uri: str, weird_tmp_path: Path
) -> None:
    host = make_host(weird_tmp_path, tracking_uri=ambient)
    config = {f"tracking__{key}": value for key, value in config.items()}
    tracking = plan_tracking(make_config(tracking__name="mlflow", **config), host)
    assert tracking == TrackingPlan("mlflow", uri.replace("CWD", str(weird_tmp_path)))


def test_plan_tracking_none_takes_nothing(tmp_path: Path) -> None:
    host = make_host(tmp_path, tracking_uri="http://t")
    assert plan_tracking(make_config(), host) == TrackingPlan("none")


def test_make_plan_keeps_no_credentials(world: Path) -> None:
    uri = "http://me:pass-123@host"
    host = make_host(world, command=("python", f"tracking.uri={uri}"), tracking_uri=uri)
    plan = planned(make_config(tracking__name="mlflow", tracking__uri=uri), host)
    write_plan(plan)
    assert plan.command == ("python", "tracking.uri=http://host")
    assert plan.parameters["tracking.uri"] == "http://host"
    assert "pass-123" not in plan.files.plan.read_text()


def problems_of(host: Host, *datasets: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        choose_datasets(make_config(datasets=[*datasets]), host, CATALOGUE)
    return [str(problem) for problem in caught.value.problems]


def test_choose_datasets_lists_every_bad_name_with_suggestions(tmp_path: Path) -> None:
    assert problems_of(make_host(tmp_path), "gsm8", "mmlu", "zzz") == [
        "datasets: 'gsm8': OpenCompass 0.5.4 has no dataset of this name\n  try: one of: gsm8k",
        "datasets: 'zzz': OpenCompass 0.5.4 has no dataset of this name\n"
        "  try: python -m ftbench.datasets list shows every name",
    ]


@pytest.mark.parametrize("name", ["MMLU", "mmlu_gen", "both"])
def test_choose_datasets_refuses_the_same_preset_twice(name: str, tmp_path: Path) -> None:
    assert problems_of(make_host(tmp_path), "mmlu", name) == [
        f"datasets: '{name}': is the same as 'mmlu'\n  try: choose one of them"
    ]


def test_choose_datasets_takes_a_name_of_several_presets_for_one_dataset(tmp_path: Path) -> None:
    config = make_config(datasets=["both", "mmlu:ppl"])
    both, likelihood = choose_datasets(config, make_host(tmp_path), CATALOGUE).datasets
    assert [p.path for p in both.presets] == ["gsm8k/gsm8k_gen.py", "mmlu/mmlu_gen.py"]
    assert both.subsets == ("gsm8k", "mmlu_law", "mmlu_art")
    assert [p.path for p in likelihood.presets] == ["mmlu/mmlu_ppl.py"]


def test_choose_datasets_looks_in_the_given_data_folder(weird_tmp_path: Path) -> None:
    config = make_config(data_dir="mine", datasets=["gsm8k"])
    chosen = choose_datasets(config, make_host(weird_tmp_path), CATALOGUE)
    assert chosen.data_dir == weird_tmp_path / "mine"
    assert [m.place for m in chosen.missing] == [weird_tmp_path / "mine" / "data" / "gsm8k"]
