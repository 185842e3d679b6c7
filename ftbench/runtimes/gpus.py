"""The GPUs of this machine, as the caller may use them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """One GPU, or one slice of it.

    Attributes:
        index: As nvidia-smi counts; empty for a MIG slice, which has none.
        uuid: Such as ``GPU-8932f937-...`` or ``MIG-...``.
    """

    index: str
    uuid: str

    def is_called(self, name: str) -> bool:
        """``name`` is its index, its UUID, or the beginning of its UUID, as CUDA takes it."""
        return bool(name) and (name == self.index or self.uuid.startswith(name))


def list_gpus(environ: Mapping[str, str]) -> list[Gpu]:
    """Every GPU that nvidia-smi shows; empty without an NVIDIA driver.

    Args:
        environ: Environment variables of the caller, for PATH.
    """
    command = shutil.which("nvidia-smi", path=environ.get("PATH"))
    if command is None:
        return []
    try:
        done = subprocess.run(
            [command, "-L"], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    pattern = re.compile(r"^(?:GPU (\d+):| +MIG ).*\(UUID: ([\w-]+)\)", re.MULTILINE)
    return [Gpu(index, uuid) for index, uuid in pattern.findall(done.stdout)]


def lent_gpus(environ: Mapping[str, str]) -> list[str] | None:
    """Names in CUDA_VISIBLE_DEVICES, as a batch system sets it; None where it sets none."""
    given = environ.get("CUDA_VISIBLE_DEVICES")
    return None if given is None else [name.strip() for name in given.split(",") if name.strip()]


def choose_gpus(num_gpus: int, gpu_ids: tuple[str, ...], environ: Mapping[str, str]) -> list[str]:
    """Names of the GPUs that a run uses; fewer than ``num_gpus`` when there are not enough.

    Args:
        num_gpus: How many; 0: none.
        gpu_ids: Those that the user named; empty: the first of those lent by a batch system, or
            of the machine.
        environ: Environment variables of the caller.
    """
    present = list_gpus(environ)
    lent = lent_gpus(environ)
    wanted = list(gpu_ids) or (lent if lent is not None else [gpu.index for gpu in present])
    known = [name for name in wanted if any(gpu.is_called(name) for gpu in present)]
    return known[:num_gpus]


def uuids_of(names: list[str], environ: Mapping[str, str]) -> list[str]:
    """UUIDs in place of indices, which inside a batch job count the job's own GPUs only."""
    present = list_gpus(environ)
    return [next((g.uuid for g in present if g.is_called(name)), name) for name in names]


def shortage(gpu_ids: tuple[str, ...], found: list[str]) -> str:
    """What a run that finds too few GPUs is told.

    Args:
        gpu_ids: Those that the user named; empty when a number was asked for.
        found: Those of them that are there.
    """
    if gpu_ids:
        return f"of these GPUs, this machine shows {', '.join(found) or 'none'}"
    return f"this machine shows only {', '.join(found)}" if found else "this machine shows no GPU"
