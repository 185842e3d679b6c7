"""What a plan means to a container engine: pure, so that ``dry_run`` shows what ``launch`` does."""

from __future__ import annotations

import csv
import io
import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ftbench.plan import Mount, Plan
from ftbench.process import start_time

SECRETS_TARGET = "/run/ftbench-secrets"

LABEL_RUN = "org.ftbench.run"
LABEL_WORKSPACE = "org.ftbench.workspace"
LABEL_FINGERPRINT = "org.ftbench.fingerprint"
LABEL_OWNER = "org.ftbench.owner"

_LOG_OPTIONS = {"max-size": "50m", "max-file": "2"}
"""The engine's own copy of the log; ours is in the run folder. Rotation loses lines that are being
followed when files are small (measured with 1 MB)."""

_OWN_FOLDERS = ("/app", "/opt/ftbench", "/usr", "/etc", "/bin", "/lib", "/lib64", "/tmp")
_SYSTEM_FOLDERS = ("/proc", "/sys", "/dev")


@dataclass(frozen=True)
class Engine:
    """What of the engine's nature changes how a container is made.

    Attributes:
        rootless: The engine runs as a user; root inside is that user outside.
        remaps_users: User ids inside are others outside, unless a container says no.
        selinux: SELinux labels keep containers from files that are not labelled for them.
    """

    rootless: bool = False
    remaps_users: bool = False
    selinux: bool = False

    @classmethod
    def from_info(cls, info: Mapping[str, Any]) -> Engine:
        """Reads the engine's answer to ``docker info``."""
        options = " ".join(info.get("SecurityOptions") or [])
        return cls("name=rootless" in options, "name=userns" in options, "name=selinux" in options)


@dataclass(frozen=True)
class ContainerOptions:
    """Everything that makes the container of one launch.

    Attributes:
        gpus: Names of the GPUs, or empty to take the first ``plan.num_gpus`` of them.
    """

    plan: Plan
    name: str
    environment: dict[str, str]
    labels: dict[str, str]
    mounts: tuple[Mount, ...]
    user: str
    security: tuple[str, ...]
    userns_mode: str | None
    gpus: tuple[str, ...]

    @property
    def network(self) -> str:
        return self.plan.network or "none"


def container_options(
    plan: Plan,
    engine: Engine,
    secrets_folder: Path | None,
    gpus: Sequence[str] = (),
    name: str = "",
) -> ContainerOptions:
    """Decides the options of a container.

    Args:
        plan: What runs.
        engine: The nature of the engine.
        secrets_folder: Folder on the host with one file per secret, or None.
        gpus: Names of the GPUs to give; empty: the first ones.
        name: Name of the container; empty: ``container_name``.
    """
    environment = dict(plan.environment)
    mounts = plan.mounts
    if not plan.num_gpus:
        # CUDA base images ask for all GPUs in a variable of their own.
        environment["NVIDIA_VISIBLE_DEVICES"] = "void"
    if secrets_folder is not None:
        environment["SECRETS_PATH"] = SECRETS_TARGET
        mounts = (*mounts, Mount(secrets_folder, SECRETS_TARGET))
    security = ["no-new-privileges:true"]
    if engine.selinux:
        # Relabelling would change the user's own folders.
        security.append("label=disable")
    return ContainerOptions(
        plan=plan,
        name=name or container_name(plan, "run"),
        environment=environment,
        labels={
            LABEL_RUN: plan.run_dir.name,
            LABEL_WORKSPACE: str(plan.workspace),
            LABEL_FINGERPRINT: plan.fingerprint,
            LABEL_OWNER: owner_label(),
        },
        mounts=mounts,
        # Under a rootless engine, root inside is the calling user outside.
        user="0:0" if engine.rootless else plan.user,
        security=tuple(security),
        userns_mode="host" if engine.remaps_users else None,
        gpus=tuple(gpus),
    )


def container_name(plan: Plan, suffix: str) -> str:
    """A readable name of the characters that engines take."""
    return re.sub(r"[^a-zA-Z0-9_.-]+", "-", f"ftbench-{plan.model_abbr}-{suffix}")


def create_arguments(options: ContainerOptions) -> dict[str, Any]:
    """Keyword arguments of the docker library's ``containers.create``, but for the image."""
    from docker.types import DeviceRequest, LogConfig
    from docker.types import Mount as EngineMount

    plan = options.plan
    arguments: dict[str, Any] = {
        "name": options.name,
        "environment": options.environment,
        "labels": options.labels,
        # Mounts, not volumes: a missing source is an error, not a new folder of root's.
        "mounts": [
            EngineMount(m.target, str(m.source), type="bind", read_only=m.read_only)
            for m in options.mounts
        ],
        "user": options.user,
        "network_mode": options.network,
        "read_only": True,
        "init": True,
        "cap_drop": ["ALL"],
        "security_opt": list(options.security),
        "pids_limit": plan.pids_limit,
        "shm_size": plan.shm_size,
        # The engine's default is noexec, where compiled kernels cannot be loaded from.
        "tmpfs": {"/tmp": f"rw,exec,nosuid,nodev,size={plan.tmp_size},mode=1777"},
        "log_config": LogConfig(type="json-file", config=_LOG_OPTIONS),
        # The user's proxy settings can hold credentials, and only a network needs them.
        "use_config_proxy": plan.network is not None,
    }
    if plan.memory:
        arguments |= {"mem_limit": plan.memory, "memswap_limit": plan.memory}
    if options.userns_mode:
        arguments["userns_mode"] = options.userns_mode
    if plan.num_gpus:
        chosen = {"device_ids": list(options.gpus)} if options.gpus else {"count": plan.num_gpus}
        arguments["device_requests"] = [DeviceRequest(**chosen, capabilities=[["gpu"]])]
    return arguments


def run_command(options: ContainerOptions) -> list[str]:
    """The same as a ``docker run`` command, one argument each."""
    plan = options.plan
    argv = ["docker", "run", "--rm", "--name", options.name, "--init", "--read-only"]
    argv += ["--user", options.user, "--network", options.network, "--cap-drop", "ALL"]
    for setting in options.security:
        argv += ["--security-opt", setting]
    if options.userns_mode:
        argv += ["--userns", options.userns_mode]
    argv += ["--pids-limit", str(plan.pids_limit), "--shm-size", plan.shm_size]
    argv += ["--tmpfs", f"/tmp:rw,exec,nosuid,nodev,size={plan.tmp_size},mode=1777"]
    argv += ["--stop-timeout", str(plan.stop_grace_s), "--log-driver", "json-file"]
    for key, value in _LOG_OPTIONS.items():
        argv += ["--log-opt", f"{key}={value}"]
    if plan.memory:
        argv += ["--memory", plan.memory, "--memory-swap", plan.memory]
    if plan.num_gpus:
        chosen = "device=" + ",".join(options.gpus) if options.gpus else str(plan.num_gpus)
        argv += ["--gpus", _csv_line([chosen])]
    for mount in options.mounts:
        fields = ["type=bind", f"source={mount.source}", f"target={mount.target}"]
        argv += ["--mount", _csv_line(fields + (["readonly"] if mount.read_only else []))]
    for key, value in options.labels.items():
        argv += ["--label", f"{key}={value}"]
    for key, value in options.environment.items():
        argv += ["--env", f"{key}={value}"]
    return [*argv, plan.image]


def hiding_mounts(mounts: Sequence[Mount]) -> list[Mount]:
    """Mounts that would cover a folder that the program or the system needs."""
    covered = [PurePosixPath(folder) for folder in (*_OWN_FOLDERS, *_SYSTEM_FOLDERS)]
    system = [PurePosixPath(folder) for folder in _SYSTEM_FOLDERS]

    def hides(target: PurePosixPath) -> bool:
        covers = any(folder == target or target in folder.parents for folder in covered)
        return covers or any(folder in target.parents for folder in system)

    return [mount for mount in mounts if hides(PurePosixPath(mount.target))]


def owner_label() -> str:
    """This process, as its containers name their owner: host, process id, start time."""
    return f"{socket.gethostname()}:{os.getpid()}:{start_time(os.getpid())}"


def owner_is_alive(label: str) -> bool:
    """The process that a label names still runs, or may still run on another machine."""
    host, _, process = label.rpartition(":")[0].rpartition(":")
    started = label.rpartition(":")[2]
    if not process.isdigit():
        return False
    return host != socket.gethostname() or start_time(int(process)) == started


def _csv_line(fields: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()
