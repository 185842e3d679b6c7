"""The GPUs of this machine, as the caller may use them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ftbench.errors import Problem
from ftbench.gpu_pool import LOCK_FOLDER, Lease, leased
from ftbench.plan import Plan


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


def usable_gpus(
    gpu_ids: tuple[str, ...], gpu_pool: tuple[str, ...], environ: Mapping[str, str]
) -> list[str]:
    """Names of the GPUs that a run may take, of those that this machine shows.

    Args:
        gpu_ids: Those that the user named; empty: those of the pool.
        gpu_pool: Those that jobs share; empty: those lent by a batch system, or of the machine.
        environ: Environment variables of the caller.
    """
    present = list_gpus(environ)
    lent = lent_gpus(environ)
    wanted = list(gpu_ids or gpu_pool) or (
        lent if lent is not None else [gpu.index for gpu in present]
    )
    return [name for name in wanted if any(gpu.is_called(name) for gpu in present)]


def choose_gpus(
    num_gpus: int,
    gpu_ids: tuple[str, ...],
    environ: Mapping[str, str],
    gpu_pool: tuple[str, ...] = (),
) -> list[str]:
    """The first ``num_gpus`` of ``usable_gpus``; fewer when there are not enough."""
    return usable_gpus(gpu_ids, gpu_pool, environ)[:num_gpus]


@contextmanager
def lent_plan(
    plan: Plan, environ: Mapping[str, str], say: Callable[[str], None]
) -> Iterator[tuple[Plan, Lease]]:
    """Holds the GPUs of a launch; waits where other evaluations have them.

    Args:
        plan: What is launched.
        environ: Environment variables of the caller.
        say: Called with one line when there is something to wait for.

    Yields:
        The plan with exactly those GPUs as ``gpu_ids``, and the lease.

    Raises:
        LaunchError: There are too few GPUs, or no lock can be made.
    """
    names = usable_gpus(plan.gpu_ids, plan.gpu_pool, environ)
    if not names and not list_gpus(environ):
        # Those of an engine on another machine, whose bare number means its first GPUs.
        names = list(plan.gpu_ids or plan.gpu_pool) or list(map(str, range(plan.num_gpus)))
    # One GPU has several names; its UUID is the same for everyone.
    by_uuid = dict(zip(uuids_of(names, environ), names, strict=True))
    folder = Path(environ.get("FTBENCH_GPU_LOCKS") or LOCK_FOLDER)
    with leased(list(by_uuid), plan.num_gpus, folder, say) as lease:
        held = tuple(by_uuid[uuid] for uuid in lease.gpus)
        yield replace(plan, gpu_ids=held), lease


def gpu_identity(plan: Plan) -> dict[str, str]:
    """What a launch records of the GPUs that it held; nothing where it held none."""
    return {"gpus": ",".join(plan.gpu_ids)} if plan.gpu_ids else {}


def uuids_of(names: list[str], environ: Mapping[str, str]) -> list[str]:
    """UUIDs in place of indices, which inside a batch job count the job's own GPUs only."""
    present = list_gpus(environ)
    return [next((g.uuid for g in present if g.is_called(name)), name) for name in names]


def gpu_problems(plan: Plan, environ: Mapping[str, str], cure: str) -> list[Problem]:
    """Says that this machine has fewer GPUs than a run needs; empty when it has enough.

    Args:
        plan: What is to be launched.
        environ: Environment variables of the caller.
        cure: What to try.
    """
    found = choose_gpus(plan.num_gpus, plan.gpu_ids, environ, plan.gpu_pool)
    if len(found) >= plan.num_gpus:
        return []
    named = plan.gpu_ids or plan.gpu_pool
    key = "gpu_ids" if plan.gpu_ids else "gpu_pool"
    asked = f"{key}={','.join(named)}" if named else f"num_gpus={plan.num_gpus}"
    return [Problem(f"runtime.{asked}", shortage(named, found), cure)]


def shortage(named: tuple[str, ...], found: list[str]) -> str:
    """What a run that finds too few GPUs is told.

    Args:
        named: Those that the user named; empty when a number was asked for.
        found: Those of them that are there.
    """
    if named:
        return f"of these GPUs, this machine shows {', '.join(found) or 'none'}"
    return f"this machine shows only {', '.join(found)}" if found else "this machine shows no GPU"
