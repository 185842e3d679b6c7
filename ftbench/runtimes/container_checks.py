"""What can be known to be wrong with a container engine before anything is started."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbench.engine import engine_errors
from ftbench.errors import ImageError, Problem
from ftbench.image import LABEL_LOCK, LABEL_PROGRAM, LABEL_SCHEMA, build_command
from ftbench.plan import Plan
from ftbench.program import lock_hash, program_hash
from ftbench.runtimes.container_options import hiding_mounts
from ftbench.runtimes.gpus import gpu_problems, list_gpus
from ftbench.schema import SCHEMA_VERSION

if TYPE_CHECKING:
    from docker.client import DockerClient
    from docker.models.images import Image

_LEAST_FREE_BYTES = 1 << 30
"""With a full disk the engine silently loses a container's log."""

_NVIDIA_HOOK = "nvidia-container-runtime-hook"

_BUILT_IN_NETWORKS = ("bridge", "host", "none", "default")


def check_engine(client: DockerClient, plan: Plan, environ: Mapping[str, str]) -> list[Problem]:
    """Everything that would keep the engine from running the plan.

    Raises:
        EngineError: The engine stopped answering.
    """
    with engine_errors("container engine"):
        info = client.info()
    problems = _check_image(client, plan, info)
    problems += _check_gpus(plan, info, environ)
    problems += _check_network(client, plan)
    problems += _check_mounts(plan)
    return problems + _check_disk(info)


def find_image(client: DockerClient, plan: Plan) -> Image:
    """The image of a plan.

    Raises:
        ImageError: It is not there, with the command that builds it.
    """
    from docker.errors import ImageNotFound

    try:
        with engine_errors(f"image {plan.image}"):
            return client.images.get(plan.image)
    except ImageError as exc:
        if not isinstance(exc.__cause__, ImageNotFound):
            raise
        cure = build_command(variant_of(plan), plan.image)
        problem = Problem(f"image {plan.image}", "is not on this engine", cure)
        raise ImageError(problem) from exc.__cause__


def variant_of(plan: Plan) -> str:
    """The image variant that a plan needs."""
    return "cuda" if plan.num_gpus else "cpu"


def _check_image(client: DockerClient, plan: Plan, info: Mapping[str, Any]) -> list[Problem]:
    try:
        image = find_image(client, plan)
    except ImageError as exc:
        return list(exc.problems)
    variant = variant_of(plan)
    tried, cure = f"image {plan.image}", build_command(variant, plan.image)
    expected = {
        LABEL_SCHEMA: (str(SCHEMA_VERSION), "was made by another version of ftbench"),
        LABEL_LOCK: (lock_hash(variant), f"does not hold this ftbench's {variant} packages"),
        LABEL_PROGRAM: (program_hash(), "holds another version of the evaluation program"),
    }
    if not any(label in image.labels for label in expected):
        return [Problem(tried, "is not an evaluation image of ftbench", cure)]
    for label, (value, happened) in expected.items():
        if image.labels.get(label) != value:
            return [Problem(tried, happened, cure)]
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(info["Architecture"])
    architecture = image.attrs.get("Architecture")
    if machine and architecture and architecture != machine:
        return [Problem(tried, f"is built for {architecture}; the engine runs {machine}", cure)]
    return []


def _check_gpus(plan: Plan, info: Mapping[str, Any], environ: Mapping[str, str]) -> list[Problem]:
    if not plan.num_gpus:
        return []
    asked = f"gpu_ids={','.join(plan.gpu_ids)}" if plan.gpu_ids else f"num_gpus={plan.num_gpus}"
    tried = f"runtime.{asked}"
    # The engine gives GPUs when it knows the runtime, or when it found the hook at its start.
    if "nvidia" not in (info.get("Runtimes") or {}) and not shutil.which(_NVIDIA_HOOK):
        return [
            Problem(
                tried,
                "the engine cannot give GPUs to a container: it has no NVIDIA runtime",
                "install nvidia-container-toolkit and restart the engine, "
                "or runtime.num_gpus=0 for the CPU",
            )
        ]
    # The engine may stand on another machine, whose GPUs are not seen from here.
    if not list_gpus(environ):
        return []
    return gpu_problems(plan, environ, "nvidia-smi -L lists the GPUs")


def _check_network(client: DockerClient, plan: Plan) -> list[Problem]:
    if plan.network is None or plan.network in _BUILT_IN_NETWORKS:
        return []
    with engine_errors("networks of the engine"):
        names = [str(network.name) for network in client.networks.list()]
    if plan.network in names:
        return []
    cure = f"docker network create {plan.network}, or one of: {', '.join(sorted(names))}"
    return [Problem(f"runtime.network={plan.network}", "there is no such network", cure)]


def _check_mounts(plan: Plan) -> list[Problem]:
    problems = [
        Problem(f"folder {mount.source}", "does not exist", "check the path")
        for mount in plan.mounts
        if mount.read_only and not mount.source.exists()
    ]
    return problems + [
        Problem(
            f"folder {mount.source}",
            f"would cover {mount.target} inside the container, which the program needs",
            "move it, or name a folder inside it",
        )
        for mount in hiding_mounts(plan.mounts)
    ]


def _check_disk(info: Mapping[str, Any]) -> list[Problem]:
    root = Path(info.get("DockerRootDir") or "/nonexistent")
    try:
        free = shutil.disk_usage(root).free
    except OSError:
        # Another machine's disk, or one that only root may look at.
        return []
    if free >= _LEAST_FREE_BYTES:
        return []
    happened = f"only {free / 2**20:.0f} MiB are free there"
    return [Problem(f"engine's disk {root}", happened, "docker system prune")]
