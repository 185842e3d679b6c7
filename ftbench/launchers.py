"""What the launchers' presets (``conf/hydra/launcher``) compute from ftbench's own settings.

The launchers themselves are Hydra's plugins: joblib on one machine, submitit on Slurm.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

from omegaconf import OmegaConf

from ftbench.runtimes.gpus import usable_gpus

_CPU_JOBS = 2
"""Of these, each takes half of the processors (``runtime.cpu_threads``)."""

_AROUND_MIN = 15
"""Minutes of a Slurm job for what is not the evaluation: packages, data, hashes, recording."""


def register_resolvers() -> None:
    """Makes the functions below known to OmegaConf, as ``${ftbench.parallel_jobs:...}``.

    Side effects: OmegaConf's table of resolvers; doing it twice changes nothing.
    """
    for resolver in (parallel_jobs, slurm_gpus, slurm_minutes, slurm_warning):
        OmegaConf.register_new_resolver(f"ftbench.{resolver.__name__}", resolver, replace=True)


def parallel_jobs(
    num_gpus: int,
    gpu_ids: Sequence[str] | None,
    gpu_pool: Sequence[str] | None,
    environ: Mapping[str, str] | None = None,
) -> int:
    """How many jobs run at a time on this machine, at least 1.

    Args:
        num_gpus: Of one job; 0: on CPUs.
        gpu_ids: Exactly these for every job, so that one runs at a time.
        gpu_pool: GPUs that they share; None: all that may be used.
        environ: Environment variables; None for this process's own.
    """
    if gpu_ids is not None and len(gpu_ids):
        return 1
    if not num_gpus or gpu_ids is not None:
        return _CPU_JOBS
    env = os.environ if environ is None else environ
    return max(1, len(usable_gpus((), tuple(gpu_pool or ()), env)) // num_gpus)


def slurm_gpus(num_gpus: int, gpu_ids: Sequence[str] | None) -> int | None:
    """GPUs to ask Slurm for; None asks for none, and leaves partitions without GPUs usable.

    Args:
        num_gpus: Of one job.
        gpu_ids: Exactly these, which count instead.
    """
    return (num_gpus if gpu_ids is None else len(gpu_ids)) or None


def slurm_minutes(timeout_s: int) -> int:
    """Time limit of a Slurm job, in minutes, for an evaluation of ``timeout_s`` seconds."""
    return math.ceil(timeout_s / 60) + _AROUND_MIN


def slurm_warning(stop_grace_s: int) -> int:
    """Seconds from Slurm's warning to the limit: the program ends, then the job is requeued."""
    return stop_grace_s + 90
