"""What a user reads after a mistake: the whole command as typed, and the whole message.

Nothing may be left in the folder where a refused command was typed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from ftbench.errors import EXIT_CONFIG, EXIT_LAUNCH, EXIT_OK
from tests.browser import free_port
from tests.checkpoint.folders import Arrays, cut, lora_tensors, make_adapter, make_base

CONFIG = "The configuration cannot be used"
PREFLIGHT = "Preflight stopped the run before anything was started"
HELP = "  try: python -m ftbench.run --help lists every key"

SERVER = "http://opencompass.oss-cn-shanghai.aliyuncs.com"

LAYER = "model.layers.0.self_attn.q_proj"


@dataclass(frozen=True)
class Desk:
    """A user's working folder with a base, an adapter and data that are all right.

    Attributes:
        root: Beside the working folder: the home, the data and a ready environment.
        work: The working folder.
    """

    root: Path
    work: Path

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Types ``python -m ftbench.run ...``."""
        return self.python("-m", "ftbench.run", *arguments, **variables)

    def python(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs this Python in the working folder; of the caller's variables it sees none."""
        environ = {"HOME": str(self.root / "home"), "PATH": str(self.root), "LANG": "C.UTF-8"}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.work,
            env=environ | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def content(self) -> dict[str, bytes]:
        """Every file and folder of the working folder."""
        return {
            str(path.relative_to(self.work)): path.read_bytes() if path.is_file() else b""
            for path in self.work.rglob("*")
        }


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    work = tmp_path / "work"
    make_base(work / "base")
    make_adapter(work / "adapter", base_model_name_or_path="base")
    (tmp_path / "home").mkdir()
    (tmp_path / "data" / "data" / "gsm8k").mkdir(parents=True)
    (tmp_path / "data" / "data" / "gsm8k" / "test.jsonl").write_text("{}")
    # What the local runtime asks a ready environment for, before it starts anything.
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho 0.5.4 2.5.0\n")
    python.chmod(0o755)
    return Desk(tmp_path, work)


SOUND = ["model.adapter=adapter", "datasets=[gsm8k]"]
LOCAL = ["runtime=local", "runtime.environment=../env", "data_dir=../data", "tracking=none"]
DOCKER = ["runtime.num_gpus=0", "data_dir=../data", "tracking=none"]


def refused(
    desk: Desk, arguments: list[str], exit_code: int, message: str, **variables: str
) -> None:
    """Runs a command that must be refused with exactly this message, and leave nothing."""
    before = desk.content()
    done = desk.run(*arguments, **variables)
    wanted = message.format(work=desk.work, root=desk.root, home=desk.root / "home")
    assert done.stderr == f"{wanted}\n"
    assert done.returncode == exit_code
    assert desk.content() == before
    if exit_code == EXIT_CONFIG:
        assert done.stdout == ""
    else:
        assert done.stdout.endswith("\nFinal Decision: False\n")


@dataclass(frozen=True)
class Bad:
    """One mistake.

    Attributes:
        kind: Name of the test.
        arguments: The command line after ``python -m ftbench.run``.
        message: Everything on stderr; ``{work}``, ``{root}`` and ``{home}`` are folders.
        prepare: Spoils the working folder.
        variables: Environment variables.
    """

    kind: str
    arguments: list[str]
    message: str
    prepare: Callable[[Path], object] = lambda work: None
    variables: dict[str, str] = field(default_factory=dict)


def trained(work: Path, change: Callable[[Arrays], object], base: str = "base") -> None:
    """Puts an adapter with changed tensors in the place of the sound one."""
    tensors = lora_tensors()
    change(tensors)
    make_adapter(work / "adapter", tensors, base_model_name_or_path=base)


def diverge(tensors: Arrays) -> None:
    tensors[f"base_model.model.{LAYER}.lora_A.weight"][0, :3] = np.nan
    tensors[f"base_model.model.{LAYER}.lora_B.weight"][1, 1] = np.inf


def zero_b(tensors: Arrays) -> None:
    for name in tensors:
        if "lora_B" in name:
            tensors[name][:] = 0


def widen(tensors: Arrays) -> None:
    for name in tensors:
        if "lora_A" in name:
            tensors[name] = np.full((2, 12), 0.5, np.float32)


def write_option(text: str) -> Callable[[Path], object]:
    """A user's own suite ``mine`` in the folder ``own``."""

    def write(work: Path) -> None:
        (work / "own" / "suite").mkdir(parents=True)
        (work / "own" / "suite" / "mine.yaml").write_text(text)

    return write


BAD_CONFIGURATION = [
    Bad(
        "nothing is given",
        [],
        f"{CONFIG}: 2 problems\n"
        "1. datasets: nothing says what to evaluate\n"
        "  try: datasets=[mmlu,gsm8k] or suite=quick\n"
        "2. model: neither model.adapter nor model.base is set\n"
        "  try: model.adapter=DIR for a LoRA adapter, model.base=DIR_OR_NAME for a full model",
    ),
    Bad(
        "unknown datasets",
        ["model.adapter=adapter", "datasets=[gsm9k,mmluu,xyzzyq]", *LOCAL],
        f"{CONFIG}: 3 problems\n"
        "1. datasets: 'gsm9k': OpenCompass 0.5.4 has no dataset of this name\n"
        "  try: one of: gsm8k, mgsm\n"
        "2. datasets: 'mmluu': OpenCompass 0.5.4 has no dataset of this name\n"
        "  try: one of: mmlu, mmmlu, cmmlu\n"
        "3. datasets: 'xyzzyq': OpenCompass 0.5.4 has no dataset of this name\n"
        "  try: python -m ftbench.datasets list shows every name",
    ),
    Bad(
        "an unknown key",
        [*SOUND, "model.adaptor=x"],
        f"{CONFIG}\n"
        "model.adaptor=x: unknown key 'model.adaptor'; did you mean 'model.adapter'?\n"
        f"{HELP}",
    ),
    Bad(
        "a wrong type",
        [*SOUND, "limit=ten"],
        f"{CONFIG}\nlimit=ten: 'ten' is not a whole number",
    ),
    Bad(
        "several problems",
        [
            "adapter",
            "modell=x",
            "backend.batch_size=many",
            "timeout=null",
            "runtime.gpu_ids=0",
            "tracking.experiment=[sft]",
            "backend.top_p=2",
            "reuse=perhaps",
            "suite=quik",
        ],
        f"{CONFIG}: 10 problems\n"
        "1. adapter: is no setting: KEY=VALUE is expected\n"
        f"{HELP}\n"
        "2. modell=x: unknown key 'modell'; did you mean 'model'?\n"
        f"{HELP}\n"
        "3. backend.batch_size=many: 'many' is not a whole number\n"
        "4. timeout=null: null is no value for it\n"
        "  try: leave timeout out\n"
        "5. runtime.gpu_ids=0: runtime.gpu_ids is a list\n"
        "  try: runtime.gpu_ids=[0]\n"
        "6. tracking.experiment=[sft]: tracking.experiment is a single text\n"
        f"{HELP}\n"
        "7. suite=quik: there is no 'quik' in suite; did you mean 'quick'?\n"
        "  try: suite= one of chinese, code, core, "
        "instruction, knowledge, math, none, quick, reasoning\n"
        "8. model: neither model.adapter nor model.base is set\n"
        "  try: model.adapter=DIR for a LoRA adapter, model.base=DIR_OR_NAME for a full model\n"
        "9. reuse=perhaps: must be one of auto, never\n"
        "10. backend.top_p=2.0: must be above 0 and at most 1",
    ),
    Bad(
        "an unknown experiment",
        [*SOUND, "experiment=smok"],
        f"{CONFIG}\n"
        "experiment=smok: there is no 'smok' in experiment; did you mean 'smoke'?\n"
        "  try: experiment= one of smoke",
    ),
    Bad(
        "datasets is no list",
        ["model.adapter=adapter", "datasets=mmlu"],
        f"{CONFIG}\ndatasets=mmlu: datasets is a list\n  try: datasets=[mmlu]",
    ),
    Bad(
        "a list with spaces",
        ["model.adapter=adapter", "datasets=[mmlu,", "gsm8k]"],
        f"{CONFIG}: 2 problems\n"
        "1. datasets=[mmlu,: is a piece of a list: a space ends an argument\n"
        "  try: a list without spaces, such as datasets=[mmlu,gsm8k]\n"
        "2. gsm8k]: is a piece of a list: a space ends an argument\n"
        "  try: a list without spaces, such as datasets=[mmlu,gsm8k]",
    ),
    Bad(
        "a list in the list",
        ["model.adapter=adapter", "datasets=[[mmlu]]"],
        f"{CONFIG}\n"
        "datasets: '['mmlu']': a dataset name has no comma, space or bracket\n"
        "  try: datasets=[mmlu,gsm8k]",
    ),
    Bad(
        "datasets is null",
        ["model.adapter=adapter", "datasets=null"],
        f"{CONFIG}\ndatasets=null: null is no value for it\n  try: datasets=[mmlu,gsm8k]",
    ),
    Bad(
        "a group is null",
        [*SOUND, "runtime=null"],
        f"{CONFIG}\nruntime=null: runtime needs the name of an option\n  try: leave runtime out",
    ),
    Bad(
        "a setting as a flag",
        [*SOUND, "--dry-run", "--limit=3"],
        f"{CONFIG}: 2 problems\n"
        "1. --dry-run: there is no such flag; did you mean 'dry_run=VALUE'?\n"
        f"{HELP}\n"
        "2. --limit=3: there is no such flag; did you mean 'limit=3'?\n"
        f"{HELP}",
    ),
    Bad(
        "a missing folder of options",
        [*SOUND, "--config-dir=own", "suite=mine"],
        f"{CONFIG}\n"
        "--config-dir=own: there is no such folder\n"
        "  try: --config-dir=DIR with folders such as suite/ in it",
    ),
    Bad(
        "a missing configuration",
        [*SOUND, "--config-name=own"],
        f"{CONFIG}\n"
        "--config-name=own: there is no such configuration\n"
        "  try: leave --config-name out",
    ),
    Bad(
        "a syntax error in an option",
        ["model.adapter=adapter", "--config-dir=own", "suite=mine"],
        f"{CONFIG}\n"
        "suite=mine: {work}/own/suite/mine.yaml is no YAML: line 3, "
        "expected ',' or ']', but got '<stream end>'",
        write_option("name: mine\ndatasets: [gsm8k\n"),
    ),
    Bad(
        "a wrong value in an option",
        ["model.adapter=adapter", "--config-dir=own", "suite=mine"],
        f"{CONFIG}\nsuite=mine: suite.datasets is a list\n  try: datasets: [...] in its file",
        write_option("name: mine\ndatasets: gsm8k\n"),
    ),
]


@pytest.mark.parametrize("bad", BAD_CONFIGURATION, ids=lambda bad: bad.kind.replace(" ", "-"))
def test_a_wrong_configuration_is_refused(desk: Desk, bad: Bad) -> None:
    bad.prepare(desk.work)
    refused(desk, bad.arguments, EXIT_CONFIG, bad.message, **bad.variables)


WEIGHTS = "{work}/adapter/adapter_model.safetensors"
PROXY = "http://127.0.0.1:9"
"""Nothing listens on port 9 (discard)."""

BAD_WORLD = [
    Bad(
        "a missing adapter",
        # The default tracker: the refused run must not make its database.
        ["model.adapter=out", "datasets=[gsm8k]", *LOCAL, "tracking=mlflow"],
        f"{PREFLIGHT}\n"
        "model.adapter={work}/out: there is no such folder\n"
        "  try: model.adapter=DIR with a trained adapter",
    ),
    Bad(
        "an adapter without weights",
        [*SOUND, *LOCAL],
        f"{PREFLIGHT}\n"
        "model.adapter={work}/adapter: it has adapter_config.json but no "
        "adapter_model.safetensors or adapter_model.bin\n"
        "  try: save the adapter with model.save_pretrained(DIR)",
        lambda work: (work / "adapter" / "adapter_model.safetensors").unlink(),
    ),
    Bad(
        "truncated weights",
        [*SOUND, *LOCAL],
        f"{PREFLIGHT}\n"
        f"reading {WEIGHTS}: it is truncated: 1406 of 1416 bytes are there\n"
        "  try: copy the file again, or save the adapter again",
        lambda work: cut(work / "adapter" / "adapter_model.safetensors", 10),
    ),
    Bad(
        "NaN weights",
        [*SOUND, *LOCAL],
        f"{PREFLIGHT}\n"
        f"{WEIGHTS}: base_model.model.{LAYER}.lora_A.weight has 3 NaN and 0 infinite values "
        "(and 1 more like it)\n"
        "  try: the training diverged; evaluate an earlier checkpoint, or train with a lower rate",
        lambda work: trained(work, diverge),
    ),
    Bad(
        "zero lora_B",
        [*SOUND, *LOCAL],
        f"{PREFLIGHT}\n"
        f"{WEIGHTS}: every lora_B is zero, so the adapter would change nothing\n"
        "  try: evaluate a trained checkpoint, or the base itself with model.base=...",
        lambda work: trained(work, zero_b),
    ),
    Bad(
        "an adapter that does not fit the base it names",
        [*SOUND, *LOCAL],
        f"{PREFLIGHT}\n"
        f"model.adapter={{work}}/adapter on base: {LAYER} takes 12 inputs to 8 outputs in the "
        "adapter, and 8 inputs to 8 outputs in the base (and 3 more like it)\n"
        "  try: model.base=DIR_OR_NAME of the model that it was trained on",
        lambda work: trained(work, widen),
    ),
    Bad(
        "an adapter of another base",
        [*SOUND, *LOCAL, "model.base=base"],
        f"{PREFLIGHT}\n"
        f"model.adapter={{work}}/adapter on base: {LAYER} takes 12 inputs to 8 outputs in the "
        "adapter, and 8 inputs to 8 outputs in the base (and 3 more like it)\n"
        "  try: model.base=some/other, which it names as its base",
        lambda work: trained(work, widen, base="some/other"),
    ),
    Bad(
        "no base is named",
        [*SOUND, *LOCAL],
        f"{PREFLIGHT}\n"
        "model.adapter=adapter: its adapter_config.json names no base model\n"
        "  try: model.base=DIR_OR_NAME",
        lambda work: make_adapter(work / "adapter", base_model_name_or_path=None),
    ),
    Bad(
        "a base that the hub cannot be asked for",
        ["model.base=some/model", "datasets=[gsm8k]", *LOCAL],
        f"{PREFLIGHT}\n"
        "downloading some/model: it is neither a folder here nor in "
        "{home}/.cache/huggingface/hub, and the hub cannot be asked: Connection refused\n"
        "  try: model.base=DIR, or set HF_ENDPOINT for a mirror",
        variables={"HF_ENDPOINT": PROXY},
    ),
    Bad(
        "no download of the base is allowed",
        ["model.base=some/model", "datasets=[gsm8k]", *LOCAL],
        f"{PREFLIGHT}\n"
        "model.base: some/model: it is not in the cache {home}/.cache/huggingface/hub, "
        "and HF_HUB_OFFLINE forbids a download\n"
        "  try: model.base=DIR, or unset HF_HUB_OFFLINE",
        variables={"HF_HUB_OFFLINE": "1"},
    ),
    Bad(
        "no chat template",
        [*SOUND, *LOCAL, "model.type=chat"],
        f"{PREFLIGHT}\n"
        "model.type=chat: there is no chat template in {work}/adapter nor {work}/base\n"
        "  try: model.type=base for plain text prompts, "
        "or save a chat_template with the tokenizer",
    ),
    Bad(
        "missing data and no network",
        ["model.adapter=adapter", "datasets=[mmlu,gsm8k,medmcqa]", *LOCAL],
        f"{PREFLIGHT}: 2 problems\n"
        "1. dataset mmlu: its data is not at {root}/data/data/mmlu, and "
        f"{SERVER} cannot be reached: connection refused\n"
        f"  try: put {SERVER}/datasets/data/mmlu.zip into {{root}}/data/data by hand, "
        "as it is or unpacked, or say where they are with data_dir=DIR (the folder that contains "
        "data/), or set FTBENCH_DATA_URL to a mirror\n"
        "2. dataset medmcqa: its data is not at "
        "{home}/.cache/huggingface/hub/datasets--openlifescienceai--medmcqa, and "
        "https://huggingface.co cannot be reached: connection refused\n"
        "  try: copy that folder from a machine that has downloaded openlifescienceai/medmcqa, "
        "or set HF_ENDPOINT to a mirror",
        variables={"http_proxy": PROXY, "https_proxy": PROXY},
    ),
    Bad(
        "missing data and a download is forbidden",
        ["model.adapter=adapter", "datasets=[mmlu]", *LOCAL, "download=false"],
        f"{PREFLIGHT}\n"
        "dataset mmlu: its data is not at {root}/data/data/mmlu, and "
        "download=false forbids a download\n"
        f"  try: put {SERVER}/datasets/data/mmlu.zip into {{root}}/data/data by hand, "
        "as it is or unpacked, or say where they are with data_dir=DIR (the folder that contains "
        "data/), or leave download=false out",
    ),
    Bad(
        "a workspace that is a file",
        [*SOUND, *LOCAL, "workspace=out"],
        f"{PREFLIGHT}\n"
        "workspace {work}/out: it cannot be written: {work}/out is not a folder\n"
        "  try: choose another folder with workspace=DIR",
        lambda work: (work / "out").write_text("of something else"),
    ),
    Bad(
        "a GPU and there is none",
        [*SOUND, *LOCAL, "runtime.num_gpus=1"],
        f"{PREFLIGHT}\n"
        "runtime.num_gpus=1: this machine shows no GPU\n"
        "  try: nvidia-smi -L lists the GPUs; runtime.num_gpus=0 evaluates on the CPU",
    ),
    Bad(
        "no engine",
        [*SOUND, *DOCKER],
        f"{PREFLIGHT}\n"
        "container engine at unix:///nonexistent.sock: nothing listens there\n"
        "  try: start it (sudo systemctl start docker), or runtime=local, which needs no engine",
        variables={"DOCKER_HOST": "unix:///nonexistent.sock"},
    ),
    *(
        Bad(
            f"no address of an engine: {address}",
            [*SOUND, *DOCKER],
            f"{PREFLIGHT}\n"
            f"container engine at {address}: DOCKER_HOST is no address of an engine\n"
            "  try: unset DOCKER_HOST, or DOCKER_HOST=unix:///var/run/docker.sock",
            variables={"DOCKER_HOST": address},
        )
        for address in ("nonsense://x", "tcp://host:port")
    ),
    Bad(
        "everything at once",
        [
            "model.adapter=out",
            "datasets=[mmlu]",
            *LOCAL,
            "download=false",
            "runtime.num_gpus=2",
            "workspace=base/config.json",
            "tracking=mlflow",
            "tracking.training_run_id=abc",
        ],
        f"{PREFLIGHT}: 5 problems\n"
        "1. model.adapter={work}/out: there is no such folder\n"
        "  try: model.adapter=DIR with a trained adapter\n"
        "2. dataset mmlu: its data is not at {root}/data/data/mmlu, and "
        "download=false forbids a download\n"
        f"  try: put {SERVER}/datasets/data/mmlu.zip into {{root}}/data/data by hand, "
        "as it is or unpacked, or say where they are with data_dir=DIR (the folder that contains "
        "data/), or leave download=false out\n"
        "3. workspace {work}/base/config.json: it cannot be written: "
        "{work}/base/config.json is not a folder\n"
        "  try: choose another folder with workspace=DIR\n"
        "4. runtime.num_gpus=2: this machine shows no GPU\n"
        "  try: nvidia-smi -L lists the GPUs; runtime.num_gpus=0 evaluates on the CPU\n"
        "5. tracking.training_run_id=abc: there is no database {work}/mlflow.db to look for it in\n"
        "  try: tracking.uri=URI of the tracker that holds the training run, "
        "or leave the option out",
    ),
]


@pytest.mark.parametrize("bad", BAD_WORLD, ids=lambda bad: bad.kind.replace(" ", "-"))
def test_what_cannot_be_evaluated_is_refused(desk: Desk, bad: Bad) -> None:
    bad.prepare(desk.work)
    refused(desk, bad.arguments, EXIT_LAUNCH, bad.message, **bad.variables)


@contextmanager
def hub_that_answers(status: int, error_code: str) -> Iterator[str]:
    """A hub that answers every request with one error; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", error_code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Keeps the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "error_code", "message"),
    [
        (
            404,
            "RepoNotFound",
            "the hub has no model of this name\n"
            "  try: model.base=DIR_OR_NAME, or set HF_TOKEN for a private model",
        ),
        (
            403,
            "GatedRepo",
            "the hub gives it only to those with access\n"
            "  try: ask for access on the model's page, then set HF_TOKEN; or model.base=DIR",
        ),
    ],
)
def test_a_base_that_the_hub_does_not_give(
    desk: Desk, status: int, error_code: str, message: str
) -> None:
    with hub_that_answers(status, error_code) as url:
        refused(
            desk,
            ["model.base=some/model", "datasets=[gsm8k]", *LOCAL],
            EXIT_LAUNCH,
            f"{PREFLIGHT}\n"
            "downloading some/model: it is neither a folder here nor in "
            f"{{home}}/.cache/huggingface/hub, and {message}",
            HF_ENDPOINT=url,
        )


def test_a_tracking_server_that_is_not_there(desk: Desk) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    refused(
        desk,
        [*SOUND, *LOCAL, "tracking=mlflow", f"tracking.uri={uri}"],
        EXIT_LAUNCH,
        f"{PREFLIGHT}\n"
        f"tracking.uri={uri}: nothing answers there (connection refused)\n"
        "  try: start the server (mlflow server), or choose another with tracking.uri=URI; "
        "tracking=none records nothing",
    )


@pytest.mark.slow
def test_a_training_run_that_is_not_there_or_has_failed(desk: Desk) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{desk.root}/home/mlflow.db"
    client = MlflowClient(tracking_uri=uri)
    failed = client.create_run(client.create_experiment("sft", artifact_location="unused"))
    client.set_terminated(failed.info.run_id, "FAILED")
    tracked = [*SOUND, *LOCAL, "tracking=mlflow", f"tracking.uri={uri}"]

    unknown = "ab" * 16
    refused(
        desk,
        [*tracked, f"tracking.training_run_id={unknown}"],
        EXIT_LAUNCH,
        f"{PREFLIGHT}\n"
        f"tracking.training_run_id={unknown}: {uri} has no such run\n"
        "  try: copy the run id from the training run's page, or leave the option out",
    )
    refused(
        desk,
        [*tracked, f"tracking.training_run_id={failed.info.run_id}"],
        EXIT_LAUNCH,
        f"{PREFLIGHT}\n"
        f"tracking.training_run_id={failed.info.run_id}: that training run has FAILED, "
        "so there is nothing to evaluate\n"
        "  try: train again, or leave tracking.training_run_id out to evaluate what it left",
    )


@pytest.mark.container
@pytest.mark.parametrize("gpus", [0, 1])
def test_an_image_that_is_not_there_and_gpus_that_the_engine_cannot_give(
    desk: Desk, gpus: int
) -> None:
    image = "ftbench-test:no-such-image"
    variant = "cuda" if gpus else "cpu"
    missing = (
        f"image {image}: is not on this engine\n"
        f"  try: scripts/build-image --variant {variant} --tag {image}"
    )
    no_gpus = (
        "runtime.num_gpus=1: the engine cannot give GPUs to a container: it has no NVIDIA "
        "runtime\n"
        "  try: install nvidia-container-toolkit and restart the engine, "
        "or runtime.num_gpus=0 for the CPU"
    )
    if gpus and "nvidia" in engine_runtimes():
        pytest.skip("this engine has an NVIDIA runtime")
    refused(
        desk,
        [*SOUND, *DOCKER, f"runtime.image={image}", f"runtime.num_gpus={gpus}"],
        EXIT_LAUNCH,
        f"{PREFLIGHT}: 2 problems\n1. {missing}\n2. {no_gpus}"
        if gpus
        else f"{PREFLIGHT}\n{missing}",
        **engine_address(),
    )


def engine_address() -> dict[str, str]:
    """The caller's DOCKER_HOST, if any."""
    return {k: v for k, v in os.environ.items() if k == "DOCKER_HOST"}


def engine_runtimes() -> dict[str, object]:
    import docker

    client = docker.from_env()
    try:
        return dict(client.info()["Runtimes"])
    finally:
        client.close()


def test_a_dry_run_says_what_would_stop_the_launch(desk: Desk) -> None:
    before = desk.content()
    done = desk.run("model.adapter=out", "datasets=[gsm8k]", *LOCAL, "dry_run=true")
    assert (done.returncode, done.stderr) == (EXIT_OK, "")
    assert done.stdout.endswith(
        f"notes:\n  a launch would stop: model.adapter={desk.work}/out: there is no such folder\n"
    )
    assert desk.content() == before


def test_a_flag_may_stand_between_settings(desk: Desk) -> None:
    write_option("name: mine\ndatasets: [gsm8k]\n")(desk.work)
    done = desk.run(
        "model.adapter=adapter", *LOCAL, "--config-dir", "own", "suite=mine", "dry_run=true"
    )
    assert (done.returncode, done.stderr) == (EXIT_OK, "")
    assert "\ndatasets:\n  gsm8k: gsm8k/gsm8k_gen.py (gen, 1 subset)\n" in done.stdout


def test_a_defect_does_not_pass_for_a_wrong_configuration(desk: Desk) -> None:
    code = (
        "import ftbench.run\n"
        "from ftbench.command_line import run_command\n"
        "def evaluate(config):\n"
        "    raise ValueError('of the program itself')\n"
        "ftbench.run.evaluate = evaluate\n"
        "run_command()\n"
    )
    done = desk.python("-c", code, *SOUND)
    assert done.returncode == 1
    assert CONFIG not in done.stderr
    assert done.stderr.endswith("RuntimeError: unexpected: of the program itself\n")
