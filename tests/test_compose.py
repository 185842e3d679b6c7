"""Composing and checking the configuration: exact messages, all problems at once."""

from pathlib import Path

import pytest

from ftbench.compose import compose_config
from ftbench.config import Config, dataset_names, flatten
from ftbench.errors import EXIT_CONFIG, ConfigError
from ftbench.help_text import help_text, key_docs
from ftbench.paths import conf_dir

ENOUGH = ["model.adapter=out", "datasets=[mmlu]"]


def problem_of(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        compose_config([*overrides])
    assert caught.value.exit_code == EXIT_CONFIG == 2
    assert len(caught.value.problems) == 1, str(caught.value)
    return str(caught.value.problems[0])


def test_compose_gives_typed_values() -> None:
    config = compose_config([*ENOUGH, "backend.temperature=0.5", "runtime=local", "limit=3"])
    assert isinstance(config, Config)
    assert config.datasets == ["mmlu"]
    assert config.backend.temperature == 0.5
    assert config.runtime.name == "local"
    assert config.runtime.num_gpus == 0
    assert config.limit == 3
    assert config.timeout == 3600


def test_compose_accepts_an_empty_dataset_list() -> None:
    assert compose_config(["model.adapter=out", "datasets=[]"]).datasets == []


@pytest.mark.parametrize(
    "option", sorted(str(p.relative_to(conf_dir())) for p in conf_dir().glob("*/*.yaml"))
)
def test_every_option_composes(option: str) -> None:
    group, name = option.removesuffix(".yaml").split("/")
    extras = {
        "vllm": "runtime.num_gpus=1",
        "openai": "judge.model=grader",
        "release": "datasets=[mmlu,gsm8k]",
    }
    extra = [extras[name]] if name in extras else []
    assert isinstance(compose_config([*ENOUGH, *extra, f"{group}={name}"]), Config)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "model.adaptor=x",
            "model.adaptor=x: unknown key 'model.adaptor'; did you mean 'model.adapter'?\n"
            "  try: python -m ftbench.run --help lists every key",
        ),
        (
            "+model.foo=1",
            "model.foo: unknown key 'model.foo'; did you mean 'model.type'?\n"
            "  try: python -m ftbench.run --help lists every key",
        ),
        (
            "temperature=1",
            "temperature=1: unknown key 'temperature'; did you mean 'backend.temperature'?\n"
            "  try: python -m ftbench.run --help lists every key",
        ),
        ("backend.temperature=hot", "backend.temperature=hot: 'hot' is not a number"),
        ("runtime.num_gpus=1.5", "runtime.num_gpus=1.5: '1.5' is not a whole number"),
        ("dry_run=maybe", "dry_run=maybe: 'maybe' is not true or false"),
        (
            "suite=quik",
            "suite=quik: there is no 'quik' in suite; did you mean 'quick'?\n"
            "  try: suite= one of chinese, code, core, instruction, knowledge, math, none, quick, "
            "reasoning",
        ),
        ("suite=null", "suite=null: suite needs the name of an option\n  try: leave suite out"),
        (
            "model.base=runs/step=5",
            "model.base=runs/step=5: cannot be read: a value with = , space, brackets or quotes "
            "needs its own quotes\n  try: for example 'model.adapter=\"runs/step=5\"'",
        ),
        ("limit=0", "limit=0: must be at least 1"),
        ("flag_above=1.5", "flag_above=1.5: must be between 0 and 1"),
        ("backend.top_p=2", "backend.top_p=2.0: must be above 0 and at most 1"),
        ("backend.temperature=-1", "backend.temperature=-1.0: must be at least 0"),
        ("runtime.memory=lots", "runtime.memory=lots: must be a size such as 512m or 8g"),
        ("model.type=instruct", "model.type=instruct: must be one of auto, chat, base"),
        (
            "backend.data_parallel=4",
            "backend.data_parallel=4: takes 4 GPUs, and one evaluation has 1\n"
            "  try: runtime.num_gpus=4",
        ),
        ("backend.tensor_parallel=0", "backend.tensor_parallel=0: must be at least 1"),
        (
            "runtime.gpu_ids=[0,0]",
            "runtime.gpu_ids=['0', '0']: names a GPU twice",
        ),
        (
            "runtime.gpu_pool=[1,1]",
            "runtime.gpu_pool=['1', '1']: names a GPU twice",
        ),
        (
            "runtime.gpu_pool=[]",
            "runtime.gpu_pool=[]: holds 0 GPUs, and one evaluation needs 1\n"
            "  try: name more, or runtime.num_gpus=N",
        ),
    ],
)
def test_one_wrong_override_gets_one_message(override: str, message: str) -> None:
    assert problem_of(*ENOUGH, override) == message


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data_parallel=2", "tensor_parallel=2", "num_gpus=3"], "takes 4 GPUs"),
        (["data_parallel=2", "tensor_parallel=2", "num_gpus=4"], ""),
        (["data_parallel=3", "num_gpus=0"], ""),
        (["tensor_parallel=2", "num_gpus=0"], "needs GPUs, and none is used"),
        (["tensor_parallel=2", "gpu_ids=[4,5]"], ""),
    ],
)
def test_copies_and_their_gpus_are_as_many_as_there_are(overrides: list[str], message: str) -> None:
    keys = [f"{'backend' if 'parallel' in o else 'runtime'}.{o}" for o in overrides]
    if message:
        assert message in problem_of(*ENOUGH, *keys)
    else:
        compose_config([*ENOUGH, *keys])


@pytest.mark.parametrize(
    "name", ["judge.api_key", "judge.key", "judge.token", "OC_JUDGE_API_KEY", "judge_api_key"]
)
@pytest.mark.parametrize("mark", ["", "+", "++"])
def test_the_judges_key_is_no_setting_and_is_not_repeated(name: str, mark: str) -> None:
    problem = problem_of(*ENOUGH, f"{mark}{name}=sk-planted123")
    assert problem == (
        f"{name}: the judge's key is taken from the environment only: others see a command line\n"
        f"  try: export OC_JUDGE_API_KEY=... and leave {name} out"
    )


@pytest.mark.parametrize(
    ("api_base", "happened"),
    [
        ("gpu-box:8000/v1", "must be an http or https address without a query"),
        ("ftp://gpu-box/v1", "must be an http or https address without a query"),
        ("http://", "must be an http or https address without a query"),
        ("http://gpu-box:port/v1", "must be an http or https address without a query"),
        ("http://gpu-box/v1?key=sk-planted", "must be an http or https address without a query"),
        ("http://me:sk-planted@gpu-box/v1", "the judge's key is taken from the environment only"),
        ("http://gpu-box/v1/chat/completions", "/chat/completions is put behind it"),
    ],
)
def test_the_judges_address_is_checked(api_base: str, happened: str) -> None:
    problem = problem_of(*ENOUGH, "judge.model=grader", f"judge.api_base='{api_base}'")
    assert problem.startswith(f"judge.api_base: {happened}")
    assert "sk-planted" not in problem


def test_a_judge_needs_model_and_address() -> None:
    assert problem_of(*ENOUGH, "judge=openai") == (
        "judge.api_base: judge.model is not set, and one needs the other\n  try: judge.model=NAME"
    )
    assert problem_of(*ENOUGH, "judge.model=grader").startswith("judge.model: judge.api_base is")
    config = compose_config([*ENOUGH, "judge=openai", "judge.model=grader"])
    assert (config.judge.model, config.judge.api_base) == ("grader", "https://api.openai.com/v1")


def test_datasets_must_be_a_list() -> None:
    assert problem_of("model.adapter=x", "datasets=mmlu") == (
        "datasets=mmlu: datasets is a list\n  try: datasets=[mmlu]"
    )


def test_a_sweep_needs_its_flag() -> None:
    assert problem_of("model.adapter=x", "datasets=mmlu,gsm8k") == (
        "datasets=mmlu,gsm8k: is a sweep over several values\n"
        "  try: datasets=[mmlu,gsm8k], or -m to sweep"
    )


def test_vllm_needs_a_gpu() -> None:
    assert problem_of(*ENOUGH, "backend=vllm", "runtime=local") == (
        "backend=vllm: needs a GPU, and none is asked for\n  try: runtime.num_gpus=1"
    )


def test_all_problems_come_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        compose_config(["modell=x", "backend.batch_size=many", "timeout=0", "reuse=perhaps"])
    tried = [problem.tried for problem in caught.value.problems]
    assert tried == [
        "modell=x",
        "backend.batch_size=many",
        "datasets",
        "model",
        "reuse=perhaps",
        "timeout=0",
    ]
    assert str(caught.value).startswith("The configuration cannot be used: 6 problems\n1. modell=x")


def test_a_users_own_folder_adds_options(weird_tmp_path: Path) -> None:
    (weird_tmp_path / "suite").mkdir()
    (weird_tmp_path / "suite" / "mine.yaml").write_text("name: mine\ndatasets: [boolq]\n")
    config = compose_config(["model.base=m", "suite=mine", "datasets=[mmlu]"], weird_tmp_path)
    assert dataset_names(config) == ("boolq", "mmlu")


def test_dataset_names_keeps_each_once() -> None:
    config = compose_config(["model.base=m", "suite=quick", "datasets=[gsm8k,boolq]"])
    assert dataset_names(config) == ("mmlu", "gsm8k", "boolq")


def test_help_documents_every_key() -> None:
    config = compose_config(ENOUGH)
    documented = {name for name, _, _ in key_docs()}
    keys = {key for key in flatten(config, keep_unset=True) if not key.startswith("suite.")}
    assert documented == keys
    assert "  runtime.num_gpus=1\n" in help_text()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["gate=no_regression", "gate.rule.tier=vital"],
            "gate.rule.tier=vital: must be one of critical, supporting, advisory",
        ),
        (
            ["gate=no_regression", "gate.rule.max_empty=5"],
            "gate.rule.max_empty=5.0: must be between 0 and 1",
        ),
        (
            ["gate=no_regression", "gate.rule.max_drop=-1"],
            "gate.rule.max_drop=-1.0: must be at least 0",
        ),
        (
            ["gate.rule.floor=60"],
            "gate: limits are set, and no gate is chosen\n"
            "  try: gate=no_regression, or gate.name=NAME for your own",
        ),
        (
            ["gate.name=mine"],
            "gate=mine: it has no floor and no limit for a drop, so it could decide nothing\n"
            "  try: gate.rule.max_drop=2 or gate.rule.floor=60",
        ),
        (
            ["gate=release"],
            "gate=release: it decides by gsm8k, and the datasets are mmlu\n"
            "  try: evaluate gsm8k too, or gate.per_dataset.gsm8k.tier=advisory",
        ),
        (
            ["gate=no_regression", "baseline=none"],
            "gate=no_regression: it limits how far a score may lie below the baseline's, and "
            "baseline is none\n  try: baseline=base, or baseline=RUN",
        ),
        (
            ["gate=no_regression", "gate.alias=champion"],
            "gate.alias=champion: moves in a registered model, and none is named\n"
            "  try: gate.registered_model=NAME",
        ),
        (
            ["gate=no_regression", "gate.registered_model=m", "gate.alias=a", "tracking=none"],
            "gate.alias=a: is in MLflow, and tracking is none",
        ),
    ],
)
def test_compose_refuses_a_gate_that_cannot_decide(overrides: list[str], message: str) -> None:
    assert problem_of(*ENOUGH, *overrides) == message


def test_compose_lets_a_gate_name_datasets_that_only_advise() -> None:
    overrides = ["gate=release", "gate.per_dataset.gsm8k.tier=advisory"]
    config = compose_config([*ENOUGH, *overrides])
    assert config.gate.per_dataset["gsm8k"].max_drop == 2
    assert compose_config(["model.adapter=out", "datasets=[]", "gate=release"]).gate.name
