"""The main job in a container, every part real; its scores are those of the stock command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ftbench.image import image_name
from ftbench.schema import RunFiles
from tests.real.conftest import SECRETS, Demo, assert_equals_stock, assert_no_secret

pytestmark = [pytest.mark.container, pytest.mark.opencompass, pytest.mark.slow]


@dataclass(frozen=True)
class InContainer:
    """One evaluation in a container, with secrets forwarded.

    Attributes:
        workspace: What it left.
        inspected: What the engine knew of the container while it ran.
    """

    workspace: Path
    printed: str
    inspected: dict[str, Any]

    @property
    def files(self) -> RunFiles:
        (folder,) = (self.workspace / "benchmark_results").iterdir()
        return RunFiles(folder)


@pytest.fixture(scope="module")
def in_container(
    demo: Demo, eval_image: str, tmp_path_factory: pytest.TempPathFactory
) -> InContainer:
    folder = tmp_path_factory.mktemp("container")
    command = [
        *(sys.executable, "-m", "ftbench.run", "baseline=none"),
        f"model.adapter={demo.adapter}",
        "datasets=[mmlu,gsm8k]",
        "runtime.num_gpus=0",
        # A network, so that secrets are forwarded at all.
        "runtime.network=bridge",
        f"data_dir={demo.folder / 'data'}",
        "backend.max_out_len=64",
        f"workspace={folder / 'workspace'}",
        f"tracking.uri=sqlite:///{folder}/mlflow.db",
    ]
    assert eval_image == image_name("cpu")
    process = subprocess.Popen(
        command,
        env={**os.environ, **SECRETS},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    inspected = _inspect_running(folder / "workspace", process)
    printed, _ = process.communicate(timeout=900)
    assert process.returncode == 0, printed
    return InContainer(folder / "workspace", printed, inspected)


def _inspect_running(workspace: Path, process: subprocess.Popen[str]) -> dict[str, Any]:
    import docker

    client = docker.from_env()
    deadline = time.monotonic() + 300
    label = f"org.ftbench.workspace={workspace}"
    while not (found := client.containers.list(filters={"label": label})):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "no container came within five minutes"
        time.sleep(0.1)
    attrs: dict[str, Any] = found[0].attrs
    client.close()
    return attrs


def test_docker_runtime_gives_what_the_stock_command_gives(
    in_container: InContainer, stock_adapter: RunFiles
) -> None:
    assert_equals_stock(in_container.files, stock_adapter)


def test_container_is_isolated(in_container: InContainer) -> None:
    config = in_container.inspected["HostConfig"]
    assert config["ReadonlyRootfs"] is True
    assert config["CapDrop"] == ["ALL"]
    assert config["SecurityOpt"] == ["no-new-privileges:true"]
    assert config["PidsLimit"] == 4096
    user = in_container.inspected["Config"]["User"]
    assert user == f"{os.getuid()}:{os.getgid()}"
    writable = [m["Destination"] for m in in_container.inspected["Mounts"] if m["RW"]]
    assert writable == [str(in_container.files.root)]


def test_container_run_leaves_no_secret_anywhere(in_container: InContainer) -> None:
    targets = [mount["Destination"] for mount in in_container.inspected["Mounts"]]
    assert "/run/ftbench-secrets" in targets
    said = in_container.printed + json.dumps(in_container.inspected)
    assert not [name for name, secret in SECRETS.items() if secret in said]
    # The workspace, mlflow.db and the artifacts beside it.
    assert assert_no_secret(in_container.workspace.parent) > 190


def test_container_run_is_recorded_with_its_image(in_container: InContainer) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{in_container.workspace.parent}/mlflow.db")
    experiment = client.get_experiment_by_name("ftbench")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.tags["ftbench.image_digest"] == in_container.inspected["Image"]
    assert run.data.tags["ftbench.version.opencompass"] == "0.5.4"
    assert len(run.data.tags["ftbench.adapter_sha256"]) == 64
    assert run.info.status == "FINISHED"
